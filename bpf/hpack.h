/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * HPACK (RFC 7541), as far as it tells that the bodies of a request are wanted: the values of :path
 * and :authority run through the automaton of framing.h, as a request line and Host do in HTTP/1.
 *
 * Pseudo-header fields come first (RFC 9113, 8.3), so that a look ends at the first other field.
 * Some clients put :path into the dynamic table and name its entry from then on. To know such an
 * entry again, what is inserted behind it is counted; while one is known, blocks are looked at to
 * their end. No byte is kept: a string that goes on in other memory, or in another call, is the
 * states of two automata and a length.
 */
#ifndef TOKENWATCH_BPF_HPACK_H_
#define TOKENWATCH_BPF_HPACK_H_

#include "walk.h"

#define TW_STATIC_ENTRIES 61
#define TW_LAST_PSEUDO 7     /* of a request, in the static table */
#define TW_FIELD_STEPS 160   /* a piece of a block; what is behind is not looked at */
#define TW_FIELD_WINDOW 32   /* bytes of a string a step */
#define TW_FIELD_MAX 0xfffff /* of a number or a string */

/*
 * The Huffman code (appendix B) by four bits: inner node * 16 + bits to the next node in the low
 * byte, and, where TW_HUFFMAN_GIVES is set, the class (framing.h) of the symbol that ended in the
 * bits between. Built by agent/capture/huffman_table.cc.
 */
const volatile __u16 tw_huffman[TW_HUFFMAN_NODES * 16] = {};

enum tw_fields_phase {
	TW_FIELDS_NEXT = 0,	/* a field begins */
	TW_FIELDS_INDEX,	/* in an indexed field's number */
	TW_FIELDS_SIZE,		/* in the size of a dynamic table size update */
	TW_FIELDS_NAME_INDEX,	/* in the number of a literal's name */
	TW_FIELDS_NAME,		/* before a name's length */
	TW_FIELDS_NAME_LENGTH,	/* in it */
	TW_FIELDS_NAME_TEXT,	/* `left` bytes of the name */
	TW_FIELDS_VALUE,	/* the same of a value */
	TW_FIELDS_VALUE_LENGTH, /* .. */
	TW_FIELDS_VALUE_TEXT,	/* .. */
	TW_FIELDS_PADDED,	/* before the size of the frame's padding */
	TW_FIELDS_PRIORITY,	/* `left` bytes in front of the fields */
	TW_FIELDS_DONE,		/* the rest does not matter */
	TW_FIELDS_LOST,		/* nor can it be told */
};

enum tw_fields_flag {
	TW_FIELDS_INDEXING = 1 << 0, /* the literal is inserted into the dynamic table */
	TW_FIELDS_CODED = 1 << 1,    /* the string is Huffman coded */
	TW_FIELDS_PATH = 1 << 2,     /* the value is :path's */
	TW_FIELDS_HOST = 1 << 3,     /* the value is :authority's */
	TW_FIELDS_FOUND = 1 << 4,    /* and makes its request a wanted one */
	TW_FIELDS_ALL = 1 << 5,	     /* the block is looked at to its end */
	/* What a step has come upon: */
	TW_FIELDS_INDEXED = 1 << 6, /* an indexed field; `left` is its number */
	TW_FIELDS_LITERAL = 1 << 7, /* the end of a literal */
};

/* How far a block was looked at. A word, for global functions take and give scalars only. */
union tw_fields {
	struct {
		u32 left : 20; /* bytes of the string; in a number: its value so far */
		u32 used : 12; /* bytes that the last step took */
		u8 phase : 7;
		u8 stop : 1; /* there is nothing more to look at, or not here */
		u8 flags;
		u8 state; /* of the automaton; in a number: bits that it has so far */
		u8 node;  /* of the Huffman code */
	};
	u64 word;
};

static __always_inline void tw_text_ended(union tw_fields *f)
{
	if (f->phase == TW_FIELDS_NAME_TEXT) {
		f->phase = TW_FIELDS_VALUE;
		return;
	}
	if (f->phase == TW_FIELDS_VALUE_TEXT && f->flags & (TW_FIELDS_ALL | TW_FIELDS_FOUND))
		f->flags |= TW_FIELDS_LITERAL;
	f->phase = TW_FIELDS_NEXT;
}

