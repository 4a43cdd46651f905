/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP/2 bodies that are wanted (hpack.h says whose): a few streams of a connection, of which DATA
 * leaves the kernel without padding. While there is none, DATA costs nothing but its frame header.
 */
#ifndef TOKENWATCH_BPF_HTTP2_BODIES_H_
#define TOKENWATCH_BPF_HTTP2_BODIES_H_

#include "hpack.h"

static __always_inline void tw_expect_frame(struct tw_stream *s, u8 seen)
{
	s->mode = TW_MODE_FRAME;
	s->state = 0;
	s->remaining = 0;
	s->seen = seen;
}

/* A DATA frame has begun on a connection with wanted streams. */
static __always_inline void tw_expect_data(struct tw_stream *s)
{
	s->mode = TW_MODE_TAKE;
	s->state = !!(s->frame_flags & TW_FRAME_PADDED);
	s->status = 0;
}

/* Its place in c->wanted; TW_BODY_STREAMS where it has none. */
static __always_inline u64 tw_find_wanted(const struct tw_connection *c, u32 stream)
{
	u64 found = TW_BODY_STREAMS;

	/* Without branches, so that the verifier has one way through it. */
	for (u64 i = 0; i < TW_BODY_STREAMS; i++) {
		u64 same = ((u64)(c->wanted[i].stream ^ stream) - 1) >> 63;

		found = found * (1 - same) + i * same;
	}
	return found;
}

static __always_inline u16 *tw_taken(struct tw_wanted *wanted, const struct tw_connection *c,
				     u8 direction)
{
	return tw_is_request(c, direction) ? &wanted->taken[0] : &wanted->taken[1];
}

/*
 * Counts anew what is wanted: two threads may change it at once, and a count of theirs would stay
 * wrong.
 */
static __always_inline void tw_count_wanted(struct tw_connection *c)
{
	u64 count = 0;

	for (u32 i = 0; i < TW_BODY_STREAMS; i++)
		count += (0 - (u64)c->wanted[i].stream) >> 63;
	c->wanted_count = count;
}

/* One of a stream's bodies has ended; without the other the stream is not wanted any more. */
static __always_inline void tw_taken_all(struct tw_connection *c, struct tw_wanted *wanted,
					 u16 *taken)
{
	*taken = TW_TAKEN_ALL;
	if (wanted->taken[0] != TW_TAKEN_ALL || wanted->taken[1] != TW_TAKEN_ALL)
		return;
	wanted->stream = 0;
	tw_count_wanted(c);
}

/* The payload of a DATA frame, as far as it is here. TW_STEP_EMIT: the span with w->flags. */
__noinline int tw_take_data(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_wanted *wanted;
	struct tw_work *w;
	u64 n, data, kept;
	u8 padding = 0;
	u16 *taken;
	u64 place;

	if (!thread)
		return TW_STEP_DONE;
	w = &thread->work;
	place = tw_find_wanted(c, s->message);
	wanted = &c->wanted[place & (TW_BODY_STREAMS - 1)];
	taken = tw_taken(wanted, c, w->direction);
	if (place >= TW_BODY_STREAMS || *taken == TW_TAKEN_ALL) {
		s->mode = TW_MODE_SKIP;
		if (!s->remaining)
			tw_expect_frame(s, s->seen);
		return TW_STEP_ON;
	}
	/* That of a request has begun already. */
	s->emitted = tw_is_request(c, w->direction) || *taken;
	if (s->cut) {
		tw_taken_all(c, wanted, taken);
		w->span_len = 0;
		w->flags = TW_BODY | TW_BLOCK_END | TW_CUT;
		s->mode = TW_MODE_SKIP;
		if (!s->remaining)
			tw_expect_frame(s, s->seen);
		return TW_STEP_EMIT;
	}
	if (s->state && tw_here(w)) {
		if (bpf_probe_read_user(&padding, 1, (void *)w->at))
			tw_count(TW_COUNT_UNREADABLE);
		s->state = 0;
		s->status = padding;
		s->remaining--;
		tw_advance(w, 1);
	}
	n = tw_here(w);
	if (n > s->remaining)
		n = s->remaining;
	data = s->remaining > s->status ? s->remaining - s->status : 0;
	kept = n < data ? n : data;
	if (kept > TW_DATA_MAX)
		kept = TW_DATA_MAX;
	if (kept > (u64)(TW_BODY_MAX - *taken))
		kept = TW_BODY_MAX - *taken;
	/* With the last of the data, the padding behind it. */
	if (kept < data)
		n = kept;
	w->span = w->at;
	w->span_len = kept;
	w->flags = TW_BODY;
	tw_advance(w, n);
	s->remaining -= n;
	*taken += kept;
	if (*taken >= TW_BODY_MAX)
		w->flags = TW_BODY | TW_BLOCK_END | TW_CUT;
	else if (!s->remaining && s->frame_flags & TW_FRAME_END_STREAM)
		w->flags = TW_BODY | TW_BLOCK_END;
	if (w->flags != TW_BODY) {
		tw_taken_all(c, wanted, taken);
		s->mode = TW_MODE_SKIP;
	}
	if (!s->remaining)
		tw_expect_frame(s, s->seen);
	if (kept || w->flags != TW_BODY)
		return TW_STEP_EMIT;
	w->flags = 0;
	return TW_STEP_ON;
}

