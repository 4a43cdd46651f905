// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * TCP sockets: plain HTTP, and which socket a TLS connection uses.
 *
 * Three backends feed the same two functions, one when a call begins to send or receive and one
 * when the kernel knows how much it did. The agent loads the first that the kernel allows:
 *
 *   fentry      fentry/fexit on tcp_sendmsg and tcp_recvmsg
 *   kprobe      kprobe/kretprobe on the same
 *   tracepoint  tcp_sendmsg_locked (6.16, commit 0f08335ade71) begins a send and hands over the
 *               msghdr; sock_send_length and sock_recv_length (6.3, commit 6e6eda44b939) end a
 *               call; the buffer of a receive is in the registers of its system call, where they
 *               lie until it ends, so that no system call is slowed
 *
 * tcp_sendmsg and not sendto: one place for every system call that sends, io_uring included.
 */
#include "http.h"
#include "iter.h"
#include "wire.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * tcp_recvmsg has 6 arguments, or 5 without `nonblock` (5.19, commit ec095263a965), or 4 without
 * `addr_len`, too (seen in 7.3). Its flags are behind the former and before the latter.
 */
const volatile __u8 tw_recvmsg_arguments = 5;

/* A value that the compiler may not merge with another branch's: the context is read at constant
 * offsets only. */
#define TW_APART(expression)                                                                       \
	({                                                                                         \
		u64 value = (expression);                                                          \
		asm volatile("" : "+r"(value));                                                    \
		value;                                                                             \
	})

static __always_inline bool tw_is_tcp(struct sock *sk)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return (family == AF_INET || family == AF_INET6) &&
	       BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
}

static __always_inline struct tw_socket_call *tw_call_of(struct tw_thread *thread, u8 direction)
{
	return direction == TW_SENT ? &thread->calls[TW_SENT] : &thread->calls[TW_RECEIVED];
}

/* A call begins. A record that is still there belongs to one whose end was not seen. */
static __always_inline struct tw_socket_call *tw_begin_call(struct sock *sk, u8 direction)
{
	struct tw_socket_call *call;
	struct tw_thread *thread;

	if (!tw_in_scope() || !tw_is_tcp(sk))
		return NULL;
	thread = tw_this_thread();
	if (!thread)
		return NULL;
	call = tw_call_of(thread, direction);
	if (call->sock && call->sock != (u64)sk)
		tw_count(TW_COUNT_RETURN_MISSED);
	call->sock = (u64)sk;
	call->called_ns = bpf_ktime_get_ns();
	return call;
}

static __always_inline bool tw_is_excluded(const struct tw_ends *ends)
{
	struct tw_excluded key = {};

	key.family = ends->family;
	key.port = ends->peer_port;
	__builtin_memcpy(key.address, ends->peer, sizeof(key.address));
	if (bpf_map_lookup_elem(&tw_excluded, &key))
		return true;
	key.port = ends->local_port;
	__builtin_memcpy(key.address, ends->local, sizeof(key.address));
	return bpf_map_lookup_elem(&tw_excluded, &key) != NULL;
}

/* The socket's connection, made at its first sighting. */
static __always_inline struct tw_connection *tw_of_socket(struct tw_connection_key *key,
							  const struct tw_ends *ends, u8 direction)
{
	struct tw_connection *c = bpf_map_lookup_elem(&tw_connections, key);
	struct tcp_sock *tcp = (void *)key->pointer;

	if (c && c->ends.family)
		return c;
	if (!c) {
		/* A server's connection is new where it has not answered anything yet. */
		bool late = direction == TW_SENT || BPF_CORE_READ(tcp, data_segs_out);

		c = tw_make_connection(key, TW_LAYER_SOCKET, late);
		if (!c)
			return NULL;
	}
	c->ends = *ends;
	c->certainty = TW_PEER_EXACT;
	if (tw_is_excluded(ends)) {
		c->role = TW_ROLE_IGNORED;
		tw_set_mode(c, TW_MODE_OPAQUE);
	}
	return c;
}