/* Of `n` bytes those of a string that says nothing. */
static __always_inline void tw_skip_text(union tw_fields *f, u64 n)
{
	u32 used = f->used, left = f->left, size = n - used;

	if (size > left)
		size = left;
	f->used = used + size;
	f->left = left - size;
	if (left == size)
		tw_text_ended(f);
}

/* A number (5.1) has begun with `value`, or is whole where that is less than `most`. */
static __always_inline bool tw_number_begins(union tw_fields *f, u32 value, u32 most, u8 phase)
{
	f->left = value;
	f->state = 0;
	f->phase = phase;
	return value < most;
}

static __always_inline void tw_field_is_indexed(union tw_fields *f)
{
	u32 index = f->left;

	f->phase = TW_FIELDS_NEXT;
	if (f->flags & TW_FIELDS_ALL) {
		if (index > TW_STATIC_ENTRIES)
			f->flags |= TW_FIELDS_INDEXED;
	} else if (index > TW_LAST_PSEUDO && index <= TW_STATIC_ENTRIES) {
		f->phase = TW_FIELDS_DONE;
	}
}

static __always_inline void tw_field_is_named(union tw_fields *f)
{
	u32 index = f->left;

	f->phase = index ? TW_FIELDS_VALUE : TW_FIELDS_NAME;
	if (index == 1)
		f->flags |= TW_FIELDS_HOST;
	else if (index == 4 || index == 5)
		f->flags |= TW_FIELDS_PATH;
	else if ((!index || index > TW_LAST_PSEUDO) && !(f->flags & TW_FIELDS_ALL))
		f->phase = TW_FIELDS_DONE;
}

static __always_inline void tw_field_begins(union tw_fields *f, u32 byte)
{
	f->flags &= TW_FIELDS_ALL;
	if (byte & 0x80) {
		if (tw_number_begins(f, byte & 0x7f, 0x7f, TW_FIELDS_INDEX))
			tw_field_is_indexed(f);
	} else if ((byte & 0xe0) == 0x20) {
		if (tw_number_begins(f, byte & 0x1f, 0x1f, TW_FIELDS_SIZE))
			f->phase = TW_FIELDS_NEXT;
	} else {
		u32 most = 0x0f;

		if (byte & 0x40) {
			f->flags |= TW_FIELDS_INDEXING;
			most = 0x3f;
		}
		if (tw_number_begins(f, byte & most, most, TW_FIELDS_NAME_INDEX))
			tw_field_is_named(f);
	}
}

static __always_inline void tw_text_begins(union tw_fields *f, u64 n)
{
	f->node = 0;
	f->state = f->flags & TW_FIELDS_PATH ? TW_STATE_PATH : TW_STATE_HOST;
	if (f->phase == TW_FIELDS_NAME_LENGTH) {
		f->phase = TW_FIELDS_NAME_TEXT;
		tw_skip_text(f, n);
		return;
	}
	f->phase = TW_FIELDS_VALUE_TEXT;
	if (!f->left || !(f->flags & (TW_FIELDS_PATH | TW_FIELDS_HOST)))
		tw_skip_text(f, n);
}

/* A string's length begins. */
static __always_inline void tw_length_begins(union tw_fields *f, u32 byte, u64 n)
{
	if (byte & 0x80)
		f->flags |= TW_FIELDS_CODED;
	else
		f->flags &= ~TW_FIELDS_CODED;
	if (tw_number_begins(f, byte & 0x7f, 0x7f, f->phase + 1))
		tw_text_begins(f, n);
}

static __always_inline void tw_number_goes_on(union tw_fields *f, u32 byte, u64 n)
{
	u32 bits = f->state, value;

	if (bits > 14) {
		f->phase = TW_FIELDS_LOST;
		return;
	}
	value = f->left + ((byte & 0x7f) << bits);
	if (value > TW_FIELD_MAX) {
		f->phase = TW_FIELDS_LOST;
		return;
	}
	f->left = value;
	f->state = bits + 7;
	if (byte & 0x80)
		return;
	if (f->phase == TW_FIELDS_INDEX)
		tw_field_is_indexed(f);
	else if (f->phase == TW_FIELDS_SIZE)
		f->phase = TW_FIELDS_NEXT;
	else if (f->phase == TW_FIELDS_NAME_INDEX)
		tw_field_is_named(f);
	else
		tw_text_begins(f, n);
}

