/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HTTP/1 framing in the kernel (RFC 9112): finds where header blocks begin and end, emits those
 * bytes, and skips bodies by arithmetic, so that the cost of a call grows with its headers only.
 *
 * A call's bytes are walked in steps. Each step is a global function, verified once by itself, so
 * that the walk stays within 5.10's limits; its state is found through the maps because global
 * functions of that kernel take scalars only.
 *
 * What a body holds is never looked at: a message may begin only where the one before it ended, or,
 * after framing was lost, where the direction turns and a call begins with a valid start line.
 */
#ifndef TOKENWATCH_BPF_HTTP_H_
#define TOKENWATCH_BPF_HTTP_H_

#include "connection.h"
#include "framing.h"

#define TW_WINDOW 256  /* bytes scanned a step; on the stack, of which 512 B serve all frames */
#define TW_STEPS 512   /* steps a call */
#define TW_MAX_TRIES 6 /* starts that a connection may fail before it is left alone */
#define TW_QUEUE 64    /* unanswered requests that a connection may have */

/* The automaton (framing.h). */
const volatile __u8 tw_class[256] = {};
const volatile __u16 tw_table[TW_STATES * TW_CLASSES] = {};

enum tw_step {
	TW_STEP_ON = 0, /* go on */
	TW_STEP_DONE,	/* the call has been walked */
	TW_STEP_EMIT,	/* emit the span */
	TW_STEP_ENDED,	/* emit the span: it ends a block */
	TW_STEP_SCAN,	/* look at the next bytes */
};

