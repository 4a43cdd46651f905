/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP/1 framing (RFC 9112): finds where header blocks begin and end, and skips bodies.
 *
 * What a body holds is never looked at: a message may begin only where the one before it ended, or,
 * after framing was lost, where the direction turns and a call begins with a valid start line.
 */
#ifndef TOKENWATCH_BPF_HTTP1_H_
#define TOKENWATCH_BPF_HTTP1_H_

#include "http2.h"

#define TW_WINDOW 256  /* bytes scanned a step; on the stack, of which 512 B serve all frames */
#define TW_MAX_TRIES 6 /* starts that a connection may fail before it is left alone */
#define TW_QUEUE 64    /* unanswered requests that a connection may have */

/* The bytes where a message should begin are none. */
static __always_inline void tw_no_start(struct tw_connection *c, struct tw_stream *s, u8 direction)
{
	/* With a whole start line it was a message. */
	if (c->spoke || s->seen & TW_ACT_LINE) {
		tw_lose(c, direction, TW_GAP_LOST_FRAMING);
		return;
	}
	c->role = TW_ROLE_UNKNOWN;
	s->mode = TW_MODE_LOST;
	if (++c->tries >= TW_MAX_TRIES || !c->late) {
		tw_count(TW_COUNT_NOT_HTTP);
		tw_set_mode(c, TW_MODE_OPAQUE);
	}
}

/* A body follows the header block that has ended. */
static __always_inline void tw_want_body(struct tw_stream *s, bool wanted)
{
	s->frame_flags = wanted ? TW_WANTED : 0;
	s->emitted = 0;
	s->block = 0;
	s->cut = 0;
}

static __always_inline void tw_expect_chunk(struct tw_stream *s)
{
	s->mode = TW_MODE_CHUNK_SIZE;
	s->state = TW_STATE_CHUNK;
	s->remaining = 0;
}

/* A request's header block has ended: its body's framing, and its place in the queue. */
static __always_inline void tw_request_ended(struct tw_connection *c, struct tw_stream *s,
					     u8 direction)
{
	u64 bit = 1ULL << (c->requests & (TW_QUEUE - 1));
	struct tw_stream *answer = tw_opposite(c, direction);

	if (tw_awaited(c) >= TW_QUEUE) {
		tw_lose(c, direction, TW_GAP_PIPELINE);
		return;
	}
	/* Its answer came first and was taken for one with a body. */
	if (s->seen & TW_ACT_HEAD && tw_awaited(c) < 0 && answer->message == c->requests &&
	    (answer->mode == TW_MODE_BODY || answer->mode == TW_MODE_CHUNK_SIZE))
		answer->mode = TW_MODE_START;
	c->head_bits = s->seen & TW_ACT_HEAD ? c->head_bits | bit : c->head_bits & ~bit;
	c->connect_bits = s->seen & TW_ACT_CONNECT ? c->connect_bits | bit : c->connect_bits & ~bit;
	c->body_bits = s->seen & TW_ACT_BODY ? c->body_bits | bit : c->body_bits & ~bit;
	c->requests++;
	if (s->seen & TW_ACT_CHUNKED)
		tw_expect_chunk(s);
	else
		s->mode = s->seen & TW_ACT_LENGTH && s->remaining ? TW_MODE_BODY : TW_MODE_START;
	tw_want_body(s, s->seen & TW_ACT_BODY);
}

static __always_inline void tw_response_ended(struct tw_connection *c, struct tw_stream *s,
					      u8 direction)
{
	u64 bit = 1ULL << (s->message & (TW_QUEUE - 1));
	bool head = false, connect = false, wanted = false;
	bool asked = s->message != TW_NO_MESSAGE;
	bool known = asked && (s32)(c->requests - s->message) > 0;
	u16 status = s->status;

	if (known) {
		head = c->head_bits & bit;
		connect = c->connect_bits & bit;
		wanted = c->body_bits & bit;
	}
	if (asked) {
		if (status == 101) {
			c->answered++;
			tw_give_up(c, direction, TW_GAP_UPGRADED);
			return;
		}
		if (status < 200) {
			s->mode = TW_MODE_START;
			return;
		}
		c->answered++;
		c->late = 0;
		c->spoke = TW_SPOKE_HTTP1;
		if (connect && status < 300) {
			tw_tell_gap(c->id, c->layer, direction, TW_GAP_TUNNEL, 0);
			/* What follows is a new connection to somebody else, seen from its start.
			 */
			tw_set_mode(c, TW_MODE_START);
			c->spoke = 0;
			c->wire = TW_WIRE_UNKNOWN;
			c->sends = 0;
			return;
		}
	}
	if (!known && !(s->seen & (TW_ACT_CHUNKED | TW_ACT_LENGTH))) {
		/* Without its request, whether a body follows is not known either. */
		s->mode = TW_MODE_LOST;
		return;
	}
	tw_want_body(s, wanted);
	if (head || status == 204 || status == 304) {
		s->mode = TW_MODE_START;
	} else if (s->seen & TW_ACT_CHUNKED) {
		tw_expect_chunk(s);
	} else if (s->seen & TW_ACT_LENGTH) {
		s->mode = s->remaining ? TW_MODE_BODY : TW_MODE_START;
	} else {
		s->mode = TW_MODE_UNTIL_CLOSE;
	}
}

