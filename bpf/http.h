/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP in the kernel: header bytes leave, bodies are skipped by arithmetic, so that the cost of a
 * call grows with its headers only.
 *
 * A call's bytes are walked in steps. Each step is a global function, verified once by itself, so
 * that the walk stays within 5.10's limits; its state is found through the maps because global
 * functions of that kernel take scalars only.
 */
#ifndef TOKENWATCH_BPF_HTTP_H_
#define TOKENWATCH_BPF_HTTP_H_

#include "http1.h"

#define TW_STEPS 512 /* steps of one walk: 5.10 follows a loop's branches to a depth of 8192 */
#define TW_WALKS 8   /* walks a call: gRPC sends hundreds of streams at once */

/* Skips what is not looked at, and says what the next bytes are. */
__noinline int tw_next(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_work *w;
	u64 n;
	u8 mode;

	if (!thread)
		return TW_STEP_DONE;
	w = &thread->work;
	if (w->span_len && (!w->left || w->span_len > TW_DATA_MAX - TW_WINDOW))
		return TW_STEP_EMIT;
	if (!w->total)
		return TW_STEP_DONE;
	if (!w->left) {
		if (tw_next_piece(w))
			return TW_STEP_ON;
		tw_count(TW_COUNT_UNREADABLE);
		tw_lose(c, w->direction, TW_GAP_UNREADABLE);
		return TW_STEP_DONE;
	}
	mode = s->mode;
	if (mode == TW_MODE_START || mode == TW_MODE_BLOCK || mode == TW_MODE_CHUNK_SIZE ||
	    mode == TW_MODE_TRAILER)
		return TW_STEP_SCAN;
	if (mode >= TW_MODE_PREFACE)
		return TW_STEP_FRAME;
	if (s->frame_flags & TW_WANTED &&
	    (mode == TW_MODE_BODY || mode == TW_MODE_CHUNK_DATA || mode == TW_MODE_UNTIL_CLOSE))
		return tw_take_body(s, w);
	n = tw_here(w);
	if (mode == TW_MODE_BODY || mode == TW_MODE_CHUNK_DATA) {
		if (n > s->remaining)
			n = s->remaining;
		s->remaining -= n;
		if (!s->remaining)
			tw_body_ended(s);
		tw_add(TW_COUNT_BODY_BYTES, n);
	}
	tw_advance(w, n);
	return TW_STEP_ON;
}

/*
 * A call on connection `c` transfers bytes in `direction`: prepares the walk. False where there is
 * nothing to look at.
 */
static __always_inline bool tw_turn(struct tw_connection *c, u8 direction)
{
	struct tw_stream *s = tw_stream_of(c, direction);
	struct tw_stream *other = tw_opposite(c, direction);
	bool turned = c->last_direction != direction;

	c->last_direction = direction;
	c->used_ns = bpf_ktime_get_ns();
	if (s->mode == TW_MODE_OPAQUE)
		return false;
	if (c->spoke == TW_SPOKE_HTTP2)
		return true;
	/* Where nothing was understood so far, any call may begin with HTTP/2's frames. */
	if (!turned || !(c->role == TW_ROLE_UNKNOWN || tw_is_request(c, direction)))
		return s->mode != TW_MODE_LOST || c->spoke <= TW_SPOKE_PERHAPS;
	if (s->mode == TW_MODE_LOST || (s->mode == TW_MODE_START && other->mode == TW_MODE_LOST)) {
		s->mode = TW_MODE_START;
		other->mode = TW_MODE_START;
		tw_drop_awaited(c);
	}
	return true;
}

/* Walks on in the call that thread->work describes; whether there is more. */
__noinline int tw_walk_on(void)
{
	int step = TW_STEP_ON;

	for (u32 i = 0; i < TW_STEPS; i++) {
		step = tw_next();
		if (step == TW_STEP_SCAN)
			step = tw_scan();
		else if (step == TW_STEP_FRAME)
			step = tw_frames();
		if (step == TW_STEP_DONE)
			break;
		if (step == TW_STEP_EMIT) {
			tw_emit(0);
		} else if (step == TW_STEP_ENDED) {
			tw_emit(TW_BLOCK_END);
			tw_block_ended();
		}
	}
	return step != TW_STEP_DONE;
}

/* The call has more messages than are followed. */
__noinline int tw_stop_walking(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);

	if (!thread)
		return 0;
	thread->work.span_len = 0;
	tw_count(TW_COUNT_STEPS);
	tw_lose(c, thread->work.direction, TW_GAP_LOST_FRAMING);
	return 0;
}

/* Walks the call of connection `c` that `w`, this thread's, describes. */
static __always_inline void tw_walk_work(struct tw_connection *c, struct tw_work *w)
{
	u8 mode = tw_stream_of(c, w->direction)->mode;

	if (c->spoke != TW_SPOKE_HTTP1 && (mode == TW_MODE_START || mode == TW_MODE_LOST))
		tw_seek_frames();
	for (int i = 0; i < TW_WALKS; i++) {
		if (!tw_walk_on())
			return;
	}
	tw_stop_walking();
}

/* Bytes passed that this backend could not look at: harmless inside a body, else framing is lost.
 */
static __always_inline void tw_pass_unseen(struct tw_connection *c, u8 direction, u64 n, u8 reason)
{
	struct tw_stream *s = tw_stream_of(c, direction);
	u8 mode = s->mode;

	c->last_direction = direction;
	c->used_ns = bpf_ktime_get_ns();
	if (mode == TW_MODE_OPAQUE || mode == TW_MODE_LOST || mode == TW_MODE_UNTIL_CLOSE)
		return;
	if ((mode == TW_MODE_BODY || mode == TW_MODE_CHUNK_DATA || mode == TW_MODE_SKIP ||
	     mode == TW_MODE_TAKE) &&
	    n <= s->remaining) {
		s->remaining -= n;
		/* What of it is wanted has a hole. */
		if (mode == TW_MODE_TAKE) {
			s->cut = 1;
		} else if (mode != TW_MODE_SKIP && s->frame_flags & TW_WANTED) {
			s->frame_flags = 0;
			s->sequence++;
		}
		/* The end of a frame with a hole is told with the next bytes. */
		if (!s->remaining && mode != TW_MODE_TAKE)
			tw_body_ended(s);
		tw_add(TW_COUNT_BODY_BYTES, n);
		return;
	}
	if (c->spoke) {
		tw_lose(c, direction, reason);
	} else {
		s->mode = TW_MODE_LOST;
		c->late = 1;
	}
}

#endif /* TOKENWATCH_BPF_HTTP_H_ */
