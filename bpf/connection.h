/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Connections: found, made, ended; which socket a TLS connection uses; what is told about them.
 */
#ifndef TOKENWATCH_BPF_CONNECTION_H_
#define TOKENWATCH_BPF_CONNECTION_H_

#include "process.h"
#include "state.h"

static const struct tw_connection tw_no_connection;

static __always_inline void tw_tls_key(struct tw_connection_key *key, u64 pointer)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 tgid = bpf_get_current_pid_tgid() >> 32;

	key->pointer = pointer;
	key->owner = tgid << 32 | (u32)BPF_CORE_READ(task, group_leader, self_exec_id);
	key->start = tw_start_time(task);
}

static __always_inline void tw_socket_key(struct tw_connection_key *key, u64 sock)
{
	key->pointer = sock;
	key->owner = 0;
	key->start = 0;
}

/*
 * What two agents on one host both call a connection, whose `id` is each agent's own: by it they
 * tell at a hand-over which requests they both saw. The factor is 2^64 over the golden ratio.
 */
static __always_inline u32 tw_tag(const struct tw_connection_key *key)
{
	return (key->pointer ^ key->owner << 20 ^ key->start) * 0x9e3779b97f4a7c15 >> 32;
}

/* Makes the connection's record; an existing one is kept. NULL (counted) where the map is full. */
static __always_inline struct tw_connection *tw_make_connection(struct tw_connection_key *key,
								u8 layer, bool late)
{
	struct tw_connection *c;

	bpf_map_update_elem(&tw_connections, key, &tw_no_connection, BPF_NOEXIST);
	c = bpf_map_lookup_elem(&tw_connections, key);
	if (!c) {
		tw_count(TW_COUNT_CONNECTIONS_FULL);
		return NULL;
	}
	if (!c->id) {
		c->id = tw_unique();
		c->layer = layer;
		c->late = late;
		c->used_ns = bpf_ktime_get_ns();
	}
	return c;
}

static __always_inline void tw_tell_gap(u64 connection, u8 layer, u8 direction, u8 reason,
					u64 bytes)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct tw_image *image = bpf_map_lookup_elem(&tw_images, &tgid);
	struct tw_gap *g = bpf_ringbuf_reserve(&tw_segments, sizeof(*g), 0);

	if (!g) {
		tw_count(TW_COUNT_RING_FULL);
		return;
	}
	tw_fill_header(&g->h, TW_GAP, sizeof(*g), 0, bpf_ktime_get_ns());
	g->connection = connection;
	g->process = image ? image->process : 0;
	g->pid = tgid;
	g->reason = reason;
	g->direction = direction;
	g->layer = layer;
	g->pad = 0;
	g->bytes = bytes;
	bpf_ringbuf_submit(g, tw_ring_flags());
}

static __always_inline void tw_tell_close(u64 connection, bool is_final)
{
	struct tw_close *e = bpf_ringbuf_reserve(&tw_segments, sizeof(*e), 0);

	if (!e) {
		tw_count(TW_COUNT_RING_FULL);
		return;
	}
	tw_fill_header(&e->h, TW_CLOSE, sizeof(*e), 0, bpf_ktime_get_ns());
	e->connection = connection;
	e->is_final = is_final;
	e->pad = 0;
	bpf_ringbuf_submit(e, tw_ring_flags());
}

/* Tells the socket once, and again when it was corrected or became sure. */
static __always_inline void tw_tell_peer(struct tw_connection *c)
{
	struct tw_peer *p;

	if (c->announced == c->certainty + 1 || !c->ends.family)
		return;
	p = bpf_ringbuf_reserve(&tw_segments, sizeof(*p), 0);
	if (!p) {
		tw_count(TW_COUNT_RING_FULL);
		return;
	}
	tw_fill_header(&p->h, TW_PEER, sizeof(*p), 0, bpf_ktime_get_ns());
	p->connection = c->id;
	p->family = c->ends.family;
	p->certainty = c->certainty;
	p->peer_port = c->ends.peer_port;
	p->local_port = c->ends.local_port;
	p->pad = 0;
	__builtin_memcpy(p->peer, c->ends.peer, sizeof(p->peer));
	__builtin_memcpy(p->local, c->ends.local, sizeof(p->local));
	c->announced = c->certainty + 1;
	bpf_ringbuf_submit(p, tw_ring_flags());
}