/* A message may begin at the current byte. Decides who is the client, where that is not known yet.
 */
static __always_inline bool tw_begin(struct tw_connection *c, struct tw_stream *s,
				     struct tw_work *w, const u8 *window, u64 n)
{
	bool http = n >= 5 && window[0] == 'H' && window[1] == 'T' && window[2] == 'T' &&
		    window[3] == 'P' && window[4] == '/';

	if (c->role == TW_ROLE_UNKNOWN)
		c->role = (w->direction == TW_SENT) != http ? TW_ROLE_CLIENT : TW_ROLE_SERVER;
	if (tw_is_request(c, w->direction)) {
		/*
		 * On a connection that was not followed from its start, a second message before any
		 * answer means that the first was the body of an upload.
		 */
		if (c->late && tw_awaited(c) > 0) {
			tw_lose(c, w->direction, TW_GAP_LATE_DISCARD);
			return false;
		}
		/* An answer that was there before this request was sent was nobody's: a 408. */
		if (tw_awaited(c) < 0 && tw_opposite(c, w->direction)->begun_ns < w->called_ns)
			c->answered = c->requests;
		s->message = c->requests;
	} else {
		s->message = tw_awaited(c) > 0 || !c->late ? c->answered : TW_NO_MESSAGE;
	}
	s->mode = TW_MODE_BLOCK;
	s->state = tw_is_request(c, w->direction) ? TW_STATE_REQUEST : TW_STATE_RESPONSE;
	s->begun_ns = w->called_ns;
	s->remaining = 0;
	s->block = 0;
	s->status = 0;
	s->seen = 0;
	s->emitted = 0;
	s->frame_flags = 0;
	s->cut = 0;
	return true;
}

/* The automaton has stopped, or the window is used up. */
static __always_inline int tw_scanned(struct tw_connection *c, struct tw_stream *s,
				      struct tw_work *w, u32 walked)
{
	u8 state = s->state;

	if (state == TW_STATE_HTTP2) {
		w->span_len = 0;
		tw_advance(w, walked);
		tw_prefaced(c, s, w);
		return TW_STEP_ON;
	}
	if (state == TW_STATE_BAD) {
		w->span_len = 0;
		tw_no_start(c, s, w->direction);
		return TW_STEP_ON;
	}
	if (s->mode == TW_MODE_BLOCK) {
		if (c->role == TW_ROLE_SERVER && !tw_inbound && s->seen & TW_ACT_LINE) {
			w->span_len = 0;
			tw_set_mode(c, TW_MODE_OPAQUE);
			return TW_STEP_ON;
		}
		tw_extend_span(s, w, walked);
		return state == TW_STATE_END ? TW_STEP_ENDED : TW_STEP_ON;
	}
	tw_advance(w, walked);
	if (state != TW_STATE_END)
		return TW_STEP_ON;
	if (s->mode == TW_MODE_TRAILER) {
		s->mode = TW_MODE_START;
		if (s->frame_flags & TW_WANTED) {
			s->frame_flags = 0;
			w->flags = TW_BODY | TW_BLOCK_END;
			return TW_STEP_EMIT;
		}
	} else if (s->remaining) {
		s->mode = TW_MODE_CHUNK_DATA;
		s->remaining += 2; /* and the line end behind the data */
	} else {
		s->mode = TW_MODE_TRAILER;
		s->state = TW_STATE_FIELDS;
	}
	return TW_STEP_ON;
}

