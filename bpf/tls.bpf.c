// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * TLS libraries with OpenSSL's interface: plaintext at SSL_write and SSL_read.
 *
 * Entry and return: the entry knows the buffer and the time, only the return knows how much the
 * library accepted. A call that failed or wants to be retried contributes nothing.
 */
#include "http.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Counted per attached probe where the kernel tells which one fired. */
#define TW_COUNT_PROBE(probe, member)                                                              \
	do {                                                                                       \
		u32 number = (probe);                                                              \
		struct tw_probe_count *count = bpf_map_lookup_elem(&tw_hits, &number);             \
                                                                                                   \
		if (count)                                                                         \
			__sync_fetch_and_add(&count->member, 1);                                   \
	} while (0)

/* Where a function leaves the byte count. */
enum tw_counted {
	TW_COUNTED_RESULT, /* it returns it */
	TW_COUNTED_FOURTH, /* behind its fourth argument */
	TW_COUNTED_FIFTH,
};

/* A call whose return did not show: a jump past it, an exception, or a site that is none. */
static __always_inline void tw_missed(const struct tw_call *call)
{
	tw_count(TW_COUNT_RETURN_MISSED);
	TW_COUNT_PROBE(call->probe, missed);
}

/*
 * The call that this one is made inside of, if any. The stack grows down: the one recorded last is
 * it where it lies above. One that lies a little below is gone. One far below is on another stack,
 * that of a coroutine, and comes back some time.
 */
static __always_inline void tw_find_outer(struct tw_thread *thread, struct tw_call_key *key,
					  struct tw_call *call)
{
	struct tw_call_key last = {.process = key->process, .stack = thread->inside_stack};
	struct tw_call *before;

	if (!thread->inside)
		return;
	if (last.stack > key->stack) {
		call->outer = thread->inside;
		call->outer_stack = thread->inside_stack;
		call->outer_direction = thread->inside_direction;
		return;
	}
	if (last.stack == key->stack || key->stack - last.stack > TW_STACK_NEAR)
		return;
	before = bpf_map_lookup_elem(&tw_calls, &last);
	if (!before)
		return;
	tw_missed(before);
	bpf_map_delete_elem(&tw_calls, &last);
}

static __always_inline int tw_enter(struct pt_regs *ctx, u8 direction, enum tw_counted counted,
				    u32 probe)
{
	struct tw_call_key key = {};
	struct tw_call call = {};
	struct tw_thread *thread;
	struct tw_call *before;

	thread = tw_this_thread();
	if (!thread)
		return 0;
	call.thread = bpf_get_current_pid_tgid();
	key.process = call.thread >> 32;
	key.stack = PT_REGS_SP(ctx);
	call.connection = PT_REGS_PARM1(ctx);
	call.buffer = PT_REGS_PARM2(ctx);
	call.length = PT_REGS_PARM3(ctx);
	if (counted == TW_COUNTED_FOURTH)
		call.done = PT_REGS_PARM4(ctx);
	else if (counted == TW_COUNTED_FIFTH)
		call.done = PT_REGS_PARM5(ctx);
	else
		call.length = (u32)call.length;
	call.called_ns = bpf_ktime_get_ns();
	call.probe = probe;
	before = bpf_map_lookup_elem(&tw_calls, &key);
	/* A tail call has its caller's place on the stack. */
	if (before && before->connection == call.connection && (before->probe != probe || !probe)) {
		call.outer = before->outer;
		call.outer_stack = before->outer_stack;
		call.outer_direction = before->outer_direction;
	} else {
		if (before)
			tw_missed(before);
		tw_find_outer(thread, &key, &call);
	}
	call.serials[0] = thread->seen[0].serial;
	call.serials[1] = thread->seen[1].serial;
	call.direction = direction;
	if (bpf_map_update_elem(&tw_calls, &key, &call, BPF_ANY)) {
		tw_count(TW_COUNT_CALLS_FULL);
		return 0;
	}
	thread->inside = call.connection;
	thread->inside_stack = key.stack;
	thread->inside_direction = direction;
	return 0;
}

/* The call ends: what it was made inside of goes on, unless that has ended meanwhile. */
static __always_inline void tw_leave(struct tw_thread *thread, const struct tw_call_key *key,
				     const struct tw_call *call)
{
	struct tw_call_key outer = {.process = key->process, .stack = call->outer_stack};

	/* Coroutines return in any order, and on any thread. */
	if (thread->inside_stack != key->stack)
		return;
	thread->inside = 0;
	if (!call->outer || !bpf_map_lookup_elem(&tw_calls, &outer))
		return;
	thread->inside = call->outer;
	thread->inside_stack = call->outer_stack;
	thread->inside_direction = call->outer_direction;
}

