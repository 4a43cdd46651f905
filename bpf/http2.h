/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP/2 framing (RFC 9113): walks from frame header to frame header, lets the frames leave that
 * frame.h names, and skips the others by their length, never looking at a payload but those of
 * http2_bodies.h.
 *
 * Frames begin behind the preface. Elsewhere (a connection older than its first sighting, bytes
 * that were not seen) they begin again only where a call does and its bytes form a plausible chain;
 * each direction by itself.
 */
#ifndef TOKENWATCH_BPF_HTTP2_H_
#define TOKENWATCH_BPF_HTTP2_H_

#include "http2_bodies.h"

#define TW_PREFACE_REST 20 /* of the preface, behind "PRI " */
#define TW_CHAIN 8	   /* frame headers that are looked at before a chain is believed */
#define TW_FRAMES 64	   /* frames a step of the walk */

/* tw_stream.seen */
enum tw_frames_seen {
	TW_FRAMES_BEGIN = 1 << 0,    /* the first frame, a SETTINGS, is to come */
	TW_FRAMES_IN_BLOCK = 1 << 1, /* a header block that CONTINUATION goes on with */
};

/* What the observed process is; a server is followed only where that was asked for. */
static __always_inline bool tw_settle_role(struct tw_connection *c, u8 role)
{
	c->role = role;
	if (role == TW_ROLE_SERVER && !tw_inbound) {
		tw_set_mode(c, TW_MODE_OPAQUE);
		return false;
	}
	return true;
}

/* "PRI " was read: HTTP/2 from its first byte on. */
static __always_inline void tw_prefaced(struct tw_connection *c, struct tw_stream *s,
					struct tw_work *w)
{
	struct tw_stream *other = tw_opposite(c, w->direction);

	if (!tw_settle_role(c, c->role))
		return;
	s->mode = TW_MODE_PREFACE;
	s->remaining = TW_PREFACE_REST;
	if (other->mode == TW_MODE_START)
		tw_expect_frame(other, TW_FRAMES_BEGIN);
	c->late = 0;
}

/*
 * Who sends requests, told by the first header fields of a HEADERS frame: pseudo-header fields come
 * first (RFC 9113, 8.3), and the static table has those of requests in its rows 1 to 7 and :status
 * in 8 to 14 (RFC 7541, appendix A). Fields of the dynamic table say nothing; :scheme is never one.
 */
static __always_inline u8 tw_role_of_fields(struct tw_work *w, u64 left, u8 direction, u8 flags)
{
	u8 fields[4] = {}, role = TW_ROLE_UNKNOWN;
	u64 skip = (flags & TW_FRAME_PADDED ? 1 : 0) + (flags & TW_FRAME_WITH_PRIORITY ? 5 : 0);
	u64 n;

	if (left <= skip)
		return role;
	n = left - skip;
	asm volatile("" : "+r"(n));
	if (n > sizeof(fields))
		n = sizeof(fields);
	if (bpf_probe_read_user(fields, n, (void *)(w->at + skip)))
		return role;
	for (u32 i = 0; i < sizeof(fields); i++) {
		u32 field = fields[i], row;

		row = field & 0x80 ? field & 0x7f : field & 0x40 ? field & 0x3f : field & 0x0f;
		/* A new size of the dynamic table, or a field that it holds. */
		if ((field & 0xe0) == 0x20 || (field & 0x80 && row > 61))
			continue;
		if (row >= 1 && row <= 14)
			role = (row <= 7) == (direction == TW_SENT) ? TW_ROLE_CLIENT
								    : TW_ROLE_SERVER;
		break;
	}
	return role;
}

/* A frame's header is complete: what becomes of its payload. */
static __always_inline void tw_frame_begins(struct tw_connection *c, struct tw_stream *s,
					    struct tw_work *w, const struct tw_frame_header *h)
{
	const struct tw_frame_rule *rule = tw_rule_of(h);
	bool continues = h->type == TW_FRAME_CONTINUATION, leaves = rule->leaves;
	bool fits = tw_frame_fits(h);