/* One symbol of class `class`; the automaton's entry for it. */
static __always_inline u32 tw_transit(u32 state, u64 class)
{
	u64 at = state * TW_CLASSES + class;

	asm volatile("" : "+r"(at));
	at &= TW_STATES * TW_CLASSES - 1;
	return tw_table[at];
}

/* A step over `n` bytes of a value has come to `state` and has seen the actions `seen`. */
static __always_inline u64 tw_text_walked(union tw_fields *f, u32 n, u32 state, u32 seen)
{
	f->used += n;
	f->left -= n;
	f->state = state;
	/* The target of a request line ends with a blank. */
	if (!f->left && f->flags & TW_FIELDS_PATH)
		seen |= tw_transit(state, tw_class[' ']) >> 8;
	if (seen & TW_ACT_BODY)
		f->flags |= TW_FIELDS_FOUND;
	if (state == TW_STATE_REST)
		f->flags &= ~TW_FIELDS_HOST;
	if (!f->left)
		tw_text_ended(f);
	return f->word;
}

/* The first bytes of a value that is not coded. */
__noinline u64 tw_plain_text(u64 at, u64 n, u64 word)
{
	union tw_fields f = {.word = word};
	u8 window[TW_FIELD_WINDOW] = {};
	u32 state = f.state, seen = 0;

	if (n > f.left)
		n = f.left;
	asm volatile("" : "+r"(n));
	if (n > TW_FIELD_WINDOW)
		n = TW_FIELD_WINDOW;
	if (bpf_probe_read_user(window, n, (void *)at)) {
		f.phase = TW_FIELDS_LOST;
		return f.word;
	}
	for (u32 i = 0; i < TW_FIELD_WINDOW; i++) {
		u32 entry;

		if (i >= n)
			break;
		entry = tw_transit(state, tw_class[window[i]]);
		state = entry & 0xff;
		seen |= entry >> 8;
	}
	return tw_text_walked(&f, n, state, seen);
}

/* The first bytes of a value in the Huffman code. */
__noinline u64 tw_coded_text(u64 at, u64 n, u64 word)
{
	union tw_fields f = {.word = word};
	u8 window[TW_FIELD_WINDOW] = {};
	u32 state = f.state, node = f.node, seen = 0;

	if (n > f.left)
		n = f.left;
	asm volatile("" : "+r"(n));
	if (n > TW_FIELD_WINDOW)
		n = TW_FIELD_WINDOW;
	if (bpf_probe_read_user(window, n, (void *)at)) {
		f.phase = TW_FIELDS_LOST;
		return f.word;
	}
	for (u32 i = 0; i < 2 * TW_FIELD_WINDOW; i++) {
		u32 code, entry, given;
		u64 row;

		if (i >= 2 * n)
			break;
		row = node << 4 | (window[i >> 1] >> (i & 1 ? 0 : 4) & 15);
		asm volatile("" : "+r"(row));
		row &= TW_HUFFMAN_NODES * 16 - 1;
		code = tw_huffman[row];
		node = code & 0xff;
		/* All bits where a symbol has ended. */
		given = -(code >> 15);
		entry = tw_transit(state, code >> 8 & (TW_CLASSES - 1)) & given;
		seen |= entry >> 8;
		state = (entry & 0xff) | (state & ~given);
	}
	f.node = node;
	return tw_text_walked(&f, n, state, seen);
}

