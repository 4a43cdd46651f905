/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The walk over a call's bytes, as far as both HTTP versions share it: where it is, what it emits,
 * and how it gives up.
 */
#ifndef TOKENWATCH_BPF_WALK_H_
#define TOKENWATCH_BPF_WALK_H_

#include "connection.h"
#include "frame.h"
#include "framing.h"

/* The automaton (framing.h). */
const volatile __u8 tw_class[256] = {};
const volatile __u16 tw_table[TW_STATES * TW_CLASSES] = {};

enum tw_step {
	TW_STEP_ON = 0, /* go on */
	TW_STEP_DONE,	/* the call has been walked */
	TW_STEP_EMIT,	/* emit the span */
	TW_STEP_ENDED,	/* emit the span: it ends a block */
	TW_STEP_SCAN,	/* look at the next bytes */
	TW_STEP_FRAME,	/* walk HTTP/2 frames */
	TW_STEP_TAKE,	/* look at the payload of a DATA frame */
	TW_STEP_KINDS = 15,
	/* With one of the above: */
	TW_STEP_LOOK = 16,  /* the span is of a client's header block */
	TW_STEP_AFTER = 32, /* what ended may begin or end a wanted body */
};

static __always_inline struct tw_stream *tw_stream_of(struct tw_connection *c, u8 direction)
{
	return direction == TW_SENT ? &c->streams[TW_SENT] : &c->streams[TW_RECEIVED];
}

static __always_inline struct tw_thread *tw_walk(struct tw_connection **c, struct tw_stream **s)
{
	struct tw_thread *thread = tw_find_thread();

	if (!thread)
		return NULL;
	*c = bpf_map_lookup_elem(&tw_connections, &thread->work.key);
	if (!*c)
		return NULL;
	*s = tw_stream_of(*c, thread->work.direction);
	return thread;
}

static __always_inline bool tw_is_request(const struct tw_connection *c, u8 direction)
{
	return (c->role == TW_ROLE_CLIENT) == (direction == TW_SENT);
}

static __always_inline struct tw_stream *tw_opposite(struct tw_connection *c, u8 direction)
{
	return direction == TW_SENT ? &c->streams[TW_RECEIVED] : &c->streams[TW_SENT];
}

static __always_inline void tw_set_mode(struct tw_connection *c, u8 mode)
{
	c->streams[0].mode = mode;
	c->streams[1].mode = mode;
}

static __always_inline void tw_give_up(struct tw_connection *c, u8 direction, u8 reason)
{
	tw_tell_gap(c->id, c->layer, direction, reason, 0);
	tw_set_mode(c, TW_MODE_OPAQUE);
}

/*
 * Requests that await an answer; negative where answers are ahead: one thread may have received an
 * answer while another is still inside the call that sent its request.
 */
static __always_inline s32 tw_awaited(const struct tw_connection *c)
{
	return c->requests - c->answered;
}

/* What is unanswered stays so. */
static __always_inline void tw_drop_awaited(struct tw_connection *c)
{
	if (tw_awaited(c) > 0)
		c->answered = c->requests;
	c->late = 1;
}

/* What is known of the client's HPACK table is known no longer. */
static __always_inline void tw_forget_known(struct tw_connection *c)
{
	__builtin_memset(c->known, 0, sizeof(c->known));
}

/* No body is wanted any more. */
static __always_inline void tw_forget_wanted(struct tw_connection *c)
{
	__builtin_memset(c->wanted, 0, sizeof(c->wanted));
	c->wanted_count = 0;
	c->asks = 0;
}

/*
 * Framing is lost. Behind a loss the next turn of the direction is a new start, but not where
 * requests were pipelined: the answer to one of them would pass for that of a later request.
 *
 * HTTP/2 loses it in one direction only, and says so in one way whatever the
 * reason: the reader has to begin anew there.
 */
static __always_inline void tw_lose(struct tw_connection *c, u8 direction, u8 reason)
{
	if (c->spoke == TW_SPOKE_HTTP2) {
		tw_tell_gap(c->id, c->layer, direction, TW_GAP_LOST_FRAMING, 0);
		tw_stream_of(c, direction)->mode = TW_MODE_LOST;
		tw_forget_wanted(c);
		tw_forget_known(c);
		return;
	}
	tw_tell_gap(c->id, c->layer, direction, reason, 0);
	tw_set_mode(c, tw_awaited(c) > 1 ? TW_MODE_OPAQUE : TW_MODE_LOST);
	tw_drop_awaited(c);
}

#define TW_EMIT_BUCKET(bucket)                                                                     \
	do {                                                                                       \
		d = bpf_ringbuf_reserve(&tw_segments, sizeof(*d) + TW_FRAME_HEADER + (bucket), 0); \
		if (!d)                                                                            \
			goto full;                                                                 \
		asm volatile("" : "+r"(n));                                                        \
		if (n > (bucket))                                                                  \
			n = (bucket);                                                              \
		unreadable = n && bpf_probe_read_user((u8 *)(d + 1) + prefix, n, (void *)w->span); \
	} while (0)

/* An HTTP/2 frame's header as on the wire: its bytes may have come in several calls. */
static __always_inline void tw_put_frame_header(u8 *to, const struct tw_stream *s)
{
	u32 length = s->frame >> 8;

	to[0] = length >> 16;
	to[1] = length >> 8;
	to[2] = length;
	to[3] = s->frame;
	to[4] = s->frame_flags;
	to[5] = s->message >> 24;
	to[6] = s->message >> 16;
	to[7] = s->message >> 8;
	to[8] = s->message;
}

