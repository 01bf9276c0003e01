/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The connection tracking state machine of Cilium 1.9, for either address family. Only the
 * making of keys knows how long an address is.
 */
#ifndef CTCONSOLE_CONNTRACK_H
#define CTCONSOLE_CONNTRACK_H

#include "flow.h"

enum ct_status {
	CT_NEW,
	CT_ESTABLISHED,
	CT_REPLY,
	CT_RELATED,
	CT_REOPENED,
};

/* What an entry knows of a connection beside its age. */
struct ct_state {
	__u32 backend_id;     /* SERVICE entries only */
	__be16 rev_nat_index; /* the service its opener meant, 0 for none */
	bool loopback;	      /* the service's backend is its opener itself */
	bool report;	      /* its entry's flags or report time were written */
};

union ct_key {
	struct ipv4_ct_tuple v4;
	struct ipv6_ct_tuple v6;
};

/* Under which of its keys a packet is looked up. */
enum ct_key_kind {
	KEY_REPLY,   /* as an answer to the connection's opener */
	KEY_FORWARD, /* as the opener's own packet */
	KEY_RELATED, /* that of ICMP errors about the connection */
	KEY_SERVICE, /* of a packet to a service address */
};

/* Returns the direction in which the other end's packets pass here. */
static __always_inline enum ct_dir ct_opposite(const enum ct_dir dir)
{
	return dir == CT_EGRESS ? CT_INGRESS : CT_EGRESS;
}

/* Returns the flags of a key, TUPLE_F_*. */
static __always_inline __u8 ct_key_flags(const enum ct_key_kind kind, const enum ct_dir dir,
					 bool related)
{
	__u8 flags = (kind == KEY_REPLY) == (dir == CT_EGRESS) ? TUPLE_F_IN : TUPLE_F_OUT;

	if (kind == KEY_SERVICE)
		return TUPLE_F_SERVICE;
	if (kind == KEY_RELATED || related)
		flags |= TUPLE_F_RELATED;
	return flags;
}

/*
 * Make one of a packet's keys. The opener's packets are filed under exchanged addresses and
 * natural ports, answers and packets to a service under natural addresses and exchanged ports.
 */
static __always_inline void ct_key(const enum ip_version v, const enum ct_key_kind kind,
				   const enum ct_dir dir, const struct flow *flow,
				   union ct_key *key)
{
	const bool natural = kind == KEY_REPLY || kind == KEY_SERVICE;
	const union ip_addr *daddr = natural ? &flow->daddr : &flow->saddr;
	const union ip_addr *saddr = natural ? &flow->saddr : &flow->daddr;
	__be16 dport = natural ? flow->sport : flow->dport;
	__be16 sport = natural ? flow->dport : flow->sport;
	__u8 flags = ct_key_flags(kind, dir, flow->packet.related);

	if (v == IPV6) {
		struct ipv6_ct_tuple *tuple = &key->v6;

		copy_addr(v, tuple->daddr, daddr);
		copy_addr(v, tuple->saddr, saddr);
		tuple->dport = kind == KEY_RELATED ? 0 : dport;
		tuple->sport = kind == KEY_RELATED ? 0 : sport;
		tuple->nexthdr = kind == KEY_RELATED ? IPPROTO_ICMPV6 : flow->packet.proto;
		tuple->flags = flags;
	} else {
		struct ipv4_ct_tuple *tuple = &key->v4;

		tuple->daddr = daddr->v4;
		tuple->saddr = saddr->v4;
		tuple->dport = kind == KEY_RELATED ? 0 : dport;
		tuple->sport = kind == KEY_RELATED ? 0 : sport;
		tuple->nexthdr = kind == KEY_RELATED ? IPPROTO_ICMP : flow->packet.proto;
		tuple->flags = flags;
	}
}

/* Returns the table of everything but TCP, where ICMP errors are filed as well. */
static __always_inline void *ct_map_any(const enum ip_version v)
{
	return v == IPV6 ? map_of(CT_MAP_ANY6) : map_of(CT_MAP_ANY4);
}

