/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What a probed function does, and how an attach cookie says so.
 */
#ifndef TOKENWATCH_BPF_FUNCTION_H_
#define TOKENWATCH_BPF_FUNCTION_H_

enum tw_function {
	TW_FUNCTION_WRITE = 1, /* int f(connection, buffer, int length): the accepted length */
	TW_FUNCTION_WRITE_EX,  /* int f(connection, buffer, size_t length, size_t *accepted): 1 */
	TW_FUNCTION_WRITE_EX2, /* int f(connection, buffer, size_t length, u64, size_t *accepted) */
	TW_FUNCTION_READ,
	TW_FUNCTION_READ_EX,
	TW_FUNCTION_BEGIN,    /* f(connection): the object begins a connection */
	TW_FUNCTION_FREE,     /* f(connection): one reference less */
	TW_FUNCTION_PAST_API, /* whoever calls it reads and writes past the functions above */
};

/*
 * A cookie has the function in its high half and the probe's number, an index of hits, in its low.
 * A probe on a `ret` has the flag: it finds the return address still on the stack.
 */
#define TW_COOKIE(function, probe) ((__u64)(function) << 32 | (__u32)(probe))
#define TW_COOKIE_AT_RETURN (1ULL << 63)
#define TW_COOKIE_FUNCTION(cookie) ((__u32)((cookie) >> 32) & 0xff)
#define TW_COOKIE_PROBE(cookie) ((__u32)(cookie))

/* By a probe's number. */
struct tw_probe_count {
	__u64 hits;
	__u64 returns; /* of those hits, that were seen to return */
	__u64 missed;  /* that must have returned without being seen */
	__u64 misfits; /* byte counts that cannot be: the probed function is not what it was taken
			  for */
};

#endif /* TOKENWATCH_BPF_FUNCTION_H_ */