static __always_inline void tw_put_held(u8 *to, u64 n)
{
	to[0] = 'P';
	if (n > 1)
		to[1] = 'R';
	if (n > 2)
		to[2] = 'I';
}

/*
 * Whether the first bytes of a request have to wait, for they may be those of HTTP/2's preface.
 * They need not be kept: the state tells them.
 */
static __always_inline bool tw_hold_back(struct tw_stream *s, u32 flags)
{
	if (flags & (TW_HTTP2 | TW_BODY) || s->emitted || s->block > 3)
		return false;
	if (s->state < TW_STATE_P || s->state > TW_STATE_PRI)
		return false;
	s->frame_flags = s->block;
	return true;
}

/* Emits the span found so far as one data segment with the given flags. */
__noinline int tw_emit(u32 flags)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_work *w;
	struct tw_data *d;
	u64 process, pid_tgid = bpf_get_current_pid_tgid();
	u64 n, prefix = 0;
	u32 sequence;
	bool unreadable;

	if (!thread)
		return 0;
	w = &thread->work;
	n = w->span_len;
	w->span_len = 0;
	flags |= w->flags;
	w->flags = 0;
	if (c->role == TW_ROLE_SERVER && !tw_inbound)
		return 0;
	if (s->cut) {
		if (!(flags & TW_BLOCK_END))
			return 0;
		flags |= TW_CUT;
		n = 0;
	}
	if (tw_hold_back(s, flags))
		return 0;
	if (!s->emitted) {
		flags |= TW_BLOCK_START;
		if (!(flags & TW_BODY))
			prefix = flags & TW_HTTP2 ? TW_FRAME_HEADER : s->frame_flags & 3;
	}
	s->emitted = 1;
	if (!tw_is_request(c, w->direction))
		flags |= TW_RESPONSE;
	if (c->role == TW_ROLE_SERVER)
		flags |= TW_INBOUND;
	if (c->late)
		flags |= TW_LATE;
	sequence = s->sequence++;
	if (!c->spoke)
		c->spoke = c->late ? TW_SPOKE_PERHAPS : TW_SPOKE_HTTP1;
	process = tw_this_process();
	tw_tell_peer(c);
	if (n <= 448) {
		TW_EMIT_BUCKET(448);
	} else if (n <= 1472) {
		TW_EMIT_BUCKET(1472);
	} else {
		TW_EMIT_BUCKET(TW_DATA_MAX);
	}
	if (unreadable) {
		tw_count(TW_COUNT_UNREADABLE);
		n = 0;
		flags |= TW_CUT;
	}
	if (prefix == TW_FRAME_HEADER)
		tw_put_frame_header((u8 *)(d + 1), s);
	else if (prefix)
		tw_put_held((u8 *)(d + 1), prefix);
	n += prefix;
	tw_fill_header(&d->h, TW_DATA, sizeof(*d), n, s->begun_ns);
	d->connection = c->id;
	d->process = process;
	d->pid = pid_tgid >> 32;
	d->tid = pid_tgid;
	d->sequence = sequence;
	d->direction = w->direction;
	d->layer = c->layer;
	d->flags = flags;
	d->pad = 0;
	d->message = s->message;
	d->tag = tw_tag(&w->key);
	tw_count(TW_COUNT_DATA_SEGMENTS);
	tw_add(TW_COUNT_DATA_BYTES, n);
	bpf_ringbuf_submit(d, tw_ring_flags());
	return 0;
full:
	tw_count(TW_COUNT_RING_FULL);
	return 0;
}

/* Bytes of the call in the current piece of memory. */
static __always_inline u64 tw_here(const struct tw_work *w)
{
	return w->left < w->total ? w->left : w->total;
}

static __always_inline void tw_advance(struct tw_work *w, u64 n)
{
	w->at += n;
	w->left -= n;
	w->total -= n;
}

static __always_inline void tw_grow_block(struct tw_stream *s, u32 n)
{
	s->block += n;
	if (s->block > TW_BLOCK_MAX && !s->cut) {
		s->cut = 1;
		tw_count(TW_COUNT_BLOCK_CUT);
	}
}

/* Takes walked header bytes into the span that is emitted next. */
static __always_inline void tw_extend_span(struct tw_stream *s, struct tw_work *w, u32 n)
{
	if (!w->span_len)
		w->span = w->at;
	w->span_len += n;
	tw_advance(w, n);
	tw_grow_block(s, n);
}

/* Moves to the next iovec of the call. */
static __always_inline bool tw_next_piece(struct tw_work *w)
{
	struct iovec piece = {};
	long failed;

	if (!w->pieces)
		return false;
	if (w->vector_is_user)
		failed = bpf_probe_read_user(&piece, sizeof(piece), (void *)w->vector);
	else
		failed = bpf_probe_read_kernel(&piece, sizeof(piece), (void *)w->vector);
	if (failed)
		return false;
	w->vector += sizeof(piece);
	w->pieces--;
	w->at = (u64)piece.iov_base;
	w->left = piece.iov_len;
	return true;
}

#endif /* TOKENWATCH_BPF_WALK_H_ */
