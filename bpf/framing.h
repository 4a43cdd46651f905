/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The automaton that reads header blocks and chunk sizes, byte by byte.
 *
 * A table and no branches: 5.10's verifier follows every branch of every turn of a loop, and
 * forgets the states it could compare with after a few turns, so that a loop with ten branches is
 * refused. The table is built by agent/capture/framing_table.cc, where its rules are, and is
 * written into the objects' read-only data before they are loaded.
 */
#ifndef TOKENWATCH_BPF_FRAMING_H_
#define TOKENWATCH_BPF_FRAMING_H_

#define TW_STATES 256
#define TW_CLASSES 64

/* States that the programs know; the others are the table's own. */
enum tw_state {
	TW_STATE_REQUEST = 0, /* before a request's start line */
	TW_STATE_RESPONSE,    /* before a response's start line */
	TW_STATE_FIELDS,      /* at the beginning of a header line */
	TW_STATE_CHUNK,	      /* before a chunk's size */
	TW_STATE_END,	      /* behind the empty line, or behind a chunk's size line */
	TW_STATE_BAD,	      /* not HTTP/1 */
	TW_STATE_HTTP2,	      /* HTTP/2's preface */
	TW_STATE_P,	      /* behind a request's first bytes, which may be the preface's */
	TW_STATE_PR,
	TW_STATE_PRI,
	TW_STATE_PATH, /* where a request's target begins */
	TW_STATE_HOST, /* where the value of Host begins */
	TW_STATE_REST, /* in a line that says nothing, up to its end */
	TW_STATES_KNOWN,
};

/*
 * A table entry is the next state in its low byte and these in its high byte. The walk stops at
 * END, BAD and HTTP2.
 */
enum tw_action {
	TW_ACT_BODY = 1 << 0,	 /* the bodies of this exchange are wanted */
	TW_ACT_DIGIT = 1 << 1,	 /* the byte is the number's next digit */
	TW_ACT_RESET = 1 << 2,	 /* a new number begins */
	TW_ACT_LINE = 1 << 3,	 /* the start line has ended; the number is the status */
	TW_ACT_LENGTH = 1 << 4,	 /* Content-Length */
	TW_ACT_CHUNKED = 1 << 5, /* chunked is the last transfer coding */
	TW_ACT_HEAD = 1 << 6,	 /* the method is HEAD */
	TW_ACT_CONNECT = 1 << 7, /* the method is CONNECT */
};

/*
 * The table that HPACK's Huffman code is read by (hpack.h): its inner nodes, and the flag of an
 * entry that holds a symbol's class above the next node.
 */
#define TW_HUFFMAN_NODES 256
#define TW_HUFFMAN_GIVES 0x8000

#endif /* TOKENWATCH_BPF_FRAMING_H_ */
