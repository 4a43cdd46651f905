// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * TLS libraries with OpenSSL's interface: plaintext at SSL_write and SSL_read.
 *
 * Entry and return: the entry knows the buffer and the time, only the return knows how much the
 * library accepted. A call that failed or wants to be retried contributes nothing.
 */
#include "http.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Hits are counted per attached probe where the kernel tells which one fired. */
static __always_inline void tw_hit(u32 probe)
{
	struct tw_probe_count *count = bpf_map_lookup_elem(&tw_hits, &probe);

	if (count)
		__sync_fetch_and_add(&count->hits, 1);
}

/* What was found at a probe is not what its function leaves there. */
static __always_inline void tw_misfit(u32 probe)
{
	struct tw_probe_count *count = bpf_map_lookup_elem(&tw_hits, &probe);

	if (count)
		__sync_fetch_and_add(&count->misfits, 1);
}

/* Where a function leaves the byte count. */
enum tw_counted {
	TW_COUNTED_RESULT, /* it returns it */
	TW_COUNTED_FOURTH, /* behind its fourth argument */
	TW_COUNTED_FIFTH,
};

static __always_inline int tw_enter(struct pt_regs *ctx, u8 direction, enum tw_counted counted)
{
	struct tw_call_key key = {};
	struct tw_call call = {};
	struct tw_thread *thread;

	thread = tw_this_thread();
	if (!thread)
		return 0;
	key.thread = bpf_get_current_pid_tgid();
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
	/*
	 * The stack grows down: a call above the recorded one means that that one is gone. One at
	 * the same place is a tail call of it, or comes after it.
	 */
	if (thread->inside && key.stack >= thread->inside_stack) {
		struct tw_call *before = bpf_map_lookup_elem(&tw_calls, &key);

		thread->inside = 0;
		if (before && before->connection == call.connection) {
			thread->inside = before->outer;
			thread->inside_stack = before->outer_stack;
			thread->inside_direction = before->outer_direction;
		} else {
			tw_count(TW_COUNT_RETURN_MISSED);
		}
	}
	call.outer = thread->inside;
	call.outer_stack = thread->inside_stack;
	call.outer_direction = thread->inside_direction;
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

/* How many bytes the library took or gave; 0 where it failed or wants a retry. */
static __always_inline u64 tw_accepted(struct tw_call *call, long result, u32 probe)
{
	u64 count = 0;

	if (call->done) {
		if ((int)result <= 0)
			return 0;
		if (bpf_probe_read_user(&count, sizeof(count), (void *)call->done) ||
		    count > call->length) {
			tw_misfit(probe);
			return 0;
		}
	} else {
		if ((int)result <= 0)
			return 0;
		count = (u32)result;
	}
	return count < call->length ? count : call->length;
}

/* Learns the connection's socket from what this thread did inside, or beside, the call. */
static __always_inline void tw_learn_socket(struct tw_connection *c, struct tw_thread *thread,
					    struct tw_call *call, struct tw_connection_key *key)
{
	if (call->direction == TW_SENT) {
		if (thread->seen[TW_SENT].serial != call->serials[TW_SENT]) {
			tw_sighted(c, &thread->seen[TW_SENT].ends, true);
		} else if (c->certainty != TW_PEER_EXACT) {
			/* A memory BIO: the next send of this thread carries the bytes. Two writers
			 * before one send say nothing. */
			if (thread->pending.pointer && thread->pending.pointer != key->pointer)
				thread->pending.pointer = ~0ULL;
			else
				thread->pending = *key;
		}
	} else if (thread->seen[TW_RECEIVED].serial != call->serials[TW_RECEIVED]) {
		tw_sighted(c, &thread->seen[TW_RECEIVED].ends, true);
	} else if (c->certainty != TW_PEER_EXACT && thread->seen[TW_RECEIVED].serial) {
		tw_sighted(c, &thread->seen[TW_RECEIVED].ends, false);
	}
}

static __always_inline int tw_return(struct pt_regs *ctx, u32 probe)
{
	struct tw_connection_key key;
	struct tw_call_key call_key = {};
	struct tw_connection *c;
	struct tw_thread *thread;
	struct tw_call *call;
	struct tw_work *w;
	u64 count, called_ns;
	u8 direction;

	call_key.thread = bpf_get_current_pid_tgid();
	/* The return has taken the return address off the stack. */
	call_key.stack = PT_REGS_SP(ctx) - 8;
	call = bpf_map_lookup_elem(&tw_calls, &call_key);
	if (!call)
		return 0;
	thread = tw_find_thread();
	if (!thread)
		goto out;
	thread->inside = call->outer;
	thread->inside_stack = call->outer_stack;
	thread->inside_direction = call->outer_direction;
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
	tw_learn_socket(c, thread, call, &key);
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
 * The object begins a connection: SSL_new made it, at an address that may have been another's, or
 * SSL_clear keeps it for another connection.
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
 * Kernels with attach cookies (5.15) have one program for all entries and one for all returns, so
 * that one link serves a library (uprobe.multi, 6.6): to take a link away costs a grace period.
 */
SEC("uprobe")
int tw_tls_entry(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);

	if (!tw_in_scope())
		return 0;
	tw_hit(TW_COOKIE_PROBE(cookie));
	switch (TW_COOKIE_FUNCTION(cookie)) {
	case TW_FUNCTION_WRITE:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_RESULT);
	case TW_FUNCTION_WRITE_EX:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_FOURTH);
	case TW_FUNCTION_WRITE_EX2:
		return tw_enter(ctx, TW_SENT, TW_COUNTED_FIFTH);
	case TW_FUNCTION_READ:
		return tw_enter(ctx, TW_RECEIVED, TW_COUNTED_RESULT);
	case TW_FUNCTION_READ_EX:
		return tw_enter(ctx, TW_RECEIVED, TW_COUNTED_FOURTH);
	case TW_FUNCTION_CLEAR:
		return tw_renew(PT_REGS_PARM1(ctx));
	case TW_FUNCTION_FREE:
		return tw_free(PT_REGS_PARM1(ctx));
	case TW_FUNCTION_PAST_API:
		return tw_past_api();
	}
	return 0;
}

