/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * From a packet to its flow: addresses, ports, and where its layer 4 is.
 *
 * What is the same for both address families is written once, with the family as a parameter
 * that is constant wherever it is given: the compiler leaves one family's code in each program.
 */
#ifndef CTCONSOLE_FLOW_H
#define CTCONSOLE_FLOW_H

#include "fragments.h"
#include "helpers.h"
#include "node_config.h"

enum ip_version {
	IPV4 = 4,
	IPV6 = 6,
};

enum ct_dir {
	CT_EGRESS,
	CT_INGRESS,
	CT_SERVICE,
};

union ip_addr {
	__be32 v4;
	__be32 words[4];
};

/* Where a packet's layer 4 is. */
struct l4_span {
	__u32 start;
	__u32 end; /* of the IP packet: what follows in the frame is padding */
};

/* One packet as connection tracking sees it. */
struct ct_packet {
	__u32 len;    /* bytes of the frame, what the counters add up */
	__u32 now;    /* seconds of CLOCK_MONOTONIC */
	__u8 proto;   /* IPPROTO_* */
	__u8 flags;   /* TCP flags, TCP_F_*; 0 for every other protocol */
	bool related; /* an ICMP error */
};

/*
 * A packet's addresses and ports as they lie in it. The identifier of an ICMP echo stands for
 * the port of the side that asked, and 0 for the other's.
 */
struct flow {
	union ip_addr daddr;
	union ip_addr saddr;
	__be16 sport;
	__be16 dport;
	struct l4_span l4;
	struct ct_packet packet;
	enum fragment fragment;
	__be16 datagram; /* which one a fragment is of */
};

/* What parsing returns for a packet that passes without being tracked. */
#define PASS_UNTRACKED 1

#define IPV6_MAX_HEADERS 4 /* extension headers that are followed */
#define TCP_HLEN	 20
#define TCP_FLAGS_AT	 13
#define ICMP_HLEN	 8
#define ICMP_CSUM_AT	 2
#define ECHO_ID_AT	 4
#define LARGEST_IP	 0xffff /* longest packet a header can tell the length of */

#define ICMP_ECHOREPLY	   0
#define ICMP_DEST_UNREACH  3
#define ICMP_ECHO	   8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

#define ICMP6_DEST_UNREACH 1
#define ICMP6_PARAMPROB	   4
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY   129
#define ND_FIRST	   133 /* router solicitation ... */
#define ND_LAST		   137 /* ... redirect */

#define NEXTHDR_HOP	 0
#define NEXTHDR_ROUTING	 43
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_AUTH	 51
#define NEXTHDR_NONE	 59
#define NEXTHDR_DEST	 60

