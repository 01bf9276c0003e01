/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ABI: every byte that programs and user space share.
 *
 * Compiles with bcc, clang and gcc alike. Layouts, names and numbers are those of Cilium 1.9
 * (bpf/lib/common.h, pkg/monitor/api/drop.go), so that Cilium's own tools read these maps.
 * A test holds the numpy layouts of ctconsole.model.layout against this file.
 */
#ifndef CTCONSOLE_ABI_H
#define CTCONSOLE_ABI_H

#include <linux/types.h>

/*
 * Connection tracking keys, network byte order throughout.
 *
 * In IN and OUT entries `daddr` holds the connection's source and `saddr` its destination,
 * while the ports are named naturally: a key is the tuple of the reply with the ports of the
 * original. SERVICE entries are the opposite: natural addresses, exchanged ports.
 */
struct ipv4_ct_tuple {
	__be32 daddr;
	__be32 saddr;
	__be16 dport;
	__be16 sport;
	__u8 nexthdr;
	__u8 flags; /* TUPLE_F_* */
} __attribute__((packed));

struct ipv6_ct_tuple {
	__u8 daddr[16];
	__u8 saddr[16];
	__be16 dport;
	__be16 sport;
	__u8 nexthdr;
	__u8 flags; /* TUPLE_F_* */
} __attribute__((packed));

#define TUPLE_F_OUT	0 /* opened by the endpoint */
#define TUPLE_F_IN	1 /* opened towards the endpoint */
#define TUPLE_F_RELATED 2 /* ICMP errors about a tracked flow; both ports 0 */
#define TUPLE_F_SERVICE 4 /* a service address and the backend chosen for it */

/*
 * Connection tracking value in the 1.9 layout. rx is the direction into the node from outside
 * the program's container, tx the other; times are whole seconds of CLOCK_MONOTONIC.
 */
struct ct_entry {
	__u64 rx_packets;
	__u64 rx_bytes; /* SERVICE entries: the backend id */
	__u64 tx_packets;
	__u64 tx_bytes;
	__u32 lifetime;
	__u16 rx_closing : 1, tx_closing : 1, nat46 : 1, lb_loopback : 1, seen_non_syn : 1,
		node_port : 1, proxy_redirect : 1, dsr : 1, reserved : 8;
	__be16 rev_nat_index;
	__u16 ifindex;
	__u8 tx_flags_seen; /* TCP flags of TCP_FLAGS_REPORTED */
	__u8 rx_flags_seen;
	__u32 src_sec_id;
	__u32 last_tx_report;
	__u32 last_rx_report;
};

/* Bits of the 16-bit word at offset 36, least significant first. */
#define CT_F_RX_CLOSING	    0x0001
#define CT_F_TX_CLOSING	    0x0002
#define CT_F_NAT46	    0x0004
#define CT_F_LB_LOOPBACK    0x0008
#define CT_F_SEEN_NON_SYN   0x0010
#define CT_F_NODE_PORT	    0x0020
#define CT_F_PROXY_REDIRECT 0x0040
#define CT_F_DSR	    0x0080

/* TCP flags as they stand in byte 13 of the header. */
#define TCP_F_FIN 0x01
#define TCP_F_SYN 0x02
#define TCP_F_RST 0x04
#define TCP_F_ACK 0x10

/* cilium_metrics: per-CPU hash of packets and bytes by reason and direction. */
struct metrics_key {
	__u8 reason; /* REASON_FORWARDED or a DROP_* */
	__u8 dir : 2, pad : 6;
	__u16 reserved[3];
};

struct metrics_value {
	__u64 count;
	__u64 bytes;
};

#define METRIC_INGRESS 1 /* towards the endpoint */
#define METRIC_EGRESS  2 /* from the endpoint */

/*
 * Reasons as cilium_metrics stores them and Cilium's monitor names them. Inside the programs
 * a drop travels as the negative number.
 */
#define REASON_FORWARDED      0
#define DROP_POLICY	      133
#define DROP_INVALID	      134 /* truncated or malformed before layer 4 */
#define DROP_CT_INVALID_HDR   135 /* truncated or malformed layer 4 */
#define DROP_CT_UNKNOWN_PROTO 137 /* no connection tracking for this protocol */
#define DROP_UNKNOWN_L3	      139
#define DROP_UNKNOWN_L4	      142
#define DROP_CT_CREATE_FAILED 155 /* the table refused a new entry */
#define DROP_FRAG_NOSUPPORT   157 /* a fragment, and fragments are not tracked */
#define DROP_UNSUPPORTED_L2   166 /* no Ethernet II frame */

/* Reserved identity of everything outside the cluster. */
#define WORLD_ID 2

/*
 * An identity travels from a container's program to the next in skb->mark, laid out as
 * Cilium's set_identity_mark() does it, so that both can share a node's routing rules.
 */
#define MARK_MAGIC_IDENTITY 0x0F00
#define MARK_MAGIC_MASK	    0x0F00

/*
 * Slots: what the loader writes into a compiled program before it loads it. A slot is a
 * 64-bit load whose source register names the kind and whose immediate names the slot, so
 * one compilation serves every endpoint, and a slot left open is refused by the verifier.
 */
#define SLOT_KIND_MAP	   1  /* BPF_PSEUDO_MAP_FD: becomes a file descriptor */
#define SLOT_KIND_ENDPOINT 14 /* no meaning to the kernel: becomes a plain number */

enum map_slot {
	CT_MAP_TCP4 = 1,
	CT_MAP_ANY4 = 2,
	METRICS_MAP = 3,
};

enum endpoint_slot {
	EP_IDENTITY = 1,
};

#endif /* CTCONSOLE_ABI_H */