SEC("uretprobe")
int tw_tls_exit(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);

	if (!tw_in_scope())
		return 0;
	if (TW_COOKIE_FUNCTION(cookie) != TW_FUNCTION_NEW)
		return tw_return(ctx, TW_COOKIE_PROBE(cookie));
	tw_hit(TW_COOKIE_PROBE(cookie));
	return tw_renew(PT_REGS_RC(ctx));
}

/* Before 5.15: a program a function, and one hit counter for all. */
#define TW_PLAIN(section, name, body)                                                              \
	SEC(section)                                                                               \
	int name(struct pt_regs *ctx)                                                              \
	{                                                                                          \
		(void)ctx;                                                                         \
		if (!tw_in_scope())                                                                \
			return 0;                                                                  \
		tw_hit(0);                                                                         \
		return body;                                                                       \
	}

TW_PLAIN("uprobe", tw_tls_write, tw_enter(ctx, TW_SENT, TW_COUNTED_RESULT))
TW_PLAIN("uprobe", tw_tls_write_ex, tw_enter(ctx, TW_SENT, TW_COUNTED_FOURTH))
TW_PLAIN("uprobe", tw_tls_write_ex2, tw_enter(ctx, TW_SENT, TW_COUNTED_FIFTH))
TW_PLAIN("uprobe", tw_tls_read, tw_enter(ctx, TW_RECEIVED, TW_COUNTED_RESULT))
TW_PLAIN("uprobe", tw_tls_read_ex, tw_enter(ctx, TW_RECEIVED, TW_COUNTED_FOURTH))
TW_PLAIN("uprobe", tw_tls_clear, tw_renew(PT_REGS_PARM1(ctx)))
TW_PLAIN("uprobe", tw_tls_free, tw_free(PT_REGS_PARM1(ctx)))
TW_PLAIN("uprobe", tw_tls_past_api, tw_past_api())
TW_PLAIN("uretprobe", tw_tls_new, tw_renew(PT_REGS_RC(ctx)))
TW_PLAIN("uretprobe", tw_tls_return, tw_return(ctx, 0))
