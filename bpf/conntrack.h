/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The connection tracking state machine of Cilium 1.9, for either address family: keys are
 * handed in ready-made, so nothing here knows how long an address is.
 */
#ifndef CTCONSOLE_CONNTRACK_H
#define CTCONSOLE_CONNTRACK_H

#include "helpers.h"
#include "node_config.h"

enum ct_dir {
	CT_EGRESS,
	CT_INGRESS,
};

enum ct_status {
	CT_NEW,
	CT_ESTABLISHED,
	CT_REPLY,
	CT_RELATED,
	CT_REOPENED,
};

/* One packet as connection tracking sees it. */
struct ct_packet {
	__u32 len;    /* bytes of the frame, what the counters add up */
	__u32 now;    /* seconds of CLOCK_MONOTONIC */
	__u8 proto;   /* IPPROTO_* */
	__u8 flags;   /* TCP flags, TCP_F_*; 0 for every other protocol */
	bool related; /* an ICMP error */
};

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
 */
static __always_inline void ct_report(struct ct_entry *entry, const struct ct_packet *packet,
				      enum ct_dir dir)
{
	bool rx = dir == CT_INGRESS;
	__u32 last = rx ? read_once(entry->last_rx_report) : read_once(entry->last_tx_report);
	__u8 known = rx ? read_once(entry->rx_flags_seen) : read_once(entry->tx_flags_seen);
	__u8 seen = known | (packet->flags & CT_REPORT_FLAGS);

	if (last + CT_REPORT_INTERVAL >= packet->now && seen == known)
		return;
	if (rx) {
		write_once(entry->rx_flags_seen, seen);
		write_once(entry->last_rx_report, packet->now);
	} else {
		write_once(entry->tx_flags_seen, seen);
		write_once(entry->last_tx_report, packet->now);
	}
}

/* Prolong an entry for one packet: a TCP entry lives briefly until something but a SYN came. */
static __always_inline void ct_prolong(struct ct_entry *entry, const struct ct_packet *packet,
				       enum ct_dir dir)
{
	__u32 lifetime = CT_CONNECTION_LIFETIME_NONTCP;

	if (packet->proto == IPPROTO_TCP) {
		if (!(packet->flags & TCP_F_SYN) && !entry->seen_non_syn)
			entry->seen_non_syn = 1;
		lifetime = entry->seen_non_syn ? CT_CONNECTION_LIFETIME_TCP : CT_SYN_TIMEOUT;
	}
	write_once(entry->lifetime, packet->now + lifetime);
	ct_report(entry, packet, dir);
}

static __always_inline void ct_count(struct ct_entry *entry, const struct ct_packet *packet,
				     enum ct_dir dir)
{
	if (dir == CT_INGRESS) {
		__sync_fetch_and_add(&entry->rx_packets, 1);
		__sync_fetch_and_add(&entry->rx_bytes, packet->len);
	} else {
		__sync_fetch_and_add(&entry->tx_packets, 1);
		__sync_fetch_and_add(&entry->tx_bytes, packet->len);
	}
}

/* A FIN or RST came: close its side, or both where the connection never came to be. */
static __always_inline void ct_close(struct ct_entry *entry, const struct ct_packet *packet,
				     enum ct_dir dir)
{
	bool refused = packet->flags & TCP_F_RST && !ct_seen_both_syns(entry);

	if (refused || dir == CT_INGRESS)
		entry->rx_closing = 1;
	if (refused || dir == CT_EGRESS)
		entry->tx_closing = 1;
	if (ct_alive(entry))
		return;
	write_once(entry->lifetime, packet->now + CT_CLOSE_TIMEOUT);
	ct_report(entry, packet, dir);
}

/* A SYN on a closing entry: a new connection with the old one's addresses and ports. */
static __always_inline void ct_reopen(struct ct_entry *entry, const struct ct_packet *packet,
				      enum ct_dir dir)
{
	entry->rx_closing = 0;
	entry->tx_closing = 0;
	entry->seen_non_syn = 0;
	entry->rx_flags_seen = 0;
	entry->tx_flags_seen = 0;
	ct_prolong(entry, packet, dir);
}

/*
 * Account a packet to the entry under `key`, if there is one.
 * Returns CT_NEW without an entry, else CT_ESTABLISHED or CT_REOPENED.
 */
static __always_inline enum ct_status ct_track(void *map, const void *key,
					       const struct ct_packet *packet, enum ct_dir dir)
{
	struct ct_entry *entry = map_lookup(map, key);

	if (!entry)
		return CT_NEW;
	if (ct_alive(entry))
		ct_prolong(entry, packet, dir);
	ct_count(entry, packet, dir);
	if (packet->flags & (TCP_F_FIN | TCP_F_RST)) {
		ct_close(entry, packet, dir);
	} else if (packet->flags & TCP_F_SYN && ct_closing(entry)) {
		ct_reopen(entry, packet, dir);
		return CT_REOPENED;
	}
	return CT_ESTABLISHED;
}

/*
 * Find the connection a packet belongs to. The reply's key is tried first: whether a packet
 * answers something must not depend on an entry of the opposite direction.
 * Returns CT_REPLY or CT_RELATED for the first key, for the second what ct_track() does.
 */
static __always_inline enum ct_status ct_lookup(void *map, const void *reply,
						const void *forward,
						const struct ct_packet *packet, enum ct_dir dir)
{
	if (ct_track(map, reply, packet, dir) != CT_NEW)
		return packet->related ? CT_RELATED : CT_REPLY;
	return ct_track(map, forward, packet, dir);
}

/*
 * Create the entry of a new connection, and before it the one by which ICMP errors about it
 * are recognised: an entry without its companion would let errors be judged as strangers.
 * There is no check for a SYN: a connection whose entry was lost comes back with its next
 * packet, and like any other starts with the lifetime of a SYN.
 * Returns 0, or -DROP_CT_CREATE_FAILED when a table refuses.
 */
static __always_inline int ct_create(void *map, const void *key, void *related_map,
				     const void *related_key, const struct ct_packet *packet,
				     enum ct_dir dir, __u32 src_sec_id)
{
	struct ct_packet first = *packet;
	struct ct_entry entry = {};

	first.flags = packet->proto == IPPROTO_TCP ? TCP_F_SYN : 0;
	entry.src_sec_id = src_sec_id;
	if (dir == CT_INGRESS) {
		entry.rx_packets = 1;
		entry.rx_bytes = packet->len;
	} else {
		entry.tx_packets = 1;
		entry.tx_bytes = packet->len;
	}
	ct_prolong(&entry, &first, dir);

	entry.seen_non_syn = 1; /* ICMP has no SYN to wait for */
	if (map_update(related_map, related_key, &entry, BPF_ANY) < 0)
		return -DROP_CT_CREATE_FAILED;
	entry.seen_non_syn = 0;
	if (map_update(map, key, &entry, BPF_ANY) < 0)
		return -DROP_CT_CREATE_FAILED;
	return 0;
}

#endif /* CTCONSOLE_CONNTRACK_H */