	if (continues != !!(s->seen & TW_FRAMES_IN_BLOCK) || (continues && h->stream != s->message))
		fits = false;
	if (s->seen & TW_FRAMES_BEGIN && (h->type != TW_FRAME_SETTINGS || h->flags & TW_FRAME_ACK))
		fits = false;
	if (!fits) {
		if (c->spoke) {
			tw_lose(c, w->direction, TW_GAP_LOST_FRAMING);
		} else {
			tw_count(TW_COUNT_NOT_HTTP);
			tw_set_mode(c, TW_MODE_OPAQUE);
		}
		return;
	}
	c->spoke = TW_SPOKE_HTTP2;
	if (c->role == TW_ROLE_UNKNOWN && h->type == TW_FRAME_HEADERS) {
		u64 left = tw_here(w);
		u8 role = tw_role_of_fields(w, left < h->length ? left : h->length, w->direction,
					    h->flags);

		if (!tw_settle_role(c, role))
			return;
		if (role == TW_ROLE_UNKNOWN)
			tw_count(TW_COUNT_SIDE_UNKNOWN);
	}
	if (!continues) {
		s->block = 0;
		s->cut = 0;
	}
	if (c->role == TW_ROLE_UNKNOWN)
		leaves = false;
	/* Of the rest of an overlong block only the end leaves, to say so; of a withheld one none.
	 */
	if (continues && (s->cut ? !(h->flags & TW_FRAME_END_HEADERS) : !s->emitted))
		leaves = false;
	s->seen = rule->begins && !(h->flags & TW_FRAME_END_HEADERS) ? TW_FRAMES_IN_BLOCK : 0;
	s->message = h->stream;
	s->frame = h->length << 8 | h->type;
	s->frame_flags = h->flags;
	s->remaining = h->length;
	s->emitted = 0;
	s->mode = leaves ? TW_MODE_KEEP : TW_MODE_SKIP;
	if (leaves)
		tw_grow_block(s, TW_FRAME_HEADER);
	if (h->type == TW_FRAME_DATA && c->wanted_count)
		tw_expect_data(s);
	else if (tw_is_request(c, w->direction) && (continues || h->type == TW_FRAME_HEADERS))
		tw_expect_fields(c, h, leaves);
}

/* Takes the bytes of a frame header that are here; the state counts them. */
static __always_inline void tw_read_frame_header(struct tw_connection *c, struct tw_stream *s,
						 struct tw_work *w)
{
	struct tw_frame_header h;
	u8 bytes[16] = {};
	u64 first = 0, rest = s->remaining;
	u64 n = TW_FRAME_HEADER - (s->state & 15), here = tw_here(w);

	if (n > here)
		n = here;
	asm volatile("" : "+r"(n));
	if (n > TW_FRAME_HEADER)
		n = TW_FRAME_HEADER;
	if (bpf_probe_read_user(bytes, n, (void *)w->at)) {
		tw_count(TW_COUNT_UNREADABLE);
		tw_lose(c, w->direction, TW_GAP_UNREADABLE);
		return;
	}
	if (!s->state)
		s->begun_ns = w->called_ns;
	for (u32 i = 0; i < TW_FRAME_HEADER; i++) {
		if (i >= n)
			break;
		first = rest >> 56;
		rest = rest << 8 | bytes[i];
	}
	tw_advance(w, n);
	s->state += n;
	s->remaining = rest;
	if (s->state < TW_FRAME_HEADER)
		return;
	tw_take_header(&h, first, rest);
	tw_frame_begins(c, s, w, &h);
}

/*
 * Walks one frame, as far as it is in the current piece of memory. TW_STEP_DONE: there is none
 * here; TW_STEP_EMIT, TW_STEP_ENDED, TW_STEP_TAKE: with what it says.
 */
__noinline int tw_frame(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_work *w;
	int step = TW_STEP_ON;
	u64 n;
	u8 mode;

	if (!thread)
		return TW_STEP_DONE;
	w = &thread->work;
	if (!tw_here(w) || s->mode < TW_MODE_PREFACE)
		return TW_STEP_DONE;
	if (s->mode == TW_MODE_FRAME) {
		tw_read_frame_header(c, s, w);
		if (s->mode <= TW_MODE_FRAME)
			return TW_STEP_ON;
	}
	mode = s->mode;
	if (mode == TW_MODE_TAKE)
		return TW_STEP_TAKE;
	n = tw_here(w);
	if (n > s->remaining)
		n = s->remaining;
	/* A piece has room for the header, too. */
	if (mode == TW_MODE_KEEP && n > TW_DATA_MAX - TW_FRAME_HEADER)
		n = TW_DATA_MAX - TW_FRAME_HEADER;
	if (mode == TW_MODE_KEEP) {
		w->span = w->at;
		w->span_len = n;
		tw_grow_block(s, n);
	} else if (mode == TW_MODE_SKIP) {
		tw_add(TW_COUNT_BODY_BYTES, n);
	}
	tw_advance(w, n);
	s->remaining -= n;
	if (!s->remaining)
		tw_expect_frame(s, mode == TW_MODE_PREFACE ? TW_FRAMES_BEGIN : s->seen);
	if (mode != TW_MODE_KEEP)
		return TW_STEP_ON;
	if (s->mode == TW_MODE_FRAME) {
		step = TW_STEP_ENDED;
		if (c->wanted_count || c->asks)
			step |= TW_STEP_AFTER;
	} else if (n) {
		step = TW_STEP_EMIT;
	}
	if (n && tw_is_looked_at(c, s, w->direction))
		step |= TW_STEP_LOOK;
	return step;
}

