/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Where the bytes of a transfer are: by the kernel's iov_iter, or by the system call's registers.
 */
#ifndef TOKENWATCH_BPF_ITER_H_
#define TOKENWATCH_BPF_ITER_H_

#include "state.h"

/* System calls of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). */
enum tw_system_call {
	TW_CALL_READ = 0,
	TW_CALL_WRITE = 1,
	TW_CALL_READV = 19,
	TW_CALL_WRITEV = 20,
	TW_CALL_SENDTO = 44,
	TW_CALL_RECVFROM = 45,
	TW_CALL_SENDMSG = 46,
	TW_CALL_RECVMSG = 47,
	TW_CALL_SENDMMSG = 307,
};
#define TW_USER_CS 0x33 /* of 64-bit code */

/* Where the bytes of an iov_iter are in user memory. */
static __always_inline void tw_take_iter(struct tw_socket_call *call, struct iov_iter *iter)
{
	struct iov_iter___ubuf *flat = (void *)iter;
	u64 offset = BPF_CORE_READ(iter, iov_offset);
	bool is_flat = false, is_vector;

	if (bpf_core_field_exists(iter->iter_type)) {
		u8 type = BPF_CORE_READ(iter, iter_type);

		is_vector = type == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
		if (bpf_core_enum_value_exists(enum iter_type___ubuf, ITER_UBUF))
			is_flat = type == bpf_core_enum_value(enum iter_type___ubuf, ITER_UBUF);
	} else {
		struct iov_iter___bits *old = (void *)iter;
		unsigned int type = BPF_CORE_READ(old, type);

		is_vector = type & bpf_core_enum_value(enum iter_type, ITER_IOVEC);
	}
	call->pieces = 0;
	call->unseen = 0;
	if (is_flat) {
		call->at = (u64)BPF_CORE_READ(flat, ubuf) + offset;
		call->left = BPF_CORE_READ(iter, count);
	} else if (is_vector) {
		struct iovec first = {};
		const struct iovec *vector;

		if (bpf_core_field_exists(iter->__iov))
			vector = BPF_CORE_READ(iter, __iov);
		else
			vector = BPF_CORE_READ((struct iov_iter___iov *)iter, iov);
		bpf_probe_read_kernel(&first, sizeof(first), vector);
		call->at = (u64)first.iov_base + offset;
		call->left = first.iov_len - offset;
		call->vector = (u64)(vector + 1);
		call->pieces = BPF_CORE_READ(iter, nr_segs) - 1;
		call->vector_is_user = 0;
	} else {
		call->at = call->left = 0;
		call->unseen = 1;
	}
}

#endif /* TOKENWATCH_BPF_ITER_H_ */