/* A step has come upon something that matters. */
__noinline u64 tw_field_told(u64 word)
{
	union tw_fields f = {.word = word};
	struct tw_connection *c;
	struct tw_stream *s;
	u32 number;

	if (!tw_walk(&c, &s))
		return word;
	if (f.flags & TW_FIELDS_INDEXED) {
		/* Entries are numbered from the newest on (2.3.3). */
		number = c->inserted - (f.left - TW_STATIC_ENTRIES - 1);
		for (u32 i = 0; i < TW_KNOWN; i++) {
			if (number && c->known[i] == number)
				c->asks = 1;
		}
		return word;
	}
	if (f.flags & TW_FIELDS_INDEXING)
		c->inserted++;
	if (!(f.flags & TW_FIELDS_FOUND))
		return word;
	c->asks = 1;
	if (f.flags & TW_FIELDS_INDEXING) {
		c->known[c->known_next & (TW_KNOWN - 1)] = c->inserted;
		c->known_next++;
		f.flags |= TW_FIELDS_ALL;
	} else if (!(f.flags & TW_FIELDS_ALL)) {
		f.phase = TW_FIELDS_DONE;
	}
	return f.word;
}

/* 1 where `a` is less than `b`, both less than 2^63; else 0. */
static __always_inline u64 tw_less(u64 a, u64 b)
{
	return (a - b) >> 63;
}

/*
 * How many of the bytes, the first one in the low bits, are fields by themselves and of no
 * interest: pseudo-header fields of the static table, and entries of the dynamic one.
 */
static __always_inline u32 tw_dull_fields(u64 bytes, u64 n)
{
	u64 dull = 1, count = 0;

	for (u64 i = 0; i < sizeof(bytes); i++) {
		u64 index = (bytes & 0xff) ^ 0x80;

		/* So that it is not unrolled, which would cost stack. */
		asm volatile("" : "+r"(i));
		bytes >>= 8;
		dull &= tw_less(i, n) &
			((tw_less(0, index) & tw_less(index, TW_LAST_PSEUDO + 1)) |
			 (tw_less(TW_STATIC_ENTRIES, index) & tw_less(index, 0x7f)));
		count += dull;
	}
	return count;
}

static __always_inline u64 tw_text(u64 at, u64 n, const union tw_fields *f)
{
	if (f->flags & TW_FIELDS_CODED)
		return tw_coded_text(at, n, f->word);
	return tw_plain_text(at, n, f->word);
}

/* The next bytes of a block: a field's first ones, or a part of a string. */
static __always_inline u64 tw_field_bytes(u64 at, u64 n, u64 word)
{
	union tw_fields f = {.word = word};
	u64 size = n, bytes = 0;
	u8 phase;

	f.used = 0;
	f.flags &= ~(TW_FIELDS_INDEXED | TW_FIELDS_LITERAL);
	phase = f.phase;
	if (phase == TW_FIELDS_VALUE_TEXT && f.flags & (TW_FIELDS_PATH | TW_FIELDS_HOST))
		return tw_text(at, n, &f);
	if (phase == TW_FIELDS_VALUE_TEXT || phase == TW_FIELDS_NAME_TEXT ||
	    phase == TW_FIELDS_PRIORITY) {
		tw_skip_text(&f, n);
		return f.word;
	}
	asm volatile("" : "+r"(size));
	if (size > sizeof(bytes))
		size = sizeof(bytes);
	if (bpf_probe_read_user(&bytes, size, (void *)at)) {
		f.phase = TW_FIELDS_LOST;
		return f.word;
	}
	f.used = 1;
	if (phase == TW_FIELDS_NAME || phase == TW_FIELDS_VALUE) {
		tw_length_begins(&f, (u8)bytes, n);
		return f.word;
	}
	if (phase != TW_FIELDS_NEXT) {
		tw_number_goes_on(&f, (u8)bytes, n);
		return f.word;
	}
	if (!(f.flags & TW_FIELDS_ALL) && bytes & 0x80) {
		u32 dull = tw_dull_fields(bytes, size);

		if (dull) {
			f.used = dull;
			return f.word;
		}
	}
	tw_field_begins(&f, (u8)bytes);
	if (n < 2 || (f.phase != TW_FIELDS_NAME && f.phase != TW_FIELDS_VALUE))
		return f.word;
	f.used = 2;
	tw_length_begins(&f, (u8)(bytes >> 8), n);
	if (n > 2 && f.phase == TW_FIELDS_VALUE_TEXT && f.flags & (TW_FIELDS_PATH | TW_FIELDS_HOST))
		return tw_text(at + 2, n - 2, &f);
	return f.word;
}