/* Returns the table of a protocol. */
static __always_inline void *ct_map(const enum ip_version v, __u8 proto)
{
	if (proto != IPPROTO_TCP)
		return ct_map_any(v);
	return v == IPV6 ? map_of(CT_MAP_TCP6) : map_of(CT_MAP_TCP4);
}

static __always_inline bool ct_closing(const struct ct_entry *entry)
{
	return entry->rx_closing || entry->tx_closing;
}

/* Returns whether at least one side may still send. */
static __always_inline bool ct_alive(const struct ct_entry *entry)
{
	return !entry->rx_closing || !entry->tx_closing;
}

static __always_inline bool ct_seen_both_syns(const struct ct_entry *entry)
{
	return entry->rx_flags_seen & entry->tx_flags_seen & TCP_F_SYN;
}

/*
 * Remember flags and time of a packet, at most once in CT_REPORT_INTERVAL seconds unless a
 * flag is new: a write for every packet would move the entry's cache line between CPUs.
 * Returns whether it was written.
 */
static __always_inline bool ct_report(struct ct_entry *entry, const struct ct_packet *packet,
				      enum ct_dir dir)
{
	bool rx = dir == CT_INGRESS;
	__u32 last = rx ? read_once(entry->last_rx_report) : read_once(entry->last_tx_report);
	__u8 known = rx ? read_once(entry->rx_flags_seen) : read_once(entry->tx_flags_seen);
	__u8 seen = known | (packet->flags & CT_REPORT_FLAGS);

	if (last + CT_REPORT_INTERVAL >= packet->now && seen == known)
		return false;
	if (rx) {
		write_once(entry->rx_flags_seen, seen);
		write_once(entry->last_rx_report, packet->now);
	} else {
		write_once(entry->tx_flags_seen, seen);
		write_once(entry->last_tx_report, packet->now);
	}
	return true;
}

/* Returns for how many seconds a packet keeps an entry: a TCP entry lives briefly until
 * something but a SYN came. */
static __always_inline __u32 ct_lifetime(const struct ct_entry *entry, __u8 proto,
					 const enum ct_dir dir)
{
	if (proto != IPPROTO_TCP)
		return dir == CT_SERVICE ? CT_SERVICE_LIFETIME_NONTCP
					 : CT_CONNECTION_LIFETIME_NONTCP;
	if (!entry->seen_non_syn)
		return CT_SYN_TIMEOUT;
	return dir == CT_SERVICE ? CT_SERVICE_LIFETIME_TCP : CT_CONNECTION_LIFETIME_TCP;
}

/* Prolong an entry for one packet. Returns as ct_report(). */
static __always_inline bool ct_prolong(struct ct_entry *entry, const struct ct_packet *packet,
				       const enum ct_dir dir)
{
	if (packet->proto == IPPROTO_TCP && !(packet->flags & TCP_F_SYN) &&
	    !entry->seen_non_syn)
		entry->seen_non_syn = 1;
	write_once(entry->lifetime, packet->now + ct_lifetime(entry, packet->proto, dir));
	return ct_report(entry, packet, dir);
}

/* Count a packet; a SERVICE entry counts none, it keeps its backend in place of a counter. */
static __always_inline void ct_count(struct ct_entry *entry, const struct ct_packet *packet,
				     const enum ct_dir dir)
{
	if (dir == CT_INGRESS) {
		__sync_fetch_and_add(&entry->rx_packets, 1);
		__sync_fetch_and_add(&entry->rx_bytes, packet->len);
	} else if (dir == CT_EGRESS) {
		__sync_fetch_and_add(&entry->tx_packets, 1);
		__sync_fetch_and_add(&entry->tx_bytes, packet->len);
	}
}

/*
 * A FIN or RST came: close its side, or both where the connection never came to be. Of a
 * service only one side's packets pass, which therefore closes both.
 */
