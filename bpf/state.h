/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What the programs remember between calls, the maps that hold it, and the agent's knobs.
 *
 * The maps are shared by all objects (the loader reuses the first object's). None of them ever
 * holds a captured byte: matching is done by hashes and progress counts, never by keeping the text.
 */
#ifndef TOKENWATCH_BPF_STATE_H_
#define TOKENWATCH_BPF_STATE_H_

#include "kernel.h"
#include "function.h"
#include "segment.h"

/* Knobs, set before load. Each object has its own copy. */
const volatile bool tw_inbound = false;	      /* keep what servers receive, too */
const volatile __u32 tw_wake_bytes = 1 << 20; /* wake the reader when this much waits */

/* Counters; names for people in agent/capture/counters.cc, in this order. */
enum tw_counter {
	TW_COUNT_RING_FULL,	   /* segments lost because the ring was full */
	TW_COUNT_CONNECTIONS_FULL, /* connections not followed: map full */
	TW_COUNT_THREADS_FULL,	   /* threads not followed: map full */
	TW_COUNT_CALLS_FULL,	   /* TLS calls not followed: map full */
	TW_COUNT_PROCESSES_FULL,   /* processes not announced: map full */
	TW_COUNT_RETURN_MISSED,	   /* calls whose return was never seen */
	TW_COUNT_UNREADABLE,	   /* header bytes that could not be read */
	TW_COUNT_STEPS,		   /* calls with more messages than one run follows */
	TW_COUNT_NOT_HTTP,	   /* connections that speak something else */
	TW_COUNT_BLOCK_CUT,	   /* header blocks over TW_BLOCK_MAX */
	TW_COUNT_DATA_SEGMENTS,	   /* data segments written */
	TW_COUNT_DATA_BYTES,	   /* header bytes written */
	TW_COUNT_BODY_BYTES,	   /* body bytes skipped */
	TW_COUNT_SEND_CALLS,	   /* in-scope sends seen by the socket backend */
	TW_COUNT_RECEIVE_CALLS,	   /* in-scope receives seen by the socket backend */
	TW_COUNT_TLS_CALLS,	   /* in-scope TLS calls with bytes */
	TW_COUNT_SIDE_UNKNOWN,	   /* HEADERS frames withheld: not known which side is the client */
	TW_COUNT_RESUMED,	   /* directions whose HTTP/2 frames were found again */
	TW_COUNT_MPTCP,		   /* transfers over MPTCP, which is not read */
	TW_COUNT_VERDICTS_FULL,	   /* scope of an executable not remembered: map full */
	TW_COUNT_EXE_DEEP,	   /* executables too deep in the file system to be compared */
	TW_COUNT_WIRE_UNREAD,	   /* first sends that may have begun TLS: not looked at whole */
	TW_COUNT_WANTED_FULL,	   /* wanted bodies given up: more than TW_BODY_STREAMS at once */
	TW_COUNTERS,
};

/* Framing of one direction of a connection. */
enum tw_mode {
	TW_MODE_START = 0,   /* a message should begin */
	TW_MODE_BLOCK,	     /* inside a header block */
	TW_MODE_BODY,	     /* `remaining` body bytes */
	TW_MODE_CHUNK_SIZE,  /* inside a chunk's size line */
	TW_MODE_CHUNK_DATA,  /* `remaining` chunk bytes, line end included */
	TW_MODE_TRAILER,     /* header lines after the last chunk */
	TW_MODE_UNTIL_CLOSE, /* body without a length */
	TW_MODE_LOST,	     /* framing unknown: waits for the direction to turn */
	TW_MODE_OPAQUE,	     /* never looked at again */
	/* HTTP/2, from here on: */
	TW_MODE_PREFACE, /* `remaining` bytes of the preface */
	TW_MODE_FRAME,	 /* inside a frame's header, of which `state` bytes are in `remaining` */
	TW_MODE_KEEP,	 /* `remaining` payload bytes of a frame that leaves the kernel */
	TW_MODE_SKIP,	 /* of one that does not */
	TW_MODE_TAKE,	 /* of a DATA frame, whose body may be wanted */
};

struct tw_stream {
	u64 remaining; /* body or chunk bytes left; inside a block, the number being read */
	u64 begun_ns;  /* call that carried the current block's, or frame's, first byte */
	u32 block;     /* bytes of the current block */
	u32 sequence;  /* next data segment's */
	u32 message;   /* of the current block; HTTP/2: the current frame's stream */
	u32 frame;     /* HTTP/2: the current frame's length << 8 | its type */
	u16 status;    /* of the current response; TW_MODE_TAKE: bytes of padding at the end */
	u8 mode;       /* enum tw_mode */
	u8 state;      /* of the automaton in framing.h; TW_MODE_TAKE: the padding's size is next */
	u8 seen;       /* enum tw_action, all of the current block; HTTP/2: tw_frames_seen */
	u8 emitted;    /* a piece of the current block, or frame, has left */
	u8 cut;	       /* the current block has outgrown TW_BLOCK_MAX; TW_MODE_TAKE: has a hole */
	/*
	 * HTTP/2: the current frame's; HTTP/1: first bytes, of "PRI", held back; in a body
	 * TW_WANTED
	 */
	u8 frame_flags;
};

/* The current body leaves the kernel; `block` counts what has. */
#define TW_WANTED 0x80

/* An HTTP/2 stream whose bodies are wanted. */
struct tw_wanted {
	u32 stream;   /* 0: none */
	u16 taken[2]; /* bytes that have left, of the request's and the answer's body */
};
#define TW_TAKEN_ALL 0xffff /* it has ended, or was cut */

/* Entries of a dynamic table (RFC 7541, 2.3.2) that are known to make a request a wanted one. */
#define TW_KNOWN 4

/* tw_connection.spoke */
enum tw_spoke {
	TW_SPOKE_NOTHING = 0,
	TW_SPOKE_PERHAPS, /* a late sighting's request, which may have been part of a body */
	TW_SPOKE_HTTP1,
	TW_SPOKE_HTTP2,
};

/* What a process sends at the beginning of a TCP connection. */
enum tw_wire {
	TW_WIRE_UNKNOWN = 0,
	TW_WIRE_HELLO, /* TLS */
	TW_WIRE_SEEN,  /* TLS, and plaintext of it was seen */
	TW_WIRE_OTHER,
};

enum tw_role {
	TW_ROLE_UNKNOWN = 0,
	TW_ROLE_CLIENT,
	TW_ROLE_SERVER,
	TW_ROLE_IGNORED,
};

/* Both ends of a TCP socket. */
struct tw_ends {
	u8 peer[16];
	u8 local[16];
	u16 peer_port;
	u16 local_port;
	u8 family; /* 4, 6, or 0: none */
	u8 pad[3];
};

/*
 * TLS: the library's object in one image of one process, so that a forked child or an exec is
 * another connection. Socket: the kernel's sock, whoever uses it.
 */
struct tw_connection_key {
	u64 pointer;
	u64 owner; /* tgid << 32 | exec number; 0 for sockets */
	u64 start; /* start_boottime of the thread group; 0 for sockets */
};

struct tw_connection {
	u64 id; /* never reused */
	u64 used_ns;
	u64 freed_ns;		     /* SSL_free was called while an answer was awaited; 0: no */
	struct tw_stream streams[2]; /* by enum tw_direction */
	u64 head_bits;		     /* by request ordinal % 64: HEAD */
	u64 connect_bits;	     /* CONNECT */
	u64 body_bits;		     /* whose bodies are wanted */
	u32 requests;		     /* begun */
	u32 answered;
	struct tw_ends ends;
	u32 received_to; /* a socket's copied_seq behind what was received last, where .. */
	u8 received;	 /* .. something was */
	u8 wire;	 /* enum tw_wire: a socket's */
	u8 sends;	 /* looked at, or behind the ClientHello; at most 255 */
	u8 lit;		 /* TLS: its socket knows that plaintext was seen */
	u8 layer;
	u8 role; /* enum tw_role */
	u8 last_direction;
	u8 tries; /* failed starts before the first message */
	u8 late;  /* older than its first sighting, and no answer has been paired yet */
	u8 certainty;
	u8 announced; /* certainty already told + 1 */
	u8 spoke;     /* enum tw_spoke: of which HTTP a message was seen */
	/* HTTP/2: the client's header blocks (hpack.h), and what follows from them. */
	u64 fields;	     /* union tw_fields: how far the current one was looked at */
	u32 fragment;	     /* bytes of it that its current frame still has */
	u32 inserted;	     /* into the dynamic table, counted while an entry is known */
	u32 known[TW_KNOWN]; /* by that count; 0: none */
	struct tw_wanted wanted[TW_BODY_STREAMS];
	u8 wanted_count; /* streams */
	u8 known_next;	 /* place of the next one */
	u8 asks;	 /* the current block is of a request whose bodies are wanted */
	u8 ends_stream;	 /* it ends it, too */
	u8 pad[4];
};

/* One stretch of user memory that a call transferred, and how far it has been walked. */
struct tw_work {
	struct tw_connection_key key;
	u64 at;	    /* next byte */
	u64 left;   /* bytes of the current piece */
	u64 total;  /* bytes of the call not walked yet, this piece included */
	u64 vector; /* next iovec, 0: none */
	u64 pieces; /* iovecs left */
	u64 span;   /* start of header bytes found but not emitted */
	u64 called_ns;
	u32 span_len;
	u8 vector_is_user;
	u8 direction;
	u8 flags; /* enum tw_data_flag for the next emission */
	u8 pad;
};

/* A socket call between its entry and its return. */
struct tw_socket_call {
	u64 sock; /* 0: none */
	u64 at;
	u64 left;
	u64 vector;
	u64 pieces;
	u64 called_ns;
	u8 vector_is_user;
	u8 unseen; /* the bytes are not in user memory */
	u8 pad[6];
};

/* The last socket that this thread used in one direction. */
struct tw_sighting {
	u64 stack; /* the call's user stack pointer; 0: not known */
	struct tw_ends ends;
	u32 serial; /* rises with each call; 0: none yet */
	u32 pad;
	u64 sock;
};

struct tw_thread {
	struct tw_work work;
	struct tw_socket_call calls[2]; /* by direction */
	struct tw_sighting seen[2];
	struct tw_connection_key pending; /* TLS write that awaits its send; pointer 0: none */
	u64 inside;	  /* TLS call in progress: the library's connection; 0: none */
	u64 inside_stack; /* its stack pointer */
	u8 inside_direction;
	u8 pad[7];
};

/*
 * A TLS call between its entry and its return, by where its return address lies. That tells nested
 * calls apart, and the calls of threads; a coroutine keeps its stack when it moves to another
 * thread.
 */
struct tw_call_key {
	u64 process; /* thread group */
	u64 stack;
};

/* Calls and the system calls that they make are at most so far apart on a stack. */
#define TW_STACK_NEAR (32 << 10)

struct tw_call {
	u64 connection;
	u64 buffer;
	u64 length;
	u64 done;   /* where the library puts the count; 0: it returns it */
	u64 thread; /* that made it, with its thread group */
	u64 called_ns;
	u64 outer; /* tw_thread.inside before this call, and its stack pointer */
	u64 outer_stack;
	u32 serials[2];
	u32 probe; /* number of the entry's */
	u8 direction;
	u8 outer_direction;
	u8 pad[2];
};

struct tw_image {
	u64 process; /* id of the announcement */
	u64 exec_id;
	u64 start;
};

/* An address that the programs leave alone (the collector's). */
struct tw_excluded {
	u8 address[16];
	u16 port; /* host byte order */
	u8 family;
	u8 pad;
};

struct tw_control {
	u32 sleeping; /* the reader waits for a wake-up */
	u32 pad;
};

/* By the probe's number in its cookie (function.h). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct tw_probe_count);
} tw_hits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} tw_segments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tw_connection_key);
	__type(value, struct tw_connection);
} tw_connections SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct tw_thread);
} tw_threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tw_call_key);
	__type(value, struct tw_call);
} tw_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct tw_image);
} tw_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct tw_excluded);
	__type(value, u8);
} tw_excluded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TW_COUNTERS);
	__type(key, u32);
	__type(value, u64);
} tw_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct tw_control);
} tw_control SEC(".maps");

static __always_inline void tw_add(u32 counter, u64 amount)
{
	u64 *value = bpf_map_lookup_elem(&tw_counters, &counter);

	if (value)
		__sync_fetch_and_add(value, amount);
}

static __always_inline void tw_count(u32 counter)
{
	tw_add(counter, 1);
}

/* An id that is never used twice: no CPU creates two in one nanosecond. */
static __always_inline u64 tw_unique(void)
{
	return bpf_ktime_get_ns() << 8 | (bpf_get_smp_processor_id() & 0xff);
}

/* Wakes the reader only when it sleeps or much is waiting: wake-ups are what a ring costs. */
static __always_inline u64 tw_ring_flags(void)
{
	u32 zero = 0;
	struct tw_control *control = bpf_map_lookup_elem(&tw_control, &zero);

	if (control && control->sleeping) {
		control->sleeping = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_query(&tw_segments, BPF_RB_AVAIL_DATA) >= tw_wake_bytes)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void tw_fill_header(struct tw_header *h, u8 type, u16 size, u32 len, u64 ns)
{
	h->type = type;
	h->version = TW_SEGMENT_VERSION;
	h->size = size;
	h->len = len;
	h->mono_ns = ns;
}

static const struct tw_thread tw_no_thread;

static __always_inline struct tw_thread *tw_find_thread(void)
{
	u64 id = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&tw_threads, &id);
}

/* The current thread's record, made where there is none; NULL (counted) where the map is full. */
static __always_inline struct tw_thread *tw_this_thread(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct tw_thread *thread = bpf_map_lookup_elem(&tw_threads, &id);

	if (thread)
		return thread;
	bpf_map_update_elem(&tw_threads, &id, &tw_no_thread, BPF_NOEXIST);
	thread = bpf_map_lookup_elem(&tw_threads, &id);
	if (!thread)
		tw_count(TW_COUNT_THREADS_FULL);
	return thread;
}

#endif /* TOKENWATCH_BPF_STATE_H_ */
