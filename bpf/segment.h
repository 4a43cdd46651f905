/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Structs that cross from the kernel programs to the agent through the ring buffer.
 *
 * Fixed width, explicit padding, every struct starts with tw_header; sizes and offsets are asserted
 * in agent/capture/segment_layout.cc. Kernel and agent are built together, `version` only guards
 * against recorded segments (tests/replay) of another layout.
 */
#ifndef TOKENWATCH_BPF_SEGMENT_H_
#define TOKENWATCH_BPF_SEGMENT_H_

#define TW_SEGMENT_VERSION 1

/* Header bytes that one data segment carries at most; longer blocks take several segments. */
#define TW_DATA_MAX 4096
/* A header block is followed up to this many bytes, then cut and flagged. */
#define TW_BLOCK_MAX 65536
/* Of a body that is wanted this many bytes leave the kernel; then it is cut and flagged. */
#define TW_BODY_MAX 16384
/* And those of so many streams of an HTTP/2 connection at once. */
#define TW_BODY_STREAMS 8
/* tw_data.message of an answer to a request that was not seen. */
#define TW_NO_MESSAGE 0xffffffff

enum tw_type {
	TW_DATA = 1,	/* bytes of a header block */
	TW_PEER = 2,	/* the socket of a connection was learnt or corrected */
	TW_CLOSE = 3,	/* a connection ended */
	TW_GAP = 4,	/* a connection's framing was lost or given up, with its reason */
	TW_PROCESS = 5, /* who a process is; precedes its first data segment */
	TW_EXIT = 6,	/* a process that was announced has exited */
	TW_TLS = 7,	/* what became of a TLS connection that was seen on the wire */
};

enum tw_direction {
	TW_SENT = 0,
	TW_RECEIVED = 1,
};

enum tw_layer {
	TW_LAYER_TLS = 1,
	TW_LAYER_SOCKET = 2,
};

enum tw_data_flag {
	TW_BLOCK_START = 1 << 0, /* first bytes of a header block */
	TW_BLOCK_END = 1 << 1,	 /* last bytes of a header block, blank line included */
	TW_RESPONSE = 1 << 2,	 /* the block is a response's, else a request's */
	TW_INBOUND = 1 << 3,	 /* the observed process is the server */
	TW_LATE = 1 << 4,	 /* the connection is older than its first sighting */
	TW_CUT = 1 << 5,	 /* bytes are missing at the end of this segment or block */
	/*
	 * A piece of one HTTP/2 frame, whole and in order, padding included. Where the flags above
	 * say block they mean the frame: the first piece begins with its nine-byte header as on the
	 * wire (RFC 9113, 4.1), `message` is its stream. Only HEADERS, CONTINUATION, SETTINGS,
	 * PUSH_PROMISE, RST_STREAM and GOAWAY leave the kernel; the preface does not. Behind TW_CUT
	 * and a jump of the sequence the HPACK state is unknown; with TW_LATE it always was.
	 */
	TW_HTTP2 = 1 << 6,
	/*
	 * A piece of a body, in order and without chunk sizes. Where the flags above say block they
	 * mean the body. Only of exchanges whose request the automaton of framing.h marked: calls
	 * that obtain, renew or end tokens.
	 *
	 * With TW_HTTP2 padding is left out, too, and pieces of other streams and frames may lie
	 * between those of one body. That of a request always begins, without bytes, right behind
	 * its header block; where RST_STREAM ends a stream its bodies end without a piece.
	 */
	TW_BODY = 1 << 7,
};

enum tw_certainty {
	TW_PEER_UNKNOWN = 0,
	TW_PEER_INFERRED = 1, /* two agreeing sightings beside the library's calls */
	TW_PEER_EXACT = 2,    /* the socket itself, or a socket call inside the library's call */
};

/* Why a connection is not, or no longer, read. Names for people are in agent/http/gap.h. */
enum tw_gap_reason {
	TW_GAP_LOST_FRAMING = 1,  /* bytes that fit no framing where a message should begin */
	TW_GAP_HTTP2 = 2,	  /* not told any more: HTTP/2 is read */
	TW_GAP_UPGRADED = 3,	  /* 101 Switching Protocols; expected, not a loss */
	TW_GAP_TUNNEL = 4,	  /* CONNECT accepted; expected, not a loss */
	TW_GAP_PIPELINE = 5,	  /* more unanswered requests than the method queue holds */
	TW_GAP_LATE_DISCARD = 6,  /* a late sighting's first request proved to be a body */
	TW_GAP_PAST_API = 7,	  /* BIO_f_ssl: reads and writes go past the public functions */
	TW_GAP_UNREADABLE = 8,	  /* header bytes on a page that was not resident */
	TW_GAP_KERNEL_BUFFER = 9, /* header bytes sent from kernel pages (sendfile, splice) */
	TW_GAP_UNSEEN_CALL = 10,  /* bytes received by a call that the backend does not see */
};

