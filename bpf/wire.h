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
 * Whether a send of a TLS connection is neither one of alerts nor a change of ciphers that is sent
 * for its own sake.
 */
static __always_inline bool tw_is_flight(const u8 *head, long count)
{
	u16 length = head[3] << 8 | head[4];

	switch (head[0]) {
	case TW_RECORD_ALERT:
		return false;
	case TW_RECORD_DATA:
		return length > TW_SEALED_ALERT;
	case TW_RECORD_CHANGE_CIPHER:
		return count > TW_RECORD_HEADER + 1;
	}
	return true;
}

/*
 * Whether a TLS connection begins in what a process sends first: a handshake record with a
 * ClientHello (RFC 8446, 5.1 and 4). Some protocols ask for TLS before (PostgreSQL, STARTTLS).
 */
static __noinline void tw_watch_wire(struct tw_connection *c, struct tw_socket_call *call,
				     long count)
{
	u8 head[TW_RECORD_HEADER + 1] = {};

	if (c->wire >= TW_WIRE_SEEN || c->role == TW_ROLE_IGNORED)
		return;
	if (!call->unseen && call->left >= sizeof(head))
		bpf_probe_read_user(head, sizeof(head), (void *)call->at);
	if (c->wire == TW_WIRE_HELLO) {
		if (!tw_is_flight(head, count) || c->sends == 255)
			return;
		if (++c->sends == TW_TLS_BUSY_SENDS)
			tw_tell_tls(c, tw_this_process(), TW_TLS_BUSY);
	} else if (head[0] == TW_RECORD_HANDSHAKE && head[1] == 3 && head[2] <= 4 &&
		   head[TW_RECORD_HEADER] == 1) {
		c->wire = TW_WIRE_HELLO;
		c->sends = 0;
		tw_tell_tls(c, tw_this_process(), TW_TLS_HELLO);
	} else if (++c->sends == TW_FIRST_SENDS) {
		c->wire = TW_WIRE_OTHER;
	}
}

#endif /* TOKENWATCH_BPF_WIRE_H_ */