/* Looks at one window of a header block, of trailers, or of a chunk's size line. */
__noinline int tw_scan(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	u8 window[TW_WINDOW];
	struct tw_work *w;
	u64 n, number, more;
	u32 walked = 0, status, state, stop, seen = 0;

	if (!thread)
		return TW_STEP_DONE;
	w = &thread->work;
	n = tw_here(w);
	asm volatile("" : "+r"(n));
	if (n > TW_WINDOW)
		n = TW_WINDOW;
	if (bpf_probe_read_user(window, n, (void *)w->at)) {
		tw_count(TW_COUNT_UNREADABLE);
		w->span_len = 0;
		tw_lose(c, w->direction, TW_GAP_UNREADABLE);
		return TW_STEP_ON;
	}
	if (s->mode == TW_MODE_START) {
		/* RFC 9112, 2.2: empty lines before a start line are to be ignored. */
		if (window[0] == '\r' || window[0] == '\n') {
			tw_advance(w, 1);
			return TW_STEP_ON;
		}
		if (!tw_begin(c, s, w, window, n))
			return TW_STEP_ON;
	}
	more = s->mode == TW_MODE_CHUNK_SIZE ? 15 : 9;
	number = s->remaining;
	status = s->status;
	state = s->state;
	for (u32 i = 0; i < TW_WINDOW; i++) {
		u64 byte, digit, line, at;
		u32 entry;

		if (i >= n)
			break;
		byte = window[i];
		at = state * TW_CLASSES + tw_class[byte];
		/* Masked as one value: 6.1 loses the bounds of masked parts that are put together.
		 */
		asm volatile("" : "+r"(at));
		at &= TW_STATES * TW_CLASSES - 1;
		entry = tw_table[at];
		walked = i + 1;
		state = entry & 0xff;
		entry >>= 8;
		seen |= entry;
		line = entry >> 3 & 1;
		status = status * (1 - line) + number * line;
		digit = entry >> 1 & 1;
		/* Hexadecimal: the letters have bit 6 set, and their low bits count from 1. */
		number = number * (1 - (line | (entry >> 2 & 1))) * (1 + more * digit) +
			 digit * ((byte & 15) + 9 * (byte >> 6));
		/* A copy, for 5.10 would tell the states that it learns of here apart. */
		stop = state - TW_STATE_END;
		asm volatile("" : "+r"(stop));
		if (stop <= TW_STATE_HTTP2 - TW_STATE_END)
			break;
	}
	s->remaining = number;
	s->status = status;
	s->state = state;
	s->seen |= seen;
	return tw_scanned(c, s, w, walked);
}

/* A header block has ended and left: what follows it. */
__noinline int tw_block_ended(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);

	if (!thread)
		return 0;
	if (tw_is_request(c, thread->work.direction))
		tw_request_ended(c, s, thread->work.direction);
	else
		tw_response_ended(c, s, thread->work.direction);
	return 0;
}

static __always_inline void tw_body_ended(struct tw_stream *s)
{
	if (s->mode == TW_MODE_CHUNK_DATA)
		tw_expect_chunk(s);
	else if (s->mode == TW_MODE_SKIP)
		tw_expect_frame(s, s->seen);
	else
		s->mode = TW_MODE_START;
}

/* The next bytes are of a body that is wanted: they leave, without the line end behind a chunk. */
static __always_inline int tw_take_body(struct tw_stream *s, struct tw_work *w)
{
	u8 mode = s->mode;
	u64 n = tw_here(w), kept;

	if (n > TW_DATA_MAX - TW_WINDOW)
		n = TW_DATA_MAX - TW_WINDOW;
	if (n > TW_BODY_MAX - s->block)
		n = TW_BODY_MAX - s->block;
	if (mode != TW_MODE_UNTIL_CLOSE && n > s->remaining)
		n = s->remaining;
	kept = n;
	if (mode == TW_MODE_CHUNK_DATA && kept + 2 > s->remaining)
		kept = s->remaining > 2 ? s->remaining - 2 : 0;
	w->span = w->at;
	w->span_len = kept;
	w->flags = TW_BODY;
	s->block += kept;
	tw_advance(w, n);
	if (s->block >= TW_BODY_MAX) {
		s->frame_flags = 0;
		w->flags = TW_BODY | TW_BLOCK_END | TW_CUT;
	}
	if (mode != TW_MODE_UNTIL_CLOSE) {
		s->remaining -= n;
		if (!s->remaining) {
			tw_body_ended(s);
			if (mode == TW_MODE_BODY) {
				s->frame_flags = 0;
				w->flags = TW_BODY | TW_BLOCK_END;
			}
		}
	}
	return kept || w->flags != TW_BODY ? TW_STEP_EMIT : TW_STEP_ON;
}

#endif /* TOKENWATCH_BPF_HTTP1_H_ */
