/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ABI: every byte that programs and user space share.
 *
 * Compiles with bcc, clang and gcc alike. Layouts, names and numbers are those of Cilium 1.9
 * (bpf/lib/common.h, pkg/monitor/api/drop.go), so that Cilium's own tools read these maps.
 * A test holds the numpy layouts of ctconsole.model.ct.layout against this file.
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

/*
 * Services. A service is a key with backend_slot 0 (the frontend) and one with each slot from
 * 1 to the frontend's count, whose values name the backends. Ids of services (rev_nat_index,
 * rev_nat_id) are in network order in every key and value, as in ct_entry; backend ids, slots
 * and counts are in host order.
 */
struct lb4_key {
	__be32 address;
	__be16 dport;
	__u16 backend_slot;
	__u8 proto; /* 0 in 1.9: a service is of every protocol */
	__u8 scope; /* LB_LOOKUP_SCOPE_* */
	__u8 pad[2];
};

struct lb6_key {
	__u8 address[16];
	__be16 dport;
	__u16 backend_slot;
	__u8 proto;
	__u8 scope;
	__u8 pad[2];
};

struct lb_service {
	union {
		__u32 backend_id;	/* of a slot above 0 */
		__u32 affinity_timeout; /* seconds; of slot 0 */
	};
	__u16 count; /* slots of slot 0 */
	__be16 rev_nat_index;
	__u8 flags; /* SVC_FLAG_* */
	__u8 flags2;
	__u8 pad[2];
};

#define LB_LOOKUP_SCOPE_EXT 0
#define LB_LOOKUP_SCOPE_INT 1

#define SVC_FLAG_EXTERNAL_IP  0x01
#define SVC_FLAG_NODEPORT     0x02
#define SVC_FLAG_LOCAL_SCOPE  0x04
#define SVC_FLAG_HOSTPORT     0x08
#define SVC_FLAG_AFFINITY     0x10
#define SVC_FLAG_LOADBALANCER 0x20
#define SVC_FLAG_ROUTABLE     0x40
#define SVC_FLAG_SOURCE_RANGE 0x80

