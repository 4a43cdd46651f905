// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * QUIC connections that processes begin. Nothing of them is read; they are seen so that they can be
 * counted as dark.
 *
 * A client's first datagram is an Initial packet, which a server's first answer is as well (RFC
 * 9000, 17.2.2; version 2: RFC 9369). But a server's port was asked for, a client's is any. One
 * connection is told a socket.
 *
 * Backends as in socket.bpf.c; the agent loads the first that the kernel allows.
 */
#include "connection.h"
#include "iter.h"
#include "process.h"
#include "scope.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TW_QUIC_1 0x00000001
#define TW_QUIC_2 0x6b3343cf
#define TW_QUIC_FORM 0xf0 /* header form, fixed bit and packet type */
#define TW_QUIC_INITIAL_1 0xc0
#define TW_QUIC_INITIAL_2 0xd0
#define TW_QUIC_DATAGRAM 1200 /* bytes at least of one with an Initial packet (14.1) */

struct tw_quic_socket {
	u32 pid;
	u32 port; /* local: the sock's memory may be another's by now */
};

/* Sockets that were told. Of one that falls out, a connection is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct tw_quic_socket);
} tw_quic_sockets SEC(".maps");

static __always_inline bool tw_is_initial(const u8 *head)
{
	u32 version = (u32)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
	u8 form = head[0] & TW_QUIC_FORM;

	return (version == TW_QUIC_1 && form == TW_QUIC_INITIAL_1) ||
	       (version == TW_QUIC_2 && form == TW_QUIC_INITIAL_2);
}

/* The current thread sends `length` bytes, which begin at `at`, through a UDP socket. */
static __always_inline int tw_see_datagram(struct sock *sk, u64 at, u64 length)
{
	struct tw_quic_socket now, *told;
	u64 key = (u64)sk;
	u8 head[5] = {};

	if (length < TW_QUIC_DATAGRAM || !tw_in_scope())
		return 0;
	if (bpf_probe_read_user(head, sizeof(head), (void *)at) || !tw_is_initial(head))
		return 0;
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		return 0;
	now.pid = bpf_get_current_pid_tgid() >> 32;
	now.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	told = bpf_map_lookup_elem(&tw_quic_sockets, &key);
	if (told && told->pid == now.pid && told->port == now.port)
		return 0;
	bpf_map_update_elem(&tw_quic_sockets, &key, &now, BPF_ANY);
	tw_put_tls(tw_unique(), 0, tw_this_process(), TW_TLS_QUIC);
	return 0;
}

static __always_inline int tw_see_msghdr(struct sock *sk, struct msghdr *msg, u64 length)
{
	struct tw_socket_call call = {};

	tw_take_iter(&call, &msg->msg_iter);
	return call.unseen ? 0 : tw_see_datagram(sk, call.at, length);
}

SEC("fentry/udp_sendmsg")
int tw_udp_fentry(u64 *ctx)
{
	return tw_see_msghdr((void *)ctx[0], (void *)ctx[1], ctx[2]);
}

SEC("fentry/udpv6_sendmsg")
int tw_udpv6_fentry(u64 *ctx)
{
	return tw_see_msghdr((void *)ctx[0], (void *)ctx[1], ctx[2]);
}

SEC("kprobe/udp_sendmsg")
int tw_udp_kprobe(struct pt_regs *ctx)
{
	return tw_see_msghdr((void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx),
			     PT_REGS_PARM3(ctx));
}

SEC("kprobe/udpv6_sendmsg")
int tw_udpv6_kprobe(struct pt_regs *ctx)
{
	return tw_see_msghdr((void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx),
			     PT_REGS_PARM3(ctx));
}

/* The first bytes that the sending system call was given; 0: not known. Of several messages, those
 * of the first. */
static __always_inline u64 tw_sent_from(void)
{
	struct pt_regs___kernel *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u64 number = BPF_CORE_READ(regs, orig_ax);
	u64 at = BPF_CORE_READ(regs, si);
	struct user_msghdr msg = {};
	struct iovec first = {};

	if ((u16)BPF_CORE_READ(regs, cs) != TW_USER_CS)
		return 0;
	if (number == TW_CALL_WRITE || number == TW_CALL_SENDTO)
		return at;
	if (number == TW_CALL_SENDMSG || number == TW_CALL_SENDMMSG) {
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)at))
			return 0;
		at = (u64)msg.msg_iov;
	} else if (number != TW_CALL_WRITEV) {
		return 0;
	}
	if (bpf_probe_read_user(&first, sizeof(first), (void *)at))
		return 0;
	return (u64)first.iov_base;
}

SEC("tp_btf/sock_send_length")
int tw_udp_send_length(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int length = ctx[1];

	if (length < TW_QUIC_DATAGRAM || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_UDP)
		return 0;
	return tw_see_datagram(sk, tw_sent_from(), length);
}