static __always_inline struct tw_thread *tw_walk(struct tw_connection **c, struct tw_stream **s)
{
	struct tw_thread *thread = tw_find_thread();

	if (!thread)
		return NULL;
	*c = bpf_map_lookup_elem(&tw_connections, &thread->work.key);
	if (!*c)
		return NULL;
	*s = thread->work.direction == TW_SENT ? &(*c)->streams[TW_SENT]
					       : &(*c)->streams[TW_RECEIVED];
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

/*
 * Behind a loss the next turn of the direction is a new start, but not where requests were
 * pipelined: the answer to one of them would pass for that of a later request.
 */
static __always_inline void tw_lose(struct tw_connection *c, u8 direction, u8 reason)
{
	tw_tell_gap(c->id, c->layer, direction, reason, 0);
	tw_set_mode(c, tw_awaited(c) > 1 ? TW_MODE_OPAQUE : TW_MODE_LOST);
	tw_drop_awaited(c);
}

/* The bytes where a message should begin are none. */
static __always_inline void tw_no_start(struct tw_connection *c, struct tw_stream *s, u8 direction)
{
	if (c->spoke) {
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

#define TW_EMIT_BUCKET(bucket)                                                                     \
	do {                                                                                       \
		d = bpf_ringbuf_reserve(&tw_segments, sizeof(*d) + (bucket), 0);                   \
		if (!d)                                                                            \
			goto full;                                                                 \
		asm volatile("" : "+r"(n));                                                        \
		if (n > (bucket))                                                                  \
			n = (bucket);                                                              \
		unreadable = bpf_probe_read_user(d + 1, n, (void *)w->span) != 0;                  \
	} while (0)

/* Emits the span found so far as one data segment with the given flags. */
__noinline int tw_emit(u32 flags)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	struct tw_work *w;
	struct tw_data *d;
	u64 process, pid_tgid = bpf_get_current_pid_tgid();
	u64 n;
	u32 sequence;
	bool unreadable;

	if (!thread)
		return 0;
	w = &thread->work;
	n = w->span_len;
	w->span_len = 0;
	if (c->role == TW_ROLE_SERVER && !tw_inbound)
		return 0;
	if (!s->emitted)
		flags |= TW_BLOCK_START;
	s->emitted = 1;
	if (s->cut) {
		if (!(flags & TW_BLOCK_END))
			return 0;
		flags |= TW_CUT;
		n = 0;
	}
	if (!tw_is_request(c, w->direction))
		flags |= TW_RESPONSE;
	if (c->role == TW_ROLE_SERVER)
		flags |= TW_INBOUND;
	if (c->late)
		flags |= TW_LATE;
	sequence = s->sequence++;
	c->spoke = 1;
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
	d->pad2 = 0;
	tw_count(TW_COUNT_DATA_SEGMENTS);
	tw_add(TW_COUNT_DATA_BYTES, n);
	bpf_ringbuf_submit(d, tw_ring_flags());
	return 0;
full:
	tw_count(TW_COUNT_RING_FULL);
	return 0;
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
	c->requests++;
	if (s->seen & TW_ACT_CHUNKED)
		tw_expect_chunk(s);
	else
		s->mode = s->seen & TW_ACT_LENGTH && s->remaining ? TW_MODE_BODY : TW_MODE_START;
}

static __always_inline void tw_response_ended(struct tw_connection *c, struct tw_stream *s,
					      u8 direction)
{
	u64 bit = 1ULL << (s->message & (TW_QUEUE - 1));
	bool head = false, connect = false;
	bool asked = s->message != TW_NO_MESSAGE;
	bool known = asked && (s32)(c->requests - s->message) > 0;
	u16 status = s->status;

	if (known) {
		head = c->head_bits & bit;
		connect = c->connect_bits & bit;
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
		if (connect && status < 300) {
			tw_tell_gap(c->id, c->layer, direction, TW_GAP_TUNNEL, 0);
			/* What follows is a new connection to somebody else, seen from its start.
			 */
			tw_set_mode(c, TW_MODE_START);
			c->spoke = 0;
			return;
		}
	}
	if (!known && !(s->seen & (TW_ACT_CHUNKED | TW_ACT_LENGTH))) {
		/* Without its request, whether a body follows is not known either. */
		s->mode = TW_MODE_LOST;
		return;
	}
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
	s->cut = 0;
	return true;
}

/* A window of user memory at the walk's position; false (counted, framing lost) where unreadable.
 */
static __always_inline bool tw_read_window(struct tw_connection *c, struct tw_work *w, u8 *window,
					   u64 size, u64 *length)
{
	u64 n = w->left < w->total ? w->left : w->total;

	asm volatile("" : "+r"(n));
	if (n > size)
		n = size;
	*length = n;
	if (!bpf_probe_read_user(window, n, (void *)w->at))
		return true;
	tw_count(TW_COUNT_UNREADABLE);
	w->span_len = 0;
	tw_lose(c, w->direction, TW_GAP_UNREADABLE);
	return false;
}

static __always_inline void tw_advance(struct tw_work *w, u64 n)
{
	w->at += n;
	w->left -= n;
	w->total -= n;
}

/* Takes walked header bytes into the span that is emitted next. */
static __always_inline void tw_extend_span(struct tw_stream *s, struct tw_work *w, u32 n)
{
	if (!w->span_len)
		w->span = w->at;
	w->span_len += n;
	tw_advance(w, n);
	s->block += n;
	if (s->block > TW_BLOCK_MAX && !s->cut) {
		s->cut = 1;
		tw_count(TW_COUNT_BLOCK_CUT);
	}
}

/* The automaton has stopped, or the window is used up. */
static __always_inline int tw_scanned(struct tw_connection *c, struct tw_stream *s,
				      struct tw_work *w, u32 walked)
{
	u8 state = s->state;

	if (state == TW_STATE_HTTP2) {
		w->span_len = 0;
		tw_give_up(c, w->direction, TW_GAP_HTTP2);
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
	u32 walked = 0, status, state, seen = 0;

	if (!thread)
		return TW_STEP_DONE;
	w = &thread->work;
	n = w->left < w->total ? w->left : w->total;
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
		if (entry & TW_ACT_STOP)
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
	else
		s->mode = TW_MODE_START;
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
	n = w->left < w->total ? w->left : w->total;
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
	struct tw_stream *s = direction == TW_SENT ? &c->streams[0] : &c->streams[1];
	struct tw_stream *other = tw_opposite(c, direction);
	bool turned = c->last_direction != direction;

	c->last_direction = direction;
	c->used_ns = bpf_ktime_get_ns();
	if (s->mode == TW_MODE_OPAQUE)
		return false;
	if (!turned || !(c->role == TW_ROLE_UNKNOWN || tw_is_request(c, direction)))
		return s->mode != TW_MODE_LOST;
	if (s->mode == TW_MODE_LOST || (s->mode == TW_MODE_START && other->mode == TW_MODE_LOST)) {
		s->mode = TW_MODE_START;
		other->mode = TW_MODE_START;
		tw_drop_awaited(c);
	}
	return true;
}

/* Walks the call that thread->work describes. */
__noinline int tw_walk_call(void)
{
	struct tw_thread *thread;
	int step = TW_STEP_ON;

	for (u32 i = 0; i < TW_STEPS; i++) {
		step = tw_next();
		if (step == TW_STEP_SCAN)
			step = tw_scan();
		if (step == TW_STEP_DONE)
			break;
		if (step == TW_STEP_EMIT) {
			tw_emit(0);
		} else if (step == TW_STEP_ENDED) {
			tw_emit(TW_BLOCK_END);
			tw_block_ended();
		}
	}
	if (step != TW_STEP_DONE) {
		struct tw_connection *c;
		struct tw_stream *s;

		thread = tw_walk(&c, &s);
		if (thread) {
			thread->work.span_len = 0;
			tw_count(TW_COUNT_STEPS);
			tw_lose(c, thread->work.direction, TW_GAP_LOST_FRAMING);
		}
	}
	return 0;
}

/* Bytes passed that this backend could not look at: harmless inside a body, else framing is lost.
 */
static __always_inline void tw_pass_unseen(struct tw_connection *c, u8 direction, u64 n, u8 reason)
{
	struct tw_stream *s = direction == TW_SENT ? &c->streams[0] : &c->streams[1];
	u8 mode = s->mode;

	c->last_direction = direction;
	c->used_ns = bpf_ktime_get_ns();
	if (mode == TW_MODE_OPAQUE || mode == TW_MODE_LOST || mode == TW_MODE_UNTIL_CLOSE)
		return;
	if ((mode == TW_MODE_BODY || mode == TW_MODE_CHUNK_DATA) && n <= s->remaining) {
		s->remaining -= n;
		if (!s->remaining)
			tw_body_ended(s);
		tw_add(TW_COUNT_BODY_BYTES, n);
		return;
	}
	if (c->spoke)
		tw_lose(c, direction, reason);
	else
		s->mode = TW_MODE_LOST;
}

#endif /* TOKENWATCH_BPF_HTTP_H_ */