/* cilium_lb{4,6}_backends: the key is a __u16 backend id. */
struct lb4_backend {
	__be32 address;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct lb6_backend {
	__u8 address[16];
	__be16 port;
	__u8 proto;
	__u8 pad;
};

/* cilium_lb{4,6}_reverse_nat: the key is a __be16 rev_nat_index. */
struct lb4_reverse_nat {
	__be32 address;
	__be16 port;
} __attribute__((packed));

struct lb6_reverse_nat {
	__u8 address[16];
	__be16 port;
} __attribute__((packed));

/* Session affinity: which backend a client had last. */
struct lb4_affinity_key {
	__be32 client_ip;
	__u32 client_ip_pad; /* a union with a network namespace cookie of 8 bytes */
	__be16 rev_nat_id;
	__u8 netns_cookie : 1, reserved : 7;
	__u8 pad1;
	__u32 pad2;
} __attribute__((packed));

struct lb6_affinity_key {
	__u8 client_ip[16];
	__be16 rev_nat_id;
	__u8 netns_cookie : 1, reserved : 7;
	__u8 pad1;
	__u32 pad2;
} __attribute__((packed));

struct lb_affinity_val {
	__u64 last_used; /* seconds of CLOCK_MONOTONIC */
	__u32 backend_id;
	__u32 pad;
} __attribute__((packed));

/* cilium_lb_affinity_match: backends a client may go back to; the value is a __u8 without use.
 */
struct lb_affinity_match {
	__u32 backend_id;
	__be16 rev_nat_id;
	__u16 pad;
} __attribute__((packed));

/*
 * cilium_lb{4,6}_maglev: from a __be16 rev_nat_index to an array map whose only value, under
 * the __u32 key 0, is the lookup table: LB_MAGLEV_LUT_SIZE backend ids of __u16.
 */

/* cilium_policy_<endpoint>: what an endpoint may exchange with an identity. */
struct policy_key {
	__u32 sec_label; /* of the other side; 0 for anybody */
	__be16 dport;	 /* 0 for every port, and then protocol is 0 as well */
	__u8 protocol;
	__u8 egress : 1, pad : 7;
};

struct policy_entry {
	__be16 proxy_port; /* 0: no redirection */
	__u8 deny : 1, pad : 7;
	__u8 pad0;
	__u16 pad1;
	__u16 pad2;
	__u64 packets;
	__u64 bytes;
};

#define ENDPOINT_KEY_IPV4 1
#define ENDPOINT_KEY_IPV6 2

/* cilium_ipcache: the identity behind an address, by longest prefix. */
struct ipcache_key {
	__u32 prefixlen; /* bits after this field: IPCACHE_STATIC_PREFIX and those of the
			    address */
	__u16 pad1;
	__u8 pad2;
	__u8 family;	  /* ENDPOINT_KEY_* */
	__u8 address[16]; /* IPv4 in the first four bytes */
} __attribute__((packed));

#define IPCACHE_STATIC_PREFIX 32

struct remote_endpoint_info {
	__u32 sec_label;
	__be32 tunnel_endpoint;
	__u8 key;
};

/* cilium_lxc: the endpoint behind an address of this node. */
struct endpoint_key {
	__u8 address[16]; /* IPv4 in the first four bytes */
	__u8 family;	  /* ENDPOINT_KEY_* */
	__u8 key;
	__u16 pad5;
} __attribute__((packed));

struct endpoint_info {
	__u32 ifindex;
	__u16 unused;
	__u16 lxc_id;
	__u32 flags; /* ENDPOINT_F_* */
	__u64 mac;   /* six bytes, the first one lowest; as node_mac */
	__u64 node_mac;
	__u32 pad[4];
};

#define ENDPOINT_F_HOST 1 /* the node itself */

/*
 * Tail calls. cilium_calls_<endpoint> holds the parts of an endpoint's programs under these
 * indices (CILIUM_CALL_* of bpf/lib/common.h), cilium_call_policy each endpoint's policy
 * program under the endpoint's id.
 */
#define CILIUM_CALL_IPV4_FROM_LXC	    7
#define CILIUM_CALL_IPV6_FROM_LXC	    10
#define CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY 11
#define CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY 12
#define CILIUM_CALL_SIZE		    25

/*
 * Source translation. A translated connection has two entries in cilium_snat_v4_external: the
 * packet as the pod sends it (TUPLE_F_OUT) says what to put in its source, the reply as it
 * comes back (TUPLE_F_IN) what to put in its destination. Unlike conntrack's, these keys are
 * the packet's own: addresses and ports stand where they are named. ICMP echoes have their
 * identifier where the pod's port would be.
 */
struct nat_entry {
	__u64 created;	  /* ns of CLOCK_MONOTONIC */
	__u64 host_local; /* 1: the node's own traffic, whose address stays */
	__u64 pad1;
	__u64 pad2;
};

struct ipv4_nat_entry {
	struct nat_entry common;
	union {
		struct {
			__be32 to_saddr; /* TUPLE_F_OUT */
			__be16 to_sport;
		};
		struct {
			__be32 to_daddr; /* TUPLE_F_IN */
			__be16 to_dport;
		};
	};
};

struct ipv6_nat_entry {
	struct nat_entry common;
	union {
		struct {
			__u8 to_saddr[16];
			__be16 to_sport;
		};
		struct {
			__u8 to_daddr[16];
			__be16 to_dport;
		};
	};
};

/* cilium_ipv4_frag_datagrams: the ports of a datagram, for the fragments without them. */
struct ipv4_frag_id {
	__be32 daddr;
	__be32 saddr;
	__be16 id;
	__u8 proto;
	__u8 pad;
} __attribute__((packed));

struct ipv4_frag_l4ports {
	__be16 sport;
	__be16 dport;
} __attribute__((packed));

/*
 * Records of cilium_events, in the order of bpf/lib/{drop,trace}.h of 1.9; len_cap bytes of
 * the packet follow each. Numbers are in host order.
 */
#define CILIUM_NOTIFY_DROP  1
#define CILIUM_NOTIFY_TRACE 4

#define NOTIFY_CAPTURE_VER 1

struct capture_header {
	__u8 type;    /* CILIUM_NOTIFY_* */
	__u8 subtype; /* DROP_* or TRACE_* */
	__u16 source; /* endpoint whose program says so; 0 for the node's */
	__u32 hash;   /* of the flow, as the kernel has it */
	__u32 len_orig;
	__u16 len_cap;
	__u16 version; /* NOTIFY_CAPTURE_VER */
};

struct drop_notify {
	struct capture_header header;
	__u32 src_label;
	__u32 dst_label;
	__u32 dst_id; /* endpoint it was for; 0 on the way out */
	__u32 unused;
};

struct trace_notify {
	struct capture_header header;
	__u32 src_label;
	__u32 dst_label;
	__u16 dst_id;
	__u8 reason; /* TRACE_REASON_* */
	__u8 ipv6 : 1, pad : 7;
	__u32 ifindex;
	__u8 orig_ip[16]; /* source before a service's address was put there */
};

/* Where a packet was when it was traced. */
#define TRACE_TO_LXC	   0
#define TRACE_TO_STACK	   3
#define TRACE_FROM_LXC	   5
#define TRACE_FROM_NETWORK 10
#define TRACE_TO_NETWORK   11

/* What connection tracking knew of it. */
#define TRACE_REASON_POLICY	    0 /* a new connection, which policy let pass */
#define TRACE_REASON_CT_ESTABLISHED 1
#define TRACE_REASON_CT_REPLY	    2
#define TRACE_REASON_CT_RELATED	    3
#define TRACE_REASON_CT_REOPENED    4

/* Records of cilium_signals: calls for the garbage collector. */
#define SIGNAL_NAT_FILL_UP 0
#define SIGNAL_CT_FILL_UP  1

#define SIGNAL_PROTO_V4 0
#define SIGNAL_PROTO_V6 1

struct signal_msg {
	__u32 signal_nr; /* SIGNAL_* */
	__u32 proto;	 /* SIGNAL_PROTO_* */
};

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
#define DROP_MISSED_TAIL_CALL 140 /* a program array had no program */
#define DROP_WRITE_ERROR      141 /* a packet could not be rewritten */
#define DROP_UNKNOWN_L4	      142
#define DROP_CSUM_L3	      153
#define DROP_CSUM_L4	      154
#define DROP_CT_CREATE_FAILED 155 /* the table refused a new entry */
#define DROP_INVALID_EXTHDR   156 /* more IPv6 extension headers than are followed */
#define DROP_FRAG_NOSUPPORT   157 /* a fragment, where fragments are not followed */
#define DROP_NO_SERVICE	      158 /* a service without a backend */
#define DROP_UNSUPPORTED_L2   166 /* no Ethernet II frame */
#define DROP_NAT_NO_MAPPING   167 /* no port was free, or the table refused */
#define DROP_NAT_UNSUPP_PROTO 168 /* no translation for this protocol */
#define DROP_FRAG_NOT_FOUND   175 /* a fragment whose first is not known */
#define DROP_POLICY_DENY      181 /* denied by a rule, where 133 says that none allows */

/* Reserved identities: of the node itself, and of everything outside the cluster. */
#define HOST_ID	 1
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
	CT_MAP_TCP6 = 4,
	CT_MAP_ANY6 = 5,
	LB4_SERVICES_MAP_V2 = 6,
	LB4_BACKEND_MAP = 7,
	LB4_REVERSE_NAT_MAP = 8,
	LB6_SERVICES_MAP_V2 = 9,
	LB6_BACKEND_MAP = 10,
	LB6_REVERSE_NAT_MAP = 11,
	LB4_AFFINITY_MAP = 12,
	LB6_AFFINITY_MAP = 13,
	LB_AFFINITY_MATCH_MAP = 14,
	LB4_MAGLEV_MAP = 15,
	LB6_MAGLEV_MAP = 16,
	POLICY_MAP = 17,
	IPCACHE_MAP = 18,
	ENDPOINTS_MAP = 19,
	CALLS_MAP = 20,
	POLICY_CALL_MAP = 21,
	EVENTS_MAP = 22,
	SIGNAL_MAP = 23,
	SNAT_MAPPING_IPV4 = 24,
	IPV4_FRAG_DATAGRAMS_MAP = 25,
};

enum endpoint_slot {
	EP_IDENTITY = 1,
	EP_ID = 2,
	EP_POLICY = 3,		  /* EP_POLICY_* */
	NETDEV_IPV4 = 4,	  /* the node's address on its uplink, network order */
	NETDEV_EXCLUDED = 5,	  /* what is not translated on the way to, network order */
	NETDEV_EXCLUDED_MASK = 6, /* its mask */
};

/* Directions in which an endpoint allows nothing but what its policy map does. */
#define EP_POLICY_INGRESS 1
#define EP_POLICY_EGRESS  2

#endif /* CTCONSOLE_ABI_H */
