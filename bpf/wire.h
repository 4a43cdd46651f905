/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * TLS as it shows on the wire, whatever library speaks it: that a connection begins, and that it
 * carries data. Nothing else of it is looked at.
 */
#ifndef TOKENWATCH_BPF_WIRE_H_
#define TOKENWATCH_BPF_WIRE_H_

#include "connection.h"

/* Record types (RFC 8446, 5.1), and the length of an encrypted alert: 2 + 1 + 16 bytes. */
enum tw_record {
	TW_RECORD_CHANGE_CIPHER = 20,
	TW_RECORD_ALERT = 21,
	TW_RECORD_HANDSHAKE = 22,
	TW_RECORD_DATA = 23,
};
#define TW_RECORD_HEADER 5
#define TW_SEALED_ALERT 19
#define TW_FIRST_SENDS 4 /* of a connection, that are looked at for a ClientHello */

/*
 * Whether a send of a TLS connection begins a flight: not one of alerts, not a change of ciphers
 * that is sent for its own sake, not the rest of a record. What cannot be looked at may be
 * anything.
 */
static __always_inline bool tw_is_flight(const u8 *head, long count, u64 known)
{
	u16 length = head[3] << 8 | head[4];

	switch (head[0]) {
	case TW_RECORD_HANDSHAKE:
		return true;
	case TW_RECORD_DATA:
		return length > TW_SEALED_ALERT;
	case TW_RECORD_CHANGE_CIPHER:
		return count > TW_RECORD_HEADER + 1;
	}
	return !known;
}

/* The first bytes of a send, as many as its first piece with any has; their number. */
static __always_inline u64 tw_read_head(const struct tw_socket_call *call, u8 *head)
{
	struct iovec piece = {.iov_base = (void *)call->at, .iov_len = call->left};

	if (call->unseen)
		return 0;
	if (!piece.iov_len && call->pieces)
		bpf_probe_read_kernel(&piece, sizeof(piece), (void *)call->vector);
	if (piece.iov_len > TW_RECORD_HEADER &&
	    !bpf_probe_read_user(head, TW_RECORD_HEADER + 1, piece.iov_base))
		return TW_RECORD_HEADER + 1;
	if (piece.iov_len >= TW_RECORD_HEADER &&
	    !bpf_probe_read_user(head, TW_RECORD_HEADER, piece.iov_base))
		return TW_RECORD_HEADER;
	if (piece.iov_len && !bpf_probe_read_user(head, 1, piece.iov_base))
		return 1;
	return 0;
}

/*
 * Whether a TLS connection begins in what a process sends first: a handshake record with a
 * ClientHello (RFC 8446, 5.1 and 4). Some protocols ask for TLS before (PostgreSQL, STARTTLS). Of a
 * header by itself the connection tells whose it is: a server's did not begin here.
 */
static __noinline void tw_watch_wire(struct tw_connection *c, struct tw_socket_call *call,
				     long count)
{
	u8 head[TW_RECORD_HEADER + 1] = {};
	u64 known;

	if (c->wire >= TW_WIRE_SEEN || c->role == TW_ROLE_IGNORED)
		return;
	known = tw_read_head(call, head);
	if (c->wire == TW_WIRE_HELLO) {
		if (!tw_is_flight(head, count, known) || c->sends == 255)
			return;
		if (++c->sends == TW_TLS_BUSY_SENDS)
			tw_tell_tls(c, tw_this_process(), TW_TLS_BUSY);
		return;
	}
	if (head[0] == TW_RECORD_HANDSHAKE && head[1] == 3 && head[2] <= 4 &&
	    (head[TW_RECORD_HEADER] == 1 || (known == TW_RECORD_HEADER && !c->late))) {
		c->wire = TW_WIRE_HELLO;
		c->sends = 0;
		tw_tell_tls(c, tw_this_process(), TW_TLS_HELLO);
		return;
	}
	if (!c->sends && !c->late && (!known || (known == 1 && head[0] == TW_RECORD_HANDSHAKE)))
		tw_count(TW_COUNT_WIRE_UNREAD);
	if (++c->sends == TW_FIRST_SENDS)
		c->wire = TW_WIRE_OTHER;
}

#endif /* TOKENWATCH_BPF_WIRE_H_ */