/* How many bytes the library took or gave; 0 where it failed or wants a retry. */
static __always_inline u64 tw_accepted(struct tw_call *call, long result, u32 probe)
{
	u64 count = 0;

	if (call->done) {
		if ((int)result <= 0)
			return 0;
		if (bpf_probe_read_user(&count, sizeof(count), (void *)call->done) ||
		    count > call->length) {
			/* What was found is not what the function leaves there. */
			TW_COUNT_PROBE(probe, misfits);
			return 0;
		}
	} else {
		if ((int)result <= 0)
			return 0;
		count = (u32)result;
	}
	return count < call->length ? count : call->length;
}

/* Whether the socket call was made on the TLS call's stack: another coroutine has another one. */
static __always_inline bool tw_is_below(const struct tw_sighting *seen, u64 stack)
{
	return !seen->stack || stack - seen->stack < TW_STACK_NEAR;
}

/*
 * Learns the connection's socket from what this thread did inside, or beside, the call, whose
 * return address lay at `stack`.
 */
static __always_inline void tw_learn_socket(struct tw_connection *c, struct tw_thread *thread,
					    struct tw_call *call, struct tw_connection_key *key,
					    u64 stack)
{
	/* A coroutine that has moved to another thread: what that one did before is not the call's.
	 */
	if (call->thread != bpf_get_current_pid_tgid())
		return;
	if (call->direction == TW_SENT) {
		if (thread->seen[TW_SENT].serial != call->serials[TW_SENT]) {
			if (tw_is_below(&thread->seen[TW_SENT], stack))
				tw_sighted(c, &thread->seen[TW_SENT], true);
		} else if (c->certainty != TW_PEER_EXACT) {
			/* A memory BIO: the next send of this thread carries the bytes. Two writers
			 * before one send say nothing. */
			if (thread->pending.pointer && thread->pending.pointer != key->pointer)
				thread->pending.pointer = ~0ULL;
			else
				thread->pending = *key;
		}
	} else if (thread->seen[TW_RECEIVED].serial != call->serials[TW_RECEIVED]) {
		if (tw_is_below(&thread->seen[TW_RECEIVED], stack))
			tw_sighted(c, &thread->seen[TW_RECEIVED], true);
	} else if (c->certainty != TW_PEER_EXACT && thread->seen[TW_RECEIVED].serial) {
		tw_sighted(c, &thread->seen[TW_RECEIVED], false);
	}
}

/* `stack` is where the return address lay. */
static __always_inline int tw_return(struct pt_regs *ctx, u64 stack, u32 probe)
{
	struct tw_connection_key key;
	struct tw_call_key call_key = {};
	struct tw_connection *c;
	struct tw_thread *thread;
	struct tw_call *call;
	struct tw_work *w;
	u64 count, called_ns;
	u8 direction;

	call_key.process = bpf_get_current_pid_tgid() >> 32;
	call_key.stack = stack;
	call = bpf_map_lookup_elem(&tw_calls, &call_key);
	if (!call)
		return 0;
	TW_COUNT_PROBE(call->probe, returns);
	thread = tw_this_thread();
	if (!thread)
		goto out;
	tw_leave(thread, &call_key, call);
	count = tw_accepted(call, PT_REGS_RC(ctx), probe);
	if (!count)
		goto out;
	tw_count(TW_COUNT_TLS_CALLS);
	direction = call->direction;
	called_ns = direction == TW_SENT ? call->called_ns : bpf_ktime_get_ns();
	tw_tls_key(&key, call->connection);
	c = tw_make_connection(&key, TW_LAYER_TLS, true);
	if (!c)
		goto out;
	c->freed_ns = 0;
	tw_learn_socket(c, thread, call, &key, stack);
	if (!tw_turn(c, direction))
		goto out;
	w = &thread->work;
	w->key = key;
	w->at = call->buffer;
	w->left = count;
	w->total = count;
	w->pieces = 0;
	w->span_len = 0;
	w->called_ns = called_ns;
	w->direction = direction;
	bpf_map_delete_elem(&tw_calls, &call_key);
	tw_walk_work(c, w);
	return 0;
out:
	bpf_map_delete_elem(&tw_calls, &call_key);
	return 0;
}

/*
 * The object begins a connection, at an address that may have been another's.
 */
static __always_inline int tw_renew(u64 pointer)
{
	struct tw_connection_key key;

	if (!pointer)
		return 0;
	tw_tls_key(&key, pointer);
	tw_end_connection(&key);
	tw_make_connection(&key, TW_LAYER_TLS, false);
	return 0;
}

/*
 * SSL_free drops a reference, and nothing here knows whether it was the last one. A connection that
 * owes no answer is forgotten; one that goes on all the same is met again as a late sighting. What
 * HTTP/2's streams owe is not counted here.
 */
static __always_inline int tw_free(u64 pointer)
{
	struct tw_connection_key key;
	struct tw_connection *c;

	tw_tls_key(&key, pointer);
	c = bpf_map_lookup_elem(&tw_connections, &key);
	if (!c)
		return 0;
	if (c->spoke != TW_SPOKE_HTTP2 && c->requests == c->answered &&
	    c->streams[0].mode != TW_MODE_BLOCK) {
		tw_end_connection(&key);
		return 0;
	}
	c->freed_ns = bpf_ktime_get_ns();
	tw_tell_close(c->id, false);
	return 0;
}