/*
 * Looks at the next bytes of a block, of which `n` are at `at`; `stop` where the last of them were
 * taken, or the rest does not matter. All of a turn is in here: 5.10 follows each branch of a loop
 * by itself.
 */
__noinline u64 tw_field(u64 at, u64 n, u64 word)
{
	union tw_fields f;

	f.word = tw_field_bytes(at, n, word);
	if (f.flags & (TW_FIELDS_INDEXED | TW_FIELDS_LITERAL))
		f.word = tw_field_told(f.word);
	f.stop = f.used >= n || f.phase >= TW_FIELDS_DONE;
	return f.word;
}

/* A frame of a client's header block begins; `leaves`: it will be looked at. */
static __always_inline void tw_expect_fields(struct tw_connection *c,
					     const struct tw_frame_header *h, bool leaves)
{
	union tw_fields f = {.word = c->fields};
	u32 known = 0;

	c->fragment = h->length;
	if (h->type == TW_FRAME_HEADERS) {
		/* Of the block before, not all that was inserted was counted. */
		if (f.phase != TW_FIELDS_NEXT && f.phase != TW_FIELDS_DONE)
			tw_forget_known(c);
		for (u32 i = 0; i < TW_KNOWN; i++)
			known |= c->known[i];
		f.word = 0;
		if (known)
			f.flags = TW_FIELDS_ALL;
		f.left = 5;
		f.phase = h->flags & TW_FRAME_PADDED	      ? TW_FIELDS_PADDED
			  : h->flags & TW_FRAME_WITH_PRIORITY ? TW_FIELDS_PRIORITY
							      : TW_FIELDS_NEXT;
		c->asks = 0;
		c->ends_stream = !!(h->flags & TW_FRAME_END_STREAM);
	}
	if (!leaves && f.phase != TW_FIELDS_DONE)
		f.phase = TW_FIELDS_LOST;
	c->fields = f.word;
}

/* The current piece of the frame is of a block that is looked at. */
static __always_inline bool tw_is_looked_at(const struct tw_connection *c,
					    const struct tw_stream *s, u8 direction)
{
	union tw_fields f = {.word = c->fields};
	u8 type = s->frame;

	return (type == TW_FRAME_HEADERS || type == TW_FRAME_CONTINUATION) &&
	       f.phase < TW_FIELDS_DONE && tw_is_request(c, direction);
}

/* Looks at the span, which is of a client's header block. TW_STEP_AFTER where bodies are wanted. */
__noinline int tw_look(void)
{
	struct tw_connection *c;
	struct tw_stream *s;
	struct tw_thread *thread = tw_walk(&c, &s);
	union tw_fields f;
	u64 at, n, rest;
	u8 padding = 0;

	if (!thread)
		return 0;
	at = thread->work.span;
	n = thread->work.span_len;
	f.word = c->fields;
	rest = c->fragment;
	if (f.phase == TW_FIELDS_PADDED) {
		if (bpf_probe_read_user(&padding, 1, (void *)at)) {
			f.phase = TW_FIELDS_LOST;
		} else {
			f.phase = s->frame_flags & TW_FRAME_WITH_PRIORITY ? TW_FIELDS_PRIORITY
									  : TW_FIELDS_NEXT;
			at++;
			n--;
			rest -= 1;
			rest = rest > padding ? rest - padding : 0;
		}
	}
	if (n > rest)
		n = rest;
	rest -= n;
	f.stop = !n || f.phase >= TW_FIELDS_DONE;
	for (u32 i = 0; i < TW_FIELD_STEPS; i++) {
		if (f.stop)
			break;
		f.word = tw_field(at, n, f.word);
		at += f.used;
		n -= f.used;
	}
	if (!f.stop)
		f.phase = TW_FIELDS_LOST;
	c->fragment = rest;
	c->fields = f.word;
	return c->asks ? TW_STEP_AFTER : 0;
}

#endif /* TOKENWATCH_BPF_HPACK_H_ */
