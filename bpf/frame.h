/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP/2's frame headers (RFC 9113, 4.1 and 6): which can be, and which frames leave the kernel.
 *
 * Arithmetic and a table, no kernel types: tests and the fuzz target compile it as C++.
 */
#ifndef TOKENWATCH_BPF_FRAME_H_
#define TOKENWATCH_BPF_FRAME_H_

#include <linux/types.h>
#include <stdbool.h>

#define TW_FRAME_HEADER 9
#define TW_FRAME_MAX 0xffffff
/* What no peer has been seen to allow; a longer frame begins no chain. */
#define TW_FRAME_LIKELY (1 << 20)

enum tw_frame_type {
	TW_FRAME_DATA = 0,
	TW_FRAME_HEADERS = 1,
	TW_FRAME_PRIORITY = 2,
	TW_FRAME_RST_STREAM = 3,
	TW_FRAME_SETTINGS = 4,
	TW_FRAME_PUSH_PROMISE = 5,
	TW_FRAME_PING = 6,
	TW_FRAME_GOAWAY = 7,
	TW_FRAME_WINDOW_UPDATE = 8,
	TW_FRAME_CONTINUATION = 9,
	TW_FRAME_TYPES,
};

enum tw_frame_flag {
	TW_FRAME_ACK = 1 << 0,
	TW_FRAME_END_STREAM = 1 << 0,
	TW_FRAME_END_HEADERS = 1 << 2,
	TW_FRAME_PADDED = 1 << 3,
	TW_FRAME_WITH_PRIORITY = 1 << 5,
};

/* Whose frame it is: the connection's on stream 0, or a stream's. */
enum tw_frame_place {
	TW_FRAME_ANYWHERE = 0,
	TW_FRAME_ON_STREAM,
	TW_FRAME_ON_CONNECTION,
};

struct tw_frame_header {
	__u32 length;
	__u32 stream; /* with the reserved bit */
	__u8 type;
	__u8 flags;
};

struct tw_frame_rule {
	__u32 min, max; /* of the length */
	__u8 place;	/* enum tw_frame_place */
	__u8 flags;	/* that are defined; others are to be ignored */
	__u8 leaves;	/* the kernel */
	__u8 begins;	/* headers that follow must be CONTINUATION until one has END_HEADERS */
};

/* By type. The last row stands for extensions. */
static const struct tw_frame_rule tw_frame_rules[16] = {
	{0, TW_FRAME_MAX, TW_FRAME_ON_STREAM, 0x09, 0, 0},     /* DATA */
	{0, TW_FRAME_LIKELY, TW_FRAME_ON_STREAM, 0x2d, 1, 1},  /* HEADERS */
	{5, 5, TW_FRAME_ON_STREAM, 0, 0, 0},		       /* PRIORITY */
	{4, 4, TW_FRAME_ON_STREAM, 0, 1, 0},		       /* RST_STREAM */
	{0, 16384, TW_FRAME_ON_CONNECTION, 0x01, 1, 0},	       /* SETTINGS */
	{4, TW_FRAME_LIKELY, TW_FRAME_ON_STREAM, 0x0c, 1, 1},  /* PUSH_PROMISE */
	{8, 8, TW_FRAME_ON_CONNECTION, 0x01, 0, 0},	       /* PING */
	{8, TW_FRAME_LIKELY, TW_FRAME_ON_CONNECTION, 0, 1, 0}, /* GOAWAY */
	{4, 4, TW_FRAME_ANYWHERE, 0, 0, 0},		       /* WINDOW_UPDATE */
	{0, TW_FRAME_LIKELY, TW_FRAME_ON_STREAM, 0x04, 1, 1},  /* CONTINUATION */
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
	{0, TW_FRAME_LIKELY, TW_FRAME_ANYWHERE, 0xff, 0, 0},
};

static inline __attribute__((always_inline)) const struct tw_frame_rule *
tw_rule_of(const struct tw_frame_header *h)
{
	__u64 row = h->type < TW_FRAME_TYPES ? h->type : 15;

	/* So that the mask stays, for the verifier to see. */
	asm volatile("" : "+r"(row));
	return &tw_frame_rules[row & 15];
}

/*
 * The header in the last nine bytes of a stream: `first` is the earliest one, `rest` are the eight
 * that follow it, the last in the low byte.
 */
static inline __attribute__((always_inline)) void tw_take_header(struct tw_frame_header *h,
								 __u64 first, __u64 rest)
{
	h->length = (first & 0xff) << 16 | rest >> 48;
	h->type = rest >> 40;
	h->flags = rest >> 32;
	h->stream = rest;
}

/* The header is a frame's that may be sent at all. */
static inline __attribute__((always_inline)) bool tw_frame_fits(const struct tw_frame_header *h)
{
	const struct tw_frame_rule *rule = tw_rule_of(h);
	__u8 flags = h->flags & rule->flags;
	__u32 min = rule->min;
	bool on_connection = !h->stream;

	/* Extensions define flags of their own. */
	if (h->type < TW_FRAME_TYPES)
		min += (flags & TW_FRAME_PADDED ? 1 : 0) + (flags & TW_FRAME_WITH_PRIORITY ? 5 : 0);
	if (h->length < min || h->length > rule->max || h->stream >> 31)
		return false;
	if (rule->place && on_connection != (rule->place == TW_FRAME_ON_CONNECTION))
		return false;
	if (h->type == TW_FRAME_SETTINGS)
		return !(h->length % 6) && !(h->length && flags & TW_FRAME_ACK);
	return true;
}

/* And it looks like nothing else: for places where no frame is known to begin. */
static inline __attribute__((always_inline)) bool
tw_frame_is_likely(const struct tw_frame_header *h)
{
	return h->type < TW_FRAME_TYPES && h->length <= TW_FRAME_LIKELY &&
	       !(h->flags & ~tw_rule_of(h)->flags) && tw_frame_fits(h);
}

#endif /* TOKENWATCH_BPF_FRAME_H_ */