static __always_inline void tw_put_tls(u64 connection, u8 sends, u64 process, u8 event)
{
	struct tw_tls *t = bpf_ringbuf_reserve(&tw_segments, sizeof(*t), 0);

	if (!t) {
		tw_count(TW_COUNT_RING_FULL);
		return;
	}
	tw_fill_header(&t->h, TW_TLS, sizeof(*t), 0, bpf_ktime_get_ns());
	t->connection = connection;
	t->process = process;
	t->pid = process ? bpf_get_current_pid_tgid() >> 32 : 0;
	t->event = event;
	t->sends = sends;
	t->pad[0] = t->pad[1] = 0;
	bpf_ringbuf_submit(t, tw_ring_flags());
}

static __always_inline void tw_tell_tls(const struct tw_connection *c, u64 process, u8 event)
{
	tw_put_tls(c->id, c->sends, process, event);
}

/* Forgets a connection; an exchange that waits for an answer learns that none will come. */
static __always_inline void tw_end_connection(struct tw_connection_key *key)
{
	struct tw_connection *c = bpf_map_lookup_elem(&tw_connections, key);

	if (!c)
		return;
	if (c->spoke)
		tw_tell_close(c->id, true);
	if (c->wire == TW_WIRE_HELLO)
		tw_tell_tls(c, 0, TW_TLS_CLOSED);
	bpf_map_delete_elem(&tw_connections, key);
}

/* Both ends of a TCP socket; false for other families. */
static __always_inline bool tw_read_ends(struct sock *sk, struct tw_ends *ends)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	__builtin_memset(ends, 0, sizeof(*ends));
	if (family == AF_INET) {
		u32 peer = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);

		__builtin_memcpy(ends->peer, &peer, 4);
		__builtin_memcpy(ends->local, &local, 4);
		ends->family = 4;
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&ends->peer, sk, __sk_common.skc_v6_daddr);
		BPF_CORE_READ_INTO(&ends->local, sk, __sk_common.skc_v6_rcv_saddr);
		ends->family = 6;
	} else {
		return false;
	}
	ends->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	/* Not skc_num: that one is cleared first when a socket is torn down. */
	ends->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	return true;
}

static __always_inline bool tw_same_ends(const struct tw_ends *a, const struct tw_ends *b)
{
	const u64 *x = (const void *)a, *y = (const void *)b;
	u64 differ = 0;

	_Static_assert(sizeof(*a) == 40, "compared as five words");
	for (int i = 0; i < 5; i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

/* Plaintext of TLS connection `c` was seen: its socket is not a dark one. */
static __always_inline void tw_light(struct tw_connection *c, u64 sock)
{
	struct tw_connection_key key;
	struct tw_connection *socket;

	tw_socket_key(&key, sock);
	socket = bpf_map_lookup_elem(&tw_connections, &key);
	if (!socket)
		return;
	c->lit = 1;
	if (socket->wire != TW_WIRE_HELLO)
		return;
	socket->wire = TW_WIRE_SEEN;
	tw_tell_tls(socket, tw_this_process(), TW_TLS_SEEN);
}

/*
 * A socket was seen together with a TLS connection, of which a call has transferred plaintext.
 * Inside the library's call it is that connection's; beside it, two sightings have to agree.
 */
static __always_inline void tw_sighted(struct tw_connection *c, const struct tw_sighting *seen,
				       bool exact)
{
	const struct tw_ends *ends = &seen->ends;

	if (!ends->family)
		return;
	if (tw_same_ends(&c->ends, ends)) {
		if (exact)
			c->certainty = TW_PEER_EXACT;
		else if (c->certainty == TW_PEER_UNKNOWN)
			c->certainty = TW_PEER_INFERRED;
		if (!c->lit)
			tw_light(c, seen->sock);
		return;
	}
	/* An inferred contradiction of what is exact is the wrong one of the two. */
	if (c->certainty == TW_PEER_EXACT && !exact)
		return;
	c->ends = *ends;
	c->certainty = exact ? TW_PEER_EXACT : TW_PEER_UNKNOWN;
	c->announced = 0;
	c->lit = 0;
	if (exact)
		tw_light(c, seen->sock);
}

#endif /* TOKENWATCH_BPF_CONNECTION_H_ */