/*
 * A TLS write of this thread awaited its send: this socket may be the connection's. This and
 * tw_watch_wire are functions of their own for the stack: with both inside it, the end of a send,
 * tw_walk_on and tw_scan had more than the 512 bytes that they share.
 */
static __noinline void tw_match_pending(struct tw_thread *thread, const struct tw_sighting *seen)
{
	struct tw_connection_key key = thread->pending;
	struct tw_connection *c;

	if (!key.pointer)
		return;
	thread->pending.pointer = 0;
	if (key.pointer == ~0ULL)
		return;
	c = bpf_map_lookup_elem(&tw_connections, &key);
	if (c)
		tw_sighted(c, seen, false);
}

/*
 * Bytes that were received by ways that no backend sees: splice, recvmmsg, io_uring, zero copy. The
 * socket's own count of what was taken out of it tells.
 */
static __always_inline void tw_find_unseen(struct tw_connection *c, struct sock *sk, u32 count)
{
	struct tcp_sock *tcp = (void *)sk;
	u32 bytes, begin, end;
	s32 unseen;

	/* kTLS counts plaintext and takes records. */
	if (BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_ulp_ops))
		return;
	end = BPF_CORE_READ(tcp, copied_seq);
	bytes = BPF_CORE_READ(tcp, bytes_received);
	begin = c->received ? c->received_to : BPF_CORE_READ(tcp, rcv_nxt) - bytes;
	unseen = end - count - begin;
	/* The FIN counts as a byte and is taken with the last data. */
	if (unseen == 1 && BPF_CORE_READ(sk, __sk_common.skc_state) >= TCP_TIME_WAIT)
		unseen = 0;
	/* What was taken before a late sighting is not missed. */
	if (unseen > 0 && (c->received || !c->late))
		tw_pass_unseen(c, TW_RECEIVED, unseen, TW_GAP_UNSEEN_CALL);
	c->received_to = end;
	c->received = 1;
}

#define TW_KERNEL_STACK (16 << 10) /* x86-64, without KASAN */

/* The current thread's stack pointer in user space; 0 where it is not known. */
static __always_inline u64 tw_user_stack(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct pt_regs___kernel *regs;

	/* The helper is of 5.15 (commit dd6e10fbd9fb). */
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	else
		regs = (void *)((u64)BPF_CORE_READ(task, stack) + TW_KERNEL_STACK -
				bpf_core_type_size(struct pt_regs___kernel));
	return BPF_CORE_READ(regs, sp);
}

/*
 * Whether the current thread is inside the TLS call that it began last, in this direction. A
 * coroutine may have left that call's stack.
 */
static __always_inline bool tw_is_inside(const struct tw_thread *thread, u8 direction)
{
	u64 stack;

	if (!thread->inside || thread->inside_direction != direction)
		return false;
	stack = tw_user_stack();
	return !stack || thread->inside_stack - stack < TW_STACK_NEAR;
}

/*
 * The current thread's call on `sk` in `direction` transferred `count` bytes. `flags` are the
 * call's, where they are known.
 */