struct tw_header {
	__u8 type; /* enum tw_type */
	__u8 version;
	__u16 size;    /* bytes of the fixed struct, this header included */
	__u32 len;     /* bytes that follow the fixed struct */
	__u64 mono_ns; /* CLOCK_MONOTONIC */
};

/* Identity of a connection is `connection`: made when the connection is first seen, never reused.
 */
struct tw_data {
	struct tw_header
		h; /* mono_ns: entry of the call that sent, return of the one that received */
	__u64 connection;
	__u64 process; /* names a TW_PROCESS; whoever made this call */
	__u32 pid;     /* thread group, init pid namespace */
	__u32 tid;
	__u32 sequence; /* per connection and direction, taken before anything can fail; from 0 */
	__u8 direction; /* enum tw_direction */
	__u8 layer;	/* enum tw_layer */
	__u8 flags;	/* enum tw_data_flag */
	__u8 pad;
	/* Ordinal of the request on its connection, which its response has too; HTTP/2: stream. */
	__u32 message;
	/* Of the connection: the same in every agent of this host, but others may have it, too. */
	__u32 tag;
	/* bytes[h.len] */
};

struct tw_peer {
	struct tw_header h;
	__u64 connection;
	__u8 family;	  /* 4 or 6 */
	__u8 certainty;	  /* enum tw_certainty */
	__u16 peer_port;  /* host byte order */
	__u16 local_port; /* host byte order */
	__u16 pad;
	__u8 peer[16]; /* network byte order; IPv4 in the first four */
	__u8 local[16];
};

struct tw_close {
	struct tw_header h;
	__u64 connection;
	__u32 is_final; /* 0: a reference was dropped and the connection may go on */
	__u32 pad;
};

struct tw_gap {
	struct tw_header h;
	__u64 connection; /* 0 where no connection is known */
	__u64 process;
	__u32 pid;
	__u8 reason; /* enum tw_gap_reason */
	__u8 direction;
	__u8 layer;
	__u8 pad;
	__u64 bytes; /* bytes concerned, where known */
};

#define TW_PATH_MAX 1024
/* Room past the bound that one component, written at a masked offset, may use. */
#define TW_PATH_SLACK 256
#define TW_ARGS_MAX 1024

/*
 * Paths are components from the last to the first, each ended by a NUL; `*_len` counts the NULs.
 * A path that did not fit has its bit in `cut` set, and the agent asks /proc instead.
 */
struct tw_process {
	struct tw_header h;
	__u64 process;
	__u64 start_boot_ns; /* of the thread group leader, CLOCK_BOOTTIME */
	__u64 cgroup_id;
	__u32 pid;
	__u32 parent_pid;
	__u32 uid; /* real uid, init user namespace */
	__u32 gid;
	__u32 login_uid; /* 4294967295: none */
	__u32 cut;	 /* 1 exe, 2 parent exe, 4 cgroup, 8 args */
	__u16 exe_len;
	__u16 parent_exe_len;
	__u16 cgroup_len;
	__u16 args_len;
	char comm[16];
	char exe[TW_PATH_MAX + TW_PATH_SLACK];
	char parent_exe[TW_PATH_MAX + TW_PATH_SLACK];
	char cgroup[TW_PATH_MAX + TW_PATH_SLACK];
	char args[TW_ARGS_MAX]; /* start of the argument area; secret, wiped after use */
};

struct tw_exit {
	struct tw_header h;
	__u64 process;
	__u32 pid;
	__u32 pad;
};

enum tw_tls_event {
	TW_TLS_HELLO = 1, /* its process sent a ClientHello (RFC 8446, 4.1.2) */
	TW_TLS_SEEN = 2,  /* the plaintext of a call on it was seen */
	TW_TLS_BUSY = 3,  /* TW_TLS_BUSY_SENDS were made without that */
	TW_TLS_CLOSED = 4,
	TW_TLS_QUIC = 5, /* a QUIC connection instead: no more is told of it */
};

/* Behind the ClientHello one more send ends the handshake. What comes after is data. */
#define TW_TLS_DATA_SENDS 2
#define TW_TLS_BUSY_SENDS 3

struct tw_tls {
	struct tw_header h;
	__u64 connection; /* the socket's */
	__u64 process;	  /* names a TW_PROCESS; 0 when closed: whoever drops the socket */
	__u32 pid;
	__u8 event; /* enum tw_tls_event */
	__u8 sends; /* behind the ClientHello, alerts not counted; at most 255 */
	__u8 pad[2];
};

#endif /* TOKENWATCH_BPF_SEGMENT_H_ */