static __always_inline void ct_close(struct ct_entry *entry, const struct ct_packet *packet,
				     const enum ct_dir dir)
{
	bool both =
		dir == CT_SERVICE || (packet->flags & TCP_F_RST && !ct_seen_both_syns(entry));

	if (both || dir == CT_INGRESS)
		entry->rx_closing = 1;
	if (both || dir == CT_EGRESS)
		entry->tx_closing = 1;
	if (ct_alive(entry))
		return;
	write_once(entry->lifetime, packet->now + CT_CLOSE_TIMEOUT);
	ct_report(entry, packet, dir);
}

/* A SYN on a closing entry: a new connection with the old one's addresses and ports. */
static __always_inline void ct_reopen(struct ct_entry *entry, const struct ct_packet *packet,
				      const enum ct_dir dir)
{
	entry->rx_closing = 0;
	entry->tx_closing = 0;
	entry->seen_non_syn = 0;
	entry->rx_flags_seen = 0;
	entry->tx_flags_seen = 0;
	ct_prolong(entry, packet, dir);
}

/* Whether a SYN on this closing SERVICE entry may go to another backend: its last packet is
 * long gone, so that no half of an old connection is left that would be torn. */
static __always_inline bool ct_rebalances(const struct ct_entry *entry,
					  const struct ct_packet *packet, const enum ct_dir dir)
{
	return dir == CT_SERVICE &&
	       entry->last_tx_report + CT_SERVICE_CLOSE_REBALANCE <= packet->now;
}

/*
 * Account a packet to the entry under `key`, if there is one, and say what it knows.
 * Returns CT_NEW without an entry, or with one of a service that may be chosen anew; else
 * CT_ESTABLISHED or CT_REOPENED.
 */
static __always_inline enum ct_status ct_track(void *map, const void *key,
					       const struct ct_packet *packet,
					       const enum ct_dir dir, struct ct_state *state)
{
	struct ct_entry *entry = map_lookup(map, key);

	if (!entry)
		return CT_NEW;
	if (ct_alive(entry))
		state->report = ct_prolong(entry, packet, dir);
	state->rev_nat_index = entry->rev_nat_index;
	if (dir == CT_SERVICE)
		state->backend_id = entry->rx_bytes;
	ct_count(entry, packet, dir);
	if (packet->flags & (TCP_F_FIN | TCP_F_RST)) {
		ct_close(entry, packet, dir);
	} else if (packet->flags & TCP_F_SYN && ct_closing(entry)) {
		if (ct_rebalances(entry, packet, dir))
			return CT_NEW;
		ct_reopen(entry, packet, dir);
		state->report = true;
		return CT_REOPENED;
	}
	return CT_ESTABLISHED;
}

/*
 * Find the connection a packet belongs to. The reply's key is tried first: whether a packet
 * answers something must not depend on an entry of the opposite direction.
 * Returns CT_REPLY or CT_RELATED for the first key, for the second what ct_track() does.
 */
static __always_inline enum ct_status ct_lookup(const enum ip_version v,
						const struct flow *flow, const enum ct_dir dir,
						struct ct_state *state)
{
	void *map = ct_map(v, flow->packet.proto);
	union ct_key key;

	ct_key(v, KEY_REPLY, dir, flow, &key);
	if (ct_track(map, &key, &flow->packet, dir, state) != CT_NEW)
		return flow->packet.related ? CT_RELATED : CT_REPLY;
	ct_key(v, KEY_FORWARD, dir, flow, &key);
	return ct_track(map, &key, &flow->packet, dir, state);
}

/* Returns whether there is an entry for a packet, without accounting it. */
static __always_inline bool ct_knows(const enum ip_version v, const struct flow *flow,
				     const enum ct_dir dir)
{
	void *map = ct_map(v, flow->packet.proto);
	union ct_key key;

	ct_key(v, KEY_REPLY, dir, flow, &key);
	if (map_lookup(map, &key))
		return true;
	ct_key(v, KEY_FORWARD, dir, flow, &key);
	return map_lookup(map, &key);
}