static __always_inline void tw_end_call(struct sock *sk, u8 direction, long count, u32 flags,
					u8 unseen_reason)
{
	struct tw_connection_key key;
	struct tw_socket_call *call;
	struct tw_sighting *seen;
	struct tw_connection *c;
	struct tw_thread *thread;
	struct tw_work *w;
	struct tw_ends ends;
	bool known;

	if (!tw_in_scope())
		return;
	thread = tw_this_thread();
	if (!thread)
		return;
	call = tw_call_of(thread, direction);
	if (!sk)
		sk = (void *)call->sock;
	/* What is truncated was never written to the buffer. */
	known = call->sock == (u64)sk && !call->unseen && !(flags & MSG_TRUNC);
	call->sock = 0;
	if (!sk || count <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return;
	if (!tw_is_tcp(sk)) {
		if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP)
			tw_count(TW_COUNT_MPTCP);
		return;
	}
	if (!tw_read_ends(sk, &ends))
		return;
	tw_count(direction == TW_SENT ? TW_COUNT_SEND_CALLS : TW_COUNT_RECEIVE_CALLS);
	seen = direction == TW_SENT ? &thread->seen[TW_SENT] : &thread->seen[TW_RECEIVED];
	seen->stack = tw_user_stack();
	seen->ends = ends;
	seen->serial++;
	seen->sock = (u64)sk;
	tw_socket_key(&key, (u64)sk);
	if (direction == TW_SENT) {
		c = tw_of_socket(&key, &ends, direction);
		if (c) {
			call->unseen |= !known;
			tw_watch_wire(c, call, count);
		}
	}
	/*
	 * A write inside SSL_write, a read inside SSL_read: the library's records, not HTTP. But
	 * what is sent inside SSL_read may be anything: node finishes handshakes there, and its
	 * callbacks send.
	 */
	if (tw_is_inside(thread, direction))
		return;
	if (direction == TW_SENT)
		tw_match_pending(thread, seen);
	c = tw_of_socket(&key, &ends, direction);
	if (!c)
		return;
	if (direction == TW_RECEIVED)
		tw_find_unseen(c, sk, count);
	else if (c->role == TW_ROLE_CLIENT && tw_awaited(c) == 1)
		/* Before the next request, so that it is not taken for a pipelined one. */
		tw_find_unseen(c, sk, 0);
	if (!known) {
		tw_pass_unseen(c, direction, count, unseen_reason);
		return;
	}
	if (!tw_turn(c, direction))
		return;
	w = &thread->work;
	w->key = key;
	w->at = call->at;
	w->left = call->left;
	w->total = count;
	w->vector = call->vector;
	w->pieces = call->pieces;
	w->vector_is_user = call->vector_is_user;
	w->span_len = 0;
	w->called_ns = direction == TW_SENT ? call->called_ns : bpf_ktime_get_ns();
	w->direction = direction;
	tw_walk_work(c, w);
}

static __always_inline struct tw_socket_call *tw_begin_msghdr(struct sock *sk, struct msghdr *msg,
							      u8 direction)
{
	struct tw_socket_call *call = tw_begin_call(sk, direction);

	if (call)
		tw_take_iter(call, &msg->msg_iter);
	return call;
}

/* --- fentry --- */

SEC("fentry/tcp_sendmsg")
int tw_send_fentry(u64 *ctx)
{
	tw_begin_msghdr((void *)ctx[0], (void *)ctx[1], TW_SENT);
	return 0;
}

SEC("fexit/tcp_sendmsg")
int tw_send_fexit(u64 *ctx)
{
	tw_end_call((void *)ctx[0], TW_SENT, (int)ctx[3], 0, TW_GAP_KERNEL_BUFFER);
	return 0;
}

SEC("fentry/tcp_recvmsg")
int tw_receive_fentry(u64 *ctx)
{
	tw_begin_msghdr((void *)ctx[0], (void *)ctx[1], TW_RECEIVED);
	return 0;
}

SEC("fexit/tcp_recvmsg")
int tw_receive_fexit(u64 *ctx)
{
	u64 flags, count;

	if (tw_recvmsg_arguments == 6) {
		flags = TW_APART(ctx[4]);
		count = TW_APART(ctx[6]);
	} else if (tw_recvmsg_arguments == 5) {
		flags = TW_APART(ctx[3]);
		count = TW_APART(ctx[5]);
	} else {
		flags = TW_APART(ctx[3]);
		count = TW_APART(ctx[4]);
	}
	tw_end_call((void *)ctx[0], TW_RECEIVED, (int)count, flags, TW_GAP_KERNEL_BUFFER);
	return 0;
}

/* --- kprobe --- */

SEC("kprobe/tcp_sendmsg")
int tw_send_kprobe(struct pt_regs *ctx)
{
	tw_begin_msghdr((void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx), TW_SENT);
	return 0;
}

SEC("kretprobe/tcp_sendmsg")
int tw_send_kretprobe(struct pt_regs *ctx)
{
	tw_end_call(NULL, TW_SENT, (int)PT_REGS_RC(ctx), 0, TW_GAP_KERNEL_BUFFER);
	return 0;
}

