/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* From an IPv4 packet to the keys under which connection tracking knows it. */
#ifndef CTCONSOLE_IPV4_H
#define CTCONSOLE_IPV4_H

#include "conntrack.h"

#define IPV4_FRAGMENT 0x3fff /* more fragments, or an offset */
#define TCP_HLEN      20
#define TCP_FLAGS_AT  13
#define ECHO_ID_AT    4

#define ICMP_ECHOREPLY	   0
#define ICMP_DEST_UNREACH  3
#define ICMP_ECHO	   8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

/* An IPv4 packet's keys: as a reply, as a packet of the connection's opener, of ICMP errors. */
struct ipv4_flow {
	struct ipv4_ct_tuple reply;
	struct ipv4_ct_tuple forward;
	struct ipv4_ct_tuple related;
	struct ct_packet packet;
};

/* Where a packet's layer 4 is. */
struct l4_span {
	__u32 start;
	__u32 end; /* of the IP packet: what follows in the frame is padding */
};

/* Returns the table of a protocol. */
static __always_inline void *ct_map4(__u8 proto)
{
	return proto == IPPROTO_TCP ? map_of(CT_MAP_TCP4) : map_of(CT_MAP_ANY4);
}

/* Returns the tuple of the same connection as its other end sends it. */
static __always_inline struct ipv4_ct_tuple ipv4_reverse(const struct ipv4_ct_tuple *tuple)
{
	struct ipv4_ct_tuple reversed = {
		.daddr = tuple->saddr,
		.saddr = tuple->daddr,
		.dport = tuple->sport,
		.sport = tuple->dport,
		.nexthdr = tuple->nexthdr,
		.flags = tuple->flags ^ TUPLE_F_IN,
	};

	return reversed;
}

/*
 * Read the IPv4 header at `off` of a packet that ends no later than `limit`.
 * Returns 0, or -DROP_INVALID for one that is cut off or contradicts itself.
 */
static __always_inline int ipv4_load(const struct __sk_buff *skb, __u32 off, __u32 limit,
				     struct iphdr *ip, struct l4_span *l4)
{
	__u32 header, total;

	if (skb_load(skb, off, ip, sizeof(*ip)) < 0)
		return -DROP_INVALID;
	header = ip->ihl * 4;
	total = net16_to_cpu(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip))
		return -DROP_INVALID;
	/* A GSO packet above 64 KiB says 0. */
	l4->end = total ? off + total : limit;
	l4->start = off + header;
	if (l4->start > l4->end || l4->end > limit)
		return -DROP_INVALID;
	return 0;
}

/* Returns 0, or -DROP_CT_INVALID_HDR where layer 4 has fewer than `len` bytes. */
static __always_inline int l4_load(const struct __sk_buff *skb, const struct l4_span *l4,
				   void *to, __u32 len)
{
	if (l4->start + len > l4->end || skb_load(skb, l4->start, to, len) < 0)
		return -DROP_CT_INVALID_HDR;
	return 0;
}

/* Fill in ports and flags of a TCP packet. Returns 0 or -DROP_CT_INVALID_HDR. */
static __always_inline int tcp_ports(const struct __sk_buff *skb, const struct l4_span *l4,
				     struct ipv4_ct_tuple *tuple, struct ct_packet *packet)
{
	__u8 header[TCP_HLEN];
	__u32 length;
	int ret = l4_load(skb, l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	length = (header[12] >> 4) * 4;
	if (length < TCP_HLEN || l4->start + length > l4->end)
		return -DROP_CT_INVALID_HDR;
	__builtin_memcpy(&tuple->dport, header, 4);
	packet->flags = header[TCP_FLAGS_AT];
	return 0;
}

/* Fill in the ports of a UDP packet. Returns 0 or -DROP_CT_INVALID_HDR. */
static __always_inline int udp_ports(const struct __sk_buff *skb, const struct l4_span *l4,
				     struct ipv4_ct_tuple *tuple)
{
	__u8 header[8];
	int ret = l4_load(skb, l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	__builtin_memcpy(&tuple->dport, header, 4);
	return 0;
}

/*
 * Fill in what stands for ports in an ICMP packet: the identifier of an echo, nothing for
 * the rest. Returns 0 or -DROP_CT_INVALID_HDR.
 */
static __always_inline int icmp_ports(const struct __sk_buff *skb, const struct l4_span *l4,
				      struct ipv4_ct_tuple *tuple, struct ct_packet *packet)
{
	__u8 header[8];
	int ret = l4_load(skb, l4, header, sizeof(header));

