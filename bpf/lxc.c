// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The programs at the host side of a pod's veth: from_container at tc ingress sees what the
 * pod sends, to_container at tc egress what it is about to receive.
 */
#include "ipv4.h"
#include "metrics.h"

/* Returns the identity of whoever sent a packet that is about to enter the container. */
static __always_inline __u32 source_identity(const struct __sk_buff *skb)
{
	__u32 mark = skb->mark;

	if ((mark & MARK_MAGIC_MASK) != MARK_MAGIC_IDENTITY)
		return WORLD_ID;
	return (mark >> 16) | (mark & 0xff) << 16;
}

/* Tell the next container's program who sent this packet. */
static __always_inline void mark_identity(struct __sk_buff *skb, __u32 identity)
{
	skb->mark = identity << 16 | MARK_MAGIC_IDENTITY | (identity >> 16 & 0xff);
}

/* Track one IPv4 packet. Returns 0 or a negative drop reason. */
static __always_inline int handle_ipv4(struct __sk_buff *skb, enum ct_dir dir, __u32 identity)
{
	struct ipv4_flow flow;
	struct l4_span l4;
	enum ct_status status;
	void *map;
	int ret = ipv4_parse(skb, dir, &flow, &l4);

	if (ret < 0)
		return ret;
	map = ct_map4(flow.packet.proto);
	status = ct_lookup(map, &flow.reply, &flow.forward, &flow.packet, dir);
	if (status != CT_NEW)
		return 0;
	if (flow.packet.related && ipv4_quotes_tracked(skb, dir, &l4))
		return 0;
	return ct_create(map, &flow.forward, map_of(CT_MAP_ANY4), &flow.related, &flow.packet,
			 dir, identity);
}

/* Returns 0 or a negative drop reason. */
static __always_inline int handle_frame(struct __sk_buff *skb, enum ct_dir dir, __u32 identity)
{
	__u16 ethertype = net16_to_cpu(skb->protocol);

	if (ethertype < ETH_P_802_3_MIN)
		return -DROP_UNSUPPORTED_L2;
	/* A VLAN is a network of its own, in which the same addresses mean others. */
	if (skb->vlan_present)
		return -DROP_UNKNOWN_L3;
	switch (ethertype) {
	case ETH_P_IP:
		return handle_ipv4(skb, dir, identity);
	case ETH_P_ARP:
	case ETH_P_IPV6:
		return 0;
	default:
		return -DROP_UNKNOWN_L3;
	}
}

/* Count the verdict on a packet. Returns what tc is to do with it. */
static __always_inline int conclude(const struct __sk_buff *skb, __u8 dir, int ret)
{
	count_packet(skb->len, dir, ret < 0 ? -ret : REASON_FORWARDED);
	return ret < 0 ? TC_ACT_SHOT : TC_ACT_OK;
}

int from_container(struct __sk_buff *skb)
{
	__u32 identity = endpoint_of(EP_IDENTITY);
	int ret = handle_frame(skb, CT_EGRESS, identity);

	mark_identity(skb, identity);
	return conclude(skb, METRIC_EGRESS, ret);
}

int to_container(struct __sk_buff *skb)
{
	int ret = handle_frame(skb, CT_INGRESS, source_identity(skb));

	return conclude(skb, METRIC_INGRESS, ret);
}