SEC("kprobe/tcp_recvmsg")
int tw_receive_kprobe(struct pt_regs *ctx)
{
	struct tw_socket_call *call;
	u64 flags;

	if (tw_recvmsg_arguments == 6)
		flags = TW_APART(PT_REGS_PARM5(ctx));
	else
		flags = TW_APART(PT_REGS_PARM4(ctx));
	/* The return does not know the flags: a call that only peeks is not begun. */
	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	call = tw_begin_msghdr((void *)PT_REGS_PARM1(ctx), (void *)PT_REGS_PARM2(ctx), TW_RECEIVED);
	if (call && flags & MSG_TRUNC)
		call->unseen = 1;
	return 0;
}

SEC("kretprobe/tcp_recvmsg")
int tw_receive_kretprobe(struct pt_regs *ctx)
{
	tw_end_call(NULL, TW_RECEIVED, (int)PT_REGS_RC(ctx), 0, TW_GAP_KERNEL_BUFFER);
	return 0;
}

/* --- tracepoint --- */

/* Fires for each buffer that a send fills; the first one of a call has the whole iov_iter. */
SEC("tp_btf/tcp_sendmsg_locked")
int tw_send_locked(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct tw_thread *thread = tw_find_thread();

	if (thread && thread->calls[TW_SENT].sock == (u64)sk)
		return 0;
	tw_begin_msghdr(sk, (void *)ctx[1], TW_SENT);
	return 0;
}

SEC("tp_btf/sock_send_length")
int tw_send_length(u64 *ctx)
{
	tw_end_call((void *)ctx[0], TW_SENT, (int)ctx[1], 0, TW_GAP_KERNEL_BUFFER);
	return 0;
}

/*
 * The buffer of the receiving system call that the current thread is in. An io_uring worker is in
 * none, and has no registers.
 */
static __always_inline void tw_take_registers(struct tw_socket_call *call)
{
	struct pt_regs___kernel *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u64 number = BPF_CORE_READ(regs, orig_ax);
	struct user_msghdr msg = {};

	call->at = BPF_CORE_READ(regs, si);
	call->left = BPF_CORE_READ(regs, dx);
	call->pieces = 0;
	call->unseen = 0;
	if ((u16)BPF_CORE_READ(regs, cs) != TW_USER_CS) {
		call->unseen = 1;
	} else if (number == TW_CALL_READV) {
		call->vector = call->at;
		call->pieces = call->left;
		call->at = 0;
		call->left = 0;
	} else if (number == TW_CALL_RECVMSG) {
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)call->at))
			call->unseen = 1;
		call->vector = (u64)msg.msg_iov;
		call->pieces = msg.msg_iovlen;
		call->at = 0;
		call->left = 0;
	} else if (number != TW_CALL_READ && number != TW_CALL_RECVFROM) {
		call->unseen = 1;
	}
	call->vector_is_user = 1;
}

SEC("tp_btf/sock_recv_length")
int tw_receive_length(u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct tw_socket_call *call = tw_begin_call(sk, TW_RECEIVED);

	if (call)
		tw_take_registers(call);
	tw_end_call(sk, TW_RECEIVED, (int)ctx[1], ctx[2], TW_GAP_UNSEEN_CALL);
	return 0;
}

/* --- all backends: where connections begin and end --- */

SEC("tp_btf/inet_sock_set_state")
int tw_socket_state(u64 *ctx)
{
	struct tw_connection_key key;
	struct sock *sk = (void *)ctx[0];

	/* connect() runs in its process: a connection that is seen from its start. */
	if ((int)ctx[2] != TCP_SYN_SENT || !tw_in_scope() || !tw_is_tcp(sk))
		return 0;
	tw_socket_key(&key, (u64)sk);
	tw_end_connection(&key);
	tw_make_connection(&key, TW_LAYER_SOCKET, false);
	return 0;
}

/* The sock's memory is about to be reused. Runs in whatever task drops the last reference. */
SEC("tp_btf/tcp_destroy_sock")
int tw_socket_destroyed(u64 *ctx)
{
	struct tw_connection_key key;

	tw_socket_key(&key, ctx[0]);
	tw_end_connection(&key);
	return 0;
}