/* A filter BIO calls the library's internals, past the functions that are probed. */
static __always_inline int tw_past_api(void)
{
	tw_this_process();
	tw_tell_gap(0, TW_LAYER_TLS, TW_SENT, TW_GAP_PAST_API, 0);
	return 0;
}

/*
 * Kernels from 6.13 on (commit a76ab5731e32) give a program of this type a stack for each CPU, and
 * count on nothing running it there twice at once. With probes in user space nothing sees to that,
 * and they run with preemption on: on 7.3 a task that had been preempted in here came back to
 * another's pointers on its stack, and the kernel oopsed. A program that holds a tail call keeps
 * the stack of its task, even where the call is never made.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} tw_nothing SEC(".maps");
const volatile bool tw_calls_nothing = false;

static __always_inline void tw_keep_task_stack(struct pt_regs *ctx)
{
	if (tw_calls_nothing)
		bpf_tail_call(ctx, &tw_nothing, 0);
}

/*
 * Kernels with attach cookies (5.15) have one program for all entries and one for all returns, so
 * that one link serves a library (uprobe.multi, 6.6): to take a link away costs a grace period.
 */
SEC("uprobe")
int tw_tls_entry(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 probe = TW_COOKIE_PROBE(cookie);

	tw_keep_task_stack(ctx);
	if (!tw_in_scope())
		return 0;
	TW_COUNT_PROBE(probe, hits);
	switch (TW_COOKIE_FUNCTION(cookie)) {
	case TW_FUNCTION_WRITE:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_RESULT, probe);
	case TW_FUNCTION_WRITE_EX:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_FOURTH, probe);
	case TW_FUNCTION_WRITE_EX2:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_FIFTH, probe);
	case TW_FUNCTION_READ:
		return tw_enter(ctx, TW_RECEIVED, TW_COUNTED_RESULT, probe);
	case TW_FUNCTION_READ_EX:
		return tw_enter(ctx, TW_RECEIVED, TW_COUNTED_FOURTH, probe);
	case TW_FUNCTION_BEGIN:
		return tw_renew(PT_REGS_PARM1(ctx));
	case TW_FUNCTION_FREE:
		return tw_free(PT_REGS_PARM1(ctx));
	case TW_FUNCTION_PAST_API:
		return tw_past_api();
	}
	return 0;
}

/*
 * At the sites that all returns of a function pass, or, where these are not known, at the kernel's
 * return probe. Behind a call and behind a return probe the return address is off the stack.
 */
SEC("uprobe")
int tw_tls_exit(struct pt_regs *ctx)
{
	u64 cookie, stack;

	tw_keep_task_stack(ctx);
	if (!tw_in_scope())
		return 0;
	cookie = bpf_get_attach_cookie(ctx);
	stack = PT_REGS_SP(ctx);
	if (!(cookie & TW_COOKIE_AT_RETURN))
		stack -= 8;
	return tw_return(ctx, stack, TW_COOKIE_PROBE(cookie));
}

/* Before 5.15: a program a function, and one hit counter for all. */
#define TW_PLAIN(name, body)                                                                       \
	SEC("uprobe")                                                                              \
	int name(struct pt_regs *ctx)                                                              \
	{                                                                                          \
		(void)ctx;                                                                         \
		if (!tw_in_scope())                                                                \
			return 0;                                                                  \
		return body;                                                                       \
	}
#define TW_PLAIN_ENTRY(name, body)                                                                 \
	TW_PLAIN(name, ({                                                                          \
			 TW_COUNT_PROBE(0, hits);                                                  \
			 body;                                                                     \
		 }))

TW_PLAIN_ENTRY(tw_tls_write, tw_enter(ctx, TW_SENT, TW_COUNTED_RESULT, 0))
TW_PLAIN_ENTRY(tw_tls_write_ex, tw_enter(ctx, TW_SENT, TW_COUNTED_FOURTH, 0))
TW_PLAIN_ENTRY(tw_tls_write_ex2, tw_enter(ctx, TW_SENT, TW_COUNTED_FIFTH, 0))
TW_PLAIN_ENTRY(tw_tls_read, tw_enter(ctx, TW_RECEIVED, TW_COUNTED_RESULT, 0))
TW_PLAIN_ENTRY(tw_tls_read_ex, tw_enter(ctx, TW_RECEIVED, TW_COUNTED_FOURTH, 0))
TW_PLAIN_ENTRY(tw_tls_begin, tw_renew(PT_REGS_PARM1(ctx)))
TW_PLAIN_ENTRY(tw_tls_free, tw_free(PT_REGS_PARM1(ctx)))
TW_PLAIN_ENTRY(tw_tls_past_api, tw_past_api())
TW_PLAIN(tw_tls_return, tw_return(ctx, PT_REGS_SP(ctx) - 8, 0))
TW_PLAIN(tw_tls_at_return, tw_return(ctx, PT_REGS_SP(ctx), 0))