/*
 * Whether the packet an ICMP error quotes belongs to a tracked connection. Errors come from
 * routers on the way as well, under addresses no entry knows; only the quotation tells.
 */
static __always_inline bool ct_knows_quoted(const struct __sk_buff *skb,
					    const enum ip_version v, const struct flow *error,
					    const enum ct_dir dir)
{
	struct flow quoted = {};

	if (flow_quoted(skb, v, &error->l4, &quoted) < 0)
		return false;
	return ct_knows(v, &quoted, ct_opposite(dir));
}

/* Fill in what is known of a connection with its first packet. */
static __always_inline void ct_begin(struct ct_entry *entry, const struct ct_packet *packet,
				     const enum ct_dir dir)
{
	struct ct_packet first = *packet;

	/* Mid-stream or not: a connection's first packet counts as its SYN. */
	first.flags = packet->proto == IPPROTO_TCP ? TCP_F_SYN : 0;
	if (dir == CT_INGRESS) {
		entry->rx_packets = 1;
		entry->rx_bytes = packet->len;
	} else if (dir == CT_EGRESS) {
		entry->tx_packets = 1;
		entry->tx_bytes = packet->len;
	}
	ct_prolong(entry, &first, dir);
}

/*
 * Create the entry of a new connection, and before it the one by which ICMP errors about it
 * are recognised: an entry without its companion would let errors be judged as strangers.
 * There is no check for a SYN: a connection whose entry was lost comes back with its next
 * packet, and like any other starts with the lifetime of a SYN.
 * Returns 0, or -DROP_CT_CREATE_FAILED when a table refuses.
 */
static __always_inline int ct_create(const enum ip_version v, const struct flow *flow,
				     const enum ct_dir dir, const struct ct_state *state,
				     __u32 src_sec_id)
{
	struct ct_entry entry = {
		.src_sec_id = src_sec_id,
		.rev_nat_index = state->rev_nat_index,
		.lb_loopback = state->loopback,
	};
	union ct_key key;

	ct_begin(&entry, &flow->packet, dir);
	entry.seen_non_syn = 1; /* ICMP has no SYN to wait for */
	ct_key(v, KEY_RELATED, dir, flow, &key);
	if (map_update(ct_map_any(v), &key, &entry, BPF_ANY) < 0)
		return -DROP_CT_CREATE_FAILED;
	entry.seen_non_syn = 0;
	ct_key(v, KEY_FORWARD, dir, flow, &key);
	if (map_update(ct_map(v, flow->packet.proto), &key, &entry, BPF_ANY) < 0)
		return -DROP_CT_CREATE_FAILED;
	return 0;
}

/* Create or replace the SERVICE entry that keeps a flow's backend. Returns as ct_create(). */
static __always_inline int ct_create_service(const enum ip_version v, const struct flow *flow,
					     const struct ct_state *state)
{
	struct ct_entry entry = {
		.rx_bytes = state->backend_id,
		.rev_nat_index = state->rev_nat_index,
		.lb_loopback = state->loopback,
	};
	union ct_key key;

	ct_begin(&entry, &flow->packet, CT_SERVICE);
	ct_key(v, KEY_SERVICE, CT_SERVICE, flow, &key);
	if (map_update(ct_map(v, flow->packet.proto), &key, &entry, BPF_ANY) < 0)
		return -DROP_CT_CREATE_FAILED;
	return 0;
}

/* Let a SERVICE entry keep another backend; one that vanished meanwhile is no loss. */
static __always_inline void ct_move_service(const enum ip_version v, const struct flow *flow,
					    const struct ct_state *state)
{
	struct ct_entry *entry;
	union ct_key key;

	ct_key(v, KEY_SERVICE, CT_SERVICE, flow, &key);
	entry = map_lookup(ct_map(v, flow->packet.proto), &key);
	if (!entry)
		return;
	write_once(entry->rx_bytes, (__u64)state->backend_id);
	write_once(entry->rev_nat_index, state->rev_nat_index);
	entry->lb_loopback = state->loopback;
}

#endif /* CTCONSOLE_CONNTRACK_H */