static __always_inline bool has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static __always_inline __u8 icmp_of(const enum ip_version v)
{
	return v == IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

static __always_inline bool same_addr(const enum ip_version v, const union ip_addr *a,
				      const union ip_addr *b)
{
	if (v == IPV4)
		return a->v4 == b->v4;
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

/* Copy an address in or out; 16 bytes or 4. */
static __always_inline void copy_addr(const enum ip_version v, void *to, const void *from)
{
	if (v == IPV6)
		__builtin_memcpy(to, from, 16);
	else
		__builtin_memcpy(to, from, 4);
}

/* Returns 0, or -DROP_CT_INVALID_HDR where layer 4 has fewer than `len` bytes. */
static __always_inline int l4_load(const struct __sk_buff *skb, const struct l4_span *l4,
				   void *to, __u32 len)
{
	if (l4->start + len > l4->end || skb_load(skb, l4->start, to, len) < 0)
		return -DROP_CT_INVALID_HDR;
	return 0;
}

/*
 * Set the end of a packet that starts at `off` and says to have `total` bytes. A packet that
 * an ICMP error quotes may go on beyond `limit`, its quotation ends there.
 * Returns 0, or -DROP_INVALID for one that says to be longer than what there is.
 */
static __always_inline int ip_end(const struct __sk_buff *skb, struct l4_span *l4, __u32 off,
				  __u32 limit, __u32 total, const bool quoted)
{
	l4->end = limit;
	if (quoted)
		return l4->start > l4->end ? -DROP_INVALID : 0;
	/* A GSO packet too long for its header says 0. */
	if (total || skb->len <= LARGEST_IP)
		l4->end = off + total;
	if (l4->start > l4->end || l4->end > limit)
		return -DROP_INVALID;
	return 0;
}

/* Read an IPv4 header. Returns as ip_load(). */
static __always_inline int ipv4_load(const struct __sk_buff *skb, __u32 off, __u32 limit,
				     struct flow *flow, const bool quoted)
{
	struct iphdr ip;

	if (skb_load(skb, off, &ip, sizeof(ip)) < 0)
		return -DROP_INVALID;
	if (ip.version != 4 || ip.ihl < 5)
		return -DROP_INVALID;
	flow->l4.start = off + ip.ihl * 4;
	if (ip_end(skb, &flow->l4, off, limit, net16_to_cpu(ip.tot_len), quoted) < 0)
		return -DROP_INVALID;
	flow->fragment = fragment_of(ip.frag_off);
	flow->datagram = ip.id;
	if (flow->fragment != FRAGMENT_NONE && (quoted || !ENABLE_IPV4_FRAGMENTS))
		return -DROP_FRAG_NOSUPPORT;
	flow->saddr.v4 = ip.saddr;
	flow->daddr.v4 = ip.daddr;
	flow->packet.proto = ip.protocol;
	return 0;
}

/*
 * Step over the extension headers of an IPv6 packet; `proto` is the first header's number and
 * becomes that of layer 4. Returns 0 or a negative drop reason.
 */
static __always_inline int ipv6_skip(const struct __sk_buff *skb, struct l4_span *l4,
				     __u8 *proto)
{
	__u8 header[2];

#pragma unroll
	for (int i = 0; i < IPV6_MAX_HEADERS; i++) {
		switch (*proto) {
		case NEXTHDR_HOP:
		case NEXTHDR_ROUTING:
		case NEXTHDR_DEST:
		case NEXTHDR_AUTH:
			break;
		case NEXTHDR_FRAGMENT:
			return -DROP_FRAG_NOSUPPORT;
		case NEXTHDR_NONE:
			return -DROP_INVALID_EXTHDR;
		default:
			return 0;
		}
		if (l4_load(skb, l4, header, sizeof(header)) < 0)
			return -DROP_INVALID;
		if (*proto == NEXTHDR_AUTH)
			l4->start += (header[1] + 2) * 4;
		else
			l4->start += (header[1] + 1) * 8;
		if (l4->start > l4->end)
			return -DROP_INVALID;
		*proto = header[0];
	}
	return -DROP_INVALID_EXTHDR;
}

/* Read an IPv6 header and those after it. Returns as ip_load(). */
static __always_inline int ipv6_load(const struct __sk_buff *skb, __u32 off, __u32 limit,
				     struct flow *flow, const bool quoted)
{
	struct ipv6hdr ip;
	__u32 payload;

	if (skb_load(skb, off, &ip, sizeof(ip)) < 0)
		return -DROP_INVALID;
	if (ip.version != 6)
		return -DROP_INVALID;
	payload = net16_to_cpu(ip.payload_len);
	flow->l4.start = off + sizeof(ip);
	if (ip_end(skb, &flow->l4, off, limit, payload ? payload + sizeof(ip) : 0, quoted) < 0)
		return -DROP_INVALID;
	__builtin_memcpy(&flow->saddr, &ip.saddr, sizeof(flow->saddr));
	__builtin_memcpy(&flow->daddr, &ip.daddr, sizeof(flow->daddr));
	flow->packet.proto = ip.nexthdr;
	return ipv6_skip(skb, &flow->l4, &flow->packet.proto);
}

/*
 * Read the IP header at `off` of a packet that ends no later than `limit`: addresses, protocol
 * and where layer 4 is. Returns 0 or a negative drop reason.
 */
static __always_inline int ip_load(const struct __sk_buff *skb, const enum ip_version v,
				   __u32 off, __u32 limit, struct flow *flow, const bool quoted)
{
	return v == IPV6 ? ipv6_load(skb, off, limit, flow, quoted)
			 : ipv4_load(skb, off, limit, flow, quoted);
}

/* Fill in ports and flags of a TCP packet. Returns 0 or -DROP_CT_INVALID_HDR. */
static __always_inline int tcp_ports(const struct __sk_buff *skb, struct flow *flow)
{
	__u8 header[TCP_HLEN];
	__u32 length;
	int ret = l4_load(skb, &flow->l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	length = (header[12] >> 4) * 4;
	if (length < TCP_HLEN || flow->l4.start + length > flow->l4.end)
		return -DROP_CT_INVALID_HDR;
	__builtin_memcpy(&flow->sport, header, 4);
	flow->packet.flags = header[TCP_FLAGS_AT];
	return 0;
}

/* Fill in the ports of a UDP packet. Returns 0 or -DROP_CT_INVALID_HDR. */
static __always_inline int udp_ports(const struct __sk_buff *skb, struct flow *flow)
{
	__u8 header[8];
	int ret = l4_load(skb, &flow->l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	__builtin_memcpy(&flow->sport, header, 4);
	return 0;
}

/* What an ICMP message is to connection tracking. */
enum icmp_kind {
	ICMP_KIND_OTHER,
	ICMP_KIND_REQUEST,
	ICMP_KIND_REPLY,
	ICMP_KIND_ERROR,
	ICMP_KIND_NEIGHBOUR,
};

static __always_inline enum icmp_kind icmp_kind(const enum ip_version v, __u8 type)
{
	if (type == (v == IPV6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO))
		return ICMP_KIND_REQUEST;
	if (type == (v == IPV6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
		return ICMP_KIND_REPLY;
	if (v == IPV6) {
		if (type >= ICMP6_DEST_UNREACH && type <= ICMP6_PARAMPROB)
			return ICMP_KIND_ERROR;
		if (type >= ND_FIRST && type <= ND_LAST)
			return ICMP_KIND_NEIGHBOUR;
	} else if (type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
		   type == ICMP_PARAMETERPROB) {
		return ICMP_KIND_ERROR;
	}
	return ICMP_KIND_OTHER;
}

/*
 * Fill in what stands for ports in an ICMP packet.
 * Returns 0, -DROP_CT_INVALID_HDR, or PASS_UNTRACKED for neighbour discovery.
 */
static __always_inline int icmp_ports(const struct __sk_buff *skb, const enum ip_version v,
				      struct flow *flow)
{
	__u8 header[ICMP_HLEN];
	int ret = l4_load(skb, &flow->l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	switch (icmp_kind(v, header[0])) {
	case ICMP_KIND_REQUEST:
		__builtin_memcpy(&flow->sport, header + ECHO_ID_AT, 2);
		break;
	case ICMP_KIND_REPLY:
		__builtin_memcpy(&flow->dport, header + ECHO_ID_AT, 2);
		break;
	case ICMP_KIND_ERROR:
		flow->packet.related = true;
		break;
	case ICMP_KIND_NEIGHBOUR:
		return PASS_UNTRACKED;
	case ICMP_KIND_OTHER:
		break;
	}
	return 0;
}

/* Returns 0, PASS_UNTRACKED, or the negative reason for which a layer 4 cannot be tracked. */
static __always_inline int l4_ports(const struct __sk_buff *skb, const enum ip_version v,
				    struct flow *flow)
{
	if (flow->packet.proto == IPPROTO_TCP)
		return tcp_ports(skb, flow);
	if (flow->packet.proto == IPPROTO_UDP)
		return udp_ports(skb, flow);
	if (flow->packet.proto == icmp_of(v))
		return icmp_ports(skb, v, flow);
	return -DROP_CT_UNKNOWN_PROTO;
}

/*
 * Fill in ports and flags; a later fragment has those of its datagram's first.
 * Returns as l4_ports(), or -DROP_FRAG_NOT_FOUND.
 */
static __always_inline int flow_ports(const struct __sk_buff *skb, const enum ip_version v,
				      struct flow *flow)
{
	struct ipv4_frag_id id = {
		.daddr = flow->daddr.v4,
		.saddr = flow->saddr.v4,
		.id = flow->datagram,
		.proto = flow->packet.proto,
	};
	int ret;

	if (v == IPV6 || !ENABLE_IPV4_FRAGMENTS || flow->fragment == FRAGMENT_NONE)
		return l4_ports(skb, v, flow);
	if (flow->fragment == FRAGMENT_LATER)
		return frag_ports(&id, &flow->sport, &flow->dport);
	ret = l4_ports(skb, v, flow);
	if (!ret)
		frag_register(&id, flow->sport, flow->dport);
	return ret;
}

/* Read a packet. Returns 0, PASS_UNTRACKED, or a negative drop reason. */
static __always_inline int flow_parse(const struct __sk_buff *skb, const enum ip_version v,
				      struct flow *flow)
{
	int ret = ip_load(skb, v, ETH_HLEN, skb->len, flow, false);

	if (ret < 0)
		return ret;
	flow->packet.len = skb->len;
	flow->packet.now = now_seconds();
	return flow_ports(skb, v, flow);
}

/*
 * Read the packet that an ICMP error quotes; of its layer 4, 8 bytes are sure to be there.
 * Returns 0, or a negative number where nothing can be recognised by it.
 */
static __always_inline int flow_quoted(const struct __sk_buff *skb, const enum ip_version v,
				       const struct l4_span *icmp, struct flow *flow)
{
	__u8 head[8];
	int ret = ip_load(skb, v, icmp->start + ICMP_HLEN, icmp->end, flow, true);

	if (ret < 0)
		return ret;
	ret = l4_load(skb, &flow->l4, head, sizeof(head));
	if (ret < 0)
		return ret;
	if (flow->packet.proto != icmp_of(v)) {
		__builtin_memcpy(&flow->sport, head, 4);
		return 0;
	}
	switch (icmp_kind(v, head[0])) {
	case ICMP_KIND_REQUEST:
		__builtin_memcpy(&flow->sport, head + ECHO_ID_AT, 2);
		return 0;
	case ICMP_KIND_REPLY:
		__builtin_memcpy(&flow->dport, head + ECHO_ID_AT, 2);
		return 0;
	default:
		return -DROP_CT_UNKNOWN_PROTO;
	}
}

#endif /* CTCONSOLE_FLOW_H */