	if (ret < 0)
		return ret;
	switch (header[0]) {
	case ICMP_ECHO:
		__builtin_memcpy(&tuple->dport, header + ECHO_ID_AT, 2);
		break;
	case ICMP_ECHOREPLY:
		__builtin_memcpy(&tuple->sport, header + ECHO_ID_AT, 2);
		break;
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		packet->related = true;
		tuple->flags |= TUPLE_F_RELATED;
		break;
	}
	return 0;
}

/* Returns 0, or the negative reason for which a layer 4 cannot be tracked. */
static __always_inline int l4_ports(const struct __sk_buff *skb, const struct l4_span *l4,
				    struct ipv4_ct_tuple *tuple, struct ct_packet *packet)
{
	switch (tuple->nexthdr) {
	case IPPROTO_TCP:
		return tcp_ports(skb, l4, tuple, packet);
	case IPPROTO_UDP:
		return udp_ports(skb, l4, tuple);
	case IPPROTO_ICMP:
		return icmp_ports(skb, l4, tuple, packet);
	default:
		return -DROP_CT_UNKNOWN_PROTO;
	}
}

/*
 * Read a packet and make its keys. A key holds natural addresses and the ports as they lie
 * in the packet, source first, which is the naming Cilium's tables have for a reply.
 * Returns 0 or a negative drop reason.
 */
static __always_inline int ipv4_parse(const struct __sk_buff *skb, enum ct_dir dir,
				      struct ipv4_flow *flow, struct l4_span *l4)
{
	struct ipv4_ct_tuple *reply = &flow->reply;
	struct iphdr ip;
	int ret = ipv4_load(skb, ETH_HLEN, skb->len, &ip, l4);

	if (ret < 0)
		return ret;
	if (ip.frag_off & cpu_to_net16(IPV4_FRAGMENT))
		return -DROP_FRAG_NOSUPPORT;

	reply->daddr = ip.daddr;
	reply->saddr = ip.saddr;
	reply->dport = 0;
	reply->sport = 0;
	reply->nexthdr = ip.protocol;
	reply->flags = dir == CT_EGRESS ? TUPLE_F_IN : TUPLE_F_OUT;
	flow->packet.len = skb->len;
	flow->packet.now = now_seconds();
	flow->packet.proto = ip.protocol;
	flow->packet.flags = 0;
	flow->packet.related = false;
	ret = l4_ports(skb, l4, reply, &flow->packet);
	if (ret < 0)
		return ret;

	flow->forward = ipv4_reverse(reply);
	flow->related = flow->forward;
	flow->related.dport = 0;
	flow->related.sport = 0;
	flow->related.nexthdr = IPPROTO_ICMP;
	flow->related.flags |= TUPLE_F_RELATED;
	return 0;
}

/*
 * Whether the packet an ICMP error quotes belongs to a tracked connection. Errors come from
 * routers on the way as well, under addresses no entry knows; only the quotation tells.
 */
static __always_inline bool ipv4_quotes_tracked(const struct __sk_buff *skb, enum ct_dir dir,
						const struct l4_span *icmp)
{
	struct ipv4_ct_tuple reply = {}, forward;
	struct l4_span l4;
	struct iphdr ip;
	__u8 head[8];
	void *map;

	if (skb_load(skb, icmp->start + sizeof(head), &ip, sizeof(ip)) < 0)
		return false;
	if (ip.version != 4 || ip.ihl < 5 || ip.frag_off & cpu_to_net16(IPV4_FRAGMENT))
		return false;
	l4.start = icmp->start + sizeof(head) + ip.ihl * 4;
	l4.end = icmp->end;
	if (l4_load(skb, &l4, head, sizeof(head)) < 0)
		return false;

	/* The quoted packet went the other way. */
	reply.flags = dir == CT_EGRESS ? TUPLE_F_OUT : TUPLE_F_IN;
	reply.daddr = ip.daddr;
	reply.saddr = ip.saddr;
	reply.nexthdr = ip.protocol;
	if (ip.protocol != IPPROTO_ICMP)
		__builtin_memcpy(&reply.dport, head, 4);
	else if (head[0] == ICMP_ECHO)
		__builtin_memcpy(&reply.dport, head + ECHO_ID_AT, 2);
	else if (head[0] == ICMP_ECHOREPLY)
		__builtin_memcpy(&reply.sport, head + ECHO_ID_AT, 2);
	else
		return false;
	forward = ipv4_reverse(&reply);
	map = ct_map4(ip.protocol);
	return map_lookup(map, &reply) || map_lookup(map, &forward);
}

#endif /* CTCONSOLE_IPV4_H */
