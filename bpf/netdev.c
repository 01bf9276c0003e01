// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The programs at the node's uplink: to_netdev at tc egress lets pods leave under the node's
 * address, from_netdev at tc ingress brings the answers back.
 */
#include "metrics.h"
#include "nat.h"
#include "policy.h"

/* Who sends a packet that leaves the node. */
enum sender {
	SENDER_FOREIGN, /* nobody whose packets are translated */
	SENDER_POD,
	SENDER_HOST,
};

/* Returns whether an address is one that pods reach under their own. */
static __always_inline bool is_excluded(__be32 addr)
{
	return (addr & endpoint_of(NETDEV_EXCLUDED_MASK)) == endpoint_of(NETDEV_EXCLUDED);
}

static __always_inline bool is_pod(const union ip_addr *addr)
{
	struct endpoint_key key = {.family = ENDPOINT_KEY_IPV4};
	const struct endpoint_info *endpoint;

	copy_addr(IPV4, key.address, addr);
	endpoint = map_lookup(map_of(ENDPOINTS_MAP), &key);
	return endpoint && !(endpoint->flags & ENDPOINT_F_HOST);
}

/* Returns whether a packet answers a connection from outside, which has to see the pod's
 * own address. */
static __always_inline bool is_reply(const struct flow *flow)
{
	union ct_key key;

	ct_key(IPV4, KEY_REPLY, CT_EGRESS, flow, &key);
	return map_lookup(ct_map(IPV4, flow->packet.proto), &key);
}

/*
 * Whose packet is to be translated. The node's own keeps its address, but takes part, so that
 * no pod is given a port the node uses towards the same end.
 */
static __always_inline enum sender sender_of(const struct flow *flow)
{
	if (flow->saddr.v4 == endpoint_of(NETDEV_IPV4)) {
		if (net16_to_cpu(flow->sport) < SNAT_MAPPING_MIN_PORT)
			return SENDER_FOREIGN;
		return SENDER_HOST;
	}
	if (is_excluded(flow->daddr.v4) || !is_pod(&flow->saddr) || is_reply(flow))
		return SENDER_FOREIGN;
	return SENDER_POD;
}

/* Track what the node itself sends or receives. Returns 0 or -DROP_CT_CREATE_FAILED. */
static __always_inline int track_host(const struct flow *flow, const enum ct_dir dir,
				      struct sighting *seen)
{
	struct ct_state state = {};

	seen->state = ct_lookup(IPV4, flow, dir, &state);
	seen->report = state.report;
	if (seen->state != CT_NEW || dir == CT_INGRESS)
		return 0;
	seen->report = true;
	return ct_create(IPV4, flow, dir, &state, HOST_ID);
}

/* Returns 0 or a negative drop reason. */
static __always_inline int handle_to_netdev(struct __sk_buff *skb, struct sighting *seen)
{
	struct lb_target source = {.addr.v4 = endpoint_of(NETDEV_IPV4)};
	struct flow flow = {};
	enum sender sender;
	int ret = flow_parse(skb, IPV4, &flow);

	/* Only what is translated has to be understood; the rest is not ours to judge. */
	if (ret || flow.packet.related) {
		if (ret >= 0 || !is_pod(&flow.saddr) || is_excluded(flow.daddr.v4))
			return 0;
		return ret == -DROP_CT_UNKNOWN_PROTO ? -DROP_NAT_UNSUPP_PROTO : ret;
	}
	sender = sender_of(&flow);
	if (sender == SENDER_FOREIGN || (!has_ports(flow.packet.proto) && !flow.sport))
		return 0;
	if (sender == SENDER_HOST) {
		ret = track_host(&flow, CT_EGRESS, seen);
		if (ret < 0)
			return ret;
	}
	ret = nat_source(skb, &flow, sender == SENDER_HOST, &source);
	if (ret < 0)
		return ret;
	return nat_apply(skb, &flow, NAT_SOURCE, &source);
}

/* Returns 0 or a negative drop reason. */
static __always_inline int handle_from_netdev(struct __sk_buff *skb, struct sighting *seen)
{
	const struct ipv4_nat_entry *back;
	struct lb_target target = {};
	struct flow flow = {}, quoted = {};
	struct ipv4_ct_tuple key;
	bool host_local;
	int ret = flow_parse(skb, IPV4, &flow);

	/* Nothing is refused on the way in: what is not an answer is not ours to judge. */
	if (ret || flow.daddr.v4 != endpoint_of(NETDEV_IPV4))
		return 0;
	if (flow.packet.related) {
		back = nat_find_quoted(skb, &flow, &quoted);
		return back ? nat_error(skb, &flow, &quoted, back) : 0;
	}
	key = nat_key(&flow, TUPLE_F_IN);
	back = map_lookup(map_of(SNAT_MAPPING_IPV4), &key);
	if (!back)
		return 0;
	target.addr.v4 = back->to_daddr;
	target.port = back->to_dport;
	host_local = back->common.host_local;
	ret = nat_apply(skb, &flow, NAT_DESTINATION, &target);
	if (ret < 0 || !host_local)
		return ret;
	return track_host(&flow, CT_INGRESS, seen);
}

/* Count the verdict on a packet and tell of it. Returns what tc is to do with it. */
static __always_inline int conclude(struct __sk_buff *skb, const __u8 dir, int ret,
				    struct sighting *seen)
{
	count_packet(skb->len, dir, ret < 0 ? -ret : REASON_FORWARDED);
	if (ret < 0) {
		notify_drop(skb, -ret, 0, 0, seen);
		if (ret == -DROP_CT_CREATE_FAILED)
			send_signal(skb, SIGNAL_CT_FILL_UP, SIGNAL_PROTO_V4);
		return TC_ACT_SHOT;
	}
	notify_trace(skb, dir == METRIC_INGRESS ? TRACE_FROM_NETWORK : TRACE_TO_NETWORK, 0, 0,
		     skb->ifindex, seen);
	return TC_ACT_OK;
}

int to_netdev(struct __sk_buff *skb)
{
	struct sighting seen = {};

	if (net16_to_cpu(skb->protocol) != ETH_P_IP || skb->vlan_present)
		return TC_ACT_OK;
	return conclude(skb, METRIC_EGRESS, handle_to_netdev(skb, &seen), &seen);
}

int from_netdev(struct __sk_buff *skb)
{
	struct sighting seen = {};

	if (net16_to_cpu(skb->protocol) != ETH_P_IP || skb->vlan_present)
		return TC_ACT_OK;
	return conclude(skb, METRIC_INGRESS, handle_from_netdev(skb, &seen), &seen);
}