/* Walks one frame and emits what leaves of it; what is left to say is whether there was one. */
__noinline int tw_frame_step(void)
{
	int step = tw_frame(), kind, flags;

	if (step == TW_STEP_TAKE)
		step = tw_take_data();
	if (step & TW_STEP_LOOK)
		step |= tw_look();
	kind = step & TW_STEP_KINDS;
	if (kind == TW_STEP_EMIT)
		tw_emit(TW_HTTP2);
	if (kind == TW_STEP_ENDED)
		tw_emit(TW_HTTP2 | TW_BLOCK_END);
	if (kind == TW_STEP_ENDED && step & TW_STEP_AFTER) {
		flags = tw_frame_ended();
		if (flags)
			tw_emit(flags);
	}
	return kind;
}

/* Walks frames: a loop of its own, because small ones come by the hundreds in a call. */
__noinline int tw_frames(void)
{
	for (u32 i = 0; i < TW_FRAMES; i++) {
		if (tw_frame_step() == TW_STEP_DONE)
			break;
	}
	return TW_STEP_ON;
}

#define TW_LINK_LENGTH 0xffffff
#define TW_LINK_TYPE(link) ((link) >> 24 & 0x0f)
#define TW_LINK_ACK (1 << 28)

/* What a plausible frame header at `at` says, else -1. */
__noinline int tw_chain_link(u64 at)
{
	struct tw_frame_header h;
	u8 bytes[TW_FRAME_HEADER + 7] = {};
	u64 rest = 0;

	if (bpf_probe_read_user(bytes, TW_FRAME_HEADER, (void *)at))
		return -1;
	for (u32 i = 1; i < TW_FRAME_HEADER; i++)
		rest = rest << 8 | bytes[i];
	tw_take_header(&h, bytes[0], rest);
	if (!tw_frame_is_likely(&h))
		return -1;
	return h.length | (u32)h.type << 24 |
	       (h.type == TW_FRAME_SETTINGS && h.flags & TW_FRAME_ACK ? TW_LINK_ACK : 0);
}

/*
 * Whether a call's bytes are frames from the first one on: headers at the right distances, up to
 * the exact end of the call or, after at least one whole frame, a header whose frame goes on behind
 * it. On a connection that is seen from its start, nothing but SETTINGS can be first.
 */
static __always_inline bool tw_is_chain(const struct tw_work *w, bool fresh)
{
	u64 at = w->at, here = tw_here(w), total = w->total;
	bool ends = false;

	for (u32 i = 0; i < TW_CHAIN; i++) {
		u64 size;
		int link;

		/*
		 * What is in another piece of memory, or cut, is not looked for. A piece that ends
		 * where a frame does is as good as a call: node writes each frame from its own.
		 */
		if (here < TW_FRAME_HEADER)
			return i > 1 || ends;
		link = tw_chain_link(at);
		if (link < 0)
			return false;
		if (fresh)
			return TW_LINK_TYPE(link) == TW_FRAME_SETTINGS && !(link & TW_LINK_ACK);
		if (!i && TW_LINK_TYPE(link) == TW_FRAME_CONTINUATION)
			return false;
		size = TW_FRAME_HEADER + (link & TW_LINK_LENGTH);
		if (size == total)
			return true;
		if (size > total)
			return i > 0;
		at += size;
		total -= size;
		ends = here == size;
		here = here > size ? here - size : 0;
	}
	return true;
}

/* A call begins where framing is not known: frames, HTTP/2's preface, or neither. */
__noinline int tw_seek_frames(void)
{
	struct tw_connection *c;
	struct tw_stream *s, *other;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_work *w;
	bool fresh, first;
	u8 start[4] = {};

	if (!thread)
		return 0;
	w = &thread->work;
	/* A vector that was found through a user's msghdr has not been looked into yet. */
	if (!w->left)
		tw_next_piece(w);
	fresh = !c->spoke && !c->late && s->mode == TW_MODE_START;
	first = c->spoke != TW_SPOKE_HTTP2;
	if (tw_is_chain(w, fresh)) {
		if (first) {
			if (c->spoke && tw_awaited(c) > 0) {
				tw_tell_gap(c->id, c->layer, w->direction, TW_GAP_LATE_DISCARD, 0);
				tw_drop_awaited(c);
			}
			/* Who sends SETTINGS without the preface is the server. */
			if (!tw_settle_role(c, !fresh			 ? TW_ROLE_UNKNOWN
					       : w->direction == TW_SENT ? TW_ROLE_SERVER
									 : TW_ROLE_CLIENT))
				return 0;
			other = tw_opposite(c, w->direction);
			if (other->mode == TW_MODE_START)
				other->mode = TW_MODE_LOST;
		} else {
			tw_count(TW_COUNT_RESUMED);
		}
		c->spoke = TW_SPOKE_HTTP2;
		tw_expect_frame(s, 0);
		return 0;
	}
	/* The preface, after the server's SETTINGS were seen. */
	if (!first && !s->begun_ns && tw_here(w) >= sizeof(start) &&
	    !bpf_probe_read_user(start, sizeof(start), (void *)w->at) && start[0] == 'P' &&
	    start[1] == 'R' && start[2] == 'I' && start[3] == ' ')
		s->mode = TW_MODE_START;
	return 0;
}

#endif /* TOKENWATCH_BPF_HTTP2_H_ */