/*
 * Wants the bodies of the stream, whose request ends with its header block or does not. Streams are
 * numbered upwards (RFC 9113, 5.1.1): the place that is free, or the oldest, has the lowest number.
 */
static __always_inline void tw_want_stream(struct tw_connection *c, u32 stream, bool ends)
{
	u64 place = tw_find_wanted(c, stream), lowest = ~0U;
	struct tw_wanted *wanted;

	if (place >= TW_BODY_STREAMS) {
		for (u64 i = 0; i < TW_BODY_STREAMS; i++) {
			u64 lower = (c->wanted[i].stream - lowest) >> 63;

			place = place * (1 - lower) + i * lower;
			lowest = lowest * (1 - lower) + c->wanted[i].stream * lower;
		}
		if (lowest)
			tw_count(TW_COUNT_WANTED_FULL);
	}
	asm volatile("" : "+r"(place));
	wanted = &c->wanted[place & (TW_BODY_STREAMS - 1)];
	wanted->stream = stream;
	wanted->taken[0] = ends ? TW_TAKEN_ALL : 0;
	wanted->taken[1] = 0;
	tw_count_wanted(c);
}

/*
 * A frame has ended and left, on a connection with wanted streams. Flags of a piece without bytes
 * that is to follow it; 0: none.
 */
__noinline int tw_frame_ended(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_wanted *wanted;
	bool is_request, begun;
	u16 *taken;
	u64 place;
	u8 type;

	if (!thread)
		return 0;
	type = s->frame;
	is_request = tw_is_request(c, thread->work.direction);
	if (is_request && c->asks && s->frame_flags & TW_FRAME_END_HEADERS &&
	    (type == TW_FRAME_HEADERS || type == TW_FRAME_CONTINUATION)) {
		c->asks = 0;
		if (s->cut)
			return 0;
		tw_want_stream(c, s->message, c->ends_stream);
		s->emitted = 0;
		return c->ends_stream ? TW_HTTP2 | TW_BODY | TW_BLOCK_END : TW_HTTP2 | TW_BODY;
	}
	if (type != TW_FRAME_RST_STREAM &&
	    (type != TW_FRAME_HEADERS || !(s->frame_flags & TW_FRAME_END_STREAM)))
		return 0;
	place = tw_find_wanted(c, s->message);
	if (place >= TW_BODY_STREAMS)
		return 0;
	wanted = &c->wanted[place & (TW_BODY_STREAMS - 1)];
	if (type == TW_FRAME_RST_STREAM) {
		wanted->stream = 0;
		tw_count_wanted(c);
		return 0;
	}
	taken = tw_taken(wanted, c, thread->work.direction);
	if (*taken == TW_TAKEN_ALL)
		return 0;
	begun = is_request || *taken;
	tw_taken_all(c, wanted, taken);
	s->emitted = begun;
	return TW_HTTP2 | TW_BODY | TW_BLOCK_END;
}

#endif /* TOKENWATCH_BPF_HTTP2_BODIES_H_ */
