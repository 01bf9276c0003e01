// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The programs at the host side of a pod's veth: from_container at tc ingress sees what the
 * pod sends, to_container at tc egress what it is about to receive.
 *
 * They are split as Cilium splits them. from_container calls the part for the packet's family
 * in cilium_calls_<endpoint>; to_container calls the endpoint's handle_policy in
 * cilium_call_policy, which calls the part for the family in the same way. Whoever ends a
 * packet's way counts it: a call that succeeds does not return.
 */
#include "events.h"
#include "loopback.h"
#include "metrics.h"
#include "policy.h"
#include "quoted.h"

/* Returns the identity of whoever sent a packet that is about to enter the container. */
static __always_inline __u32 source_identity(const struct __sk_buff *skb,
					     const enum ip_version v, const struct flow *flow)
{
	__u32 mark = skb->mark;

	if ((mark & MARK_MAGIC_MASK) != MARK_MAGIC_IDENTITY)
		return identity_of(v, &flow->saddr);
	return (mark >> 16) | (mark & 0xff) << 16;
}

/* Tell the next container's program who sent this packet. */
static __always_inline void mark_identity(struct __sk_buff *skb, __u32 identity)
{
	skb->mark = identity << 16 | MARK_MAGIC_IDENTITY | (identity >> 16 & 0xff);
}

/* Returns whether a packet is part of what was allowed before, and passes without a rule. */
static __always_inline bool is_answer(const struct __sk_buff *skb, const enum ip_version v,
				      const struct flow *flow, const enum ct_dir dir,
				      enum ct_status status)
{
	if (status == CT_REPLY || status == CT_RELATED)
		return true;
	return flow->packet.related && ct_knows_quoted(skb, v, flow, dir);
}

/* Note what connection tracking knows of a packet. */
static __always_inline void sight(struct sighting *seen, enum ct_status status,
				  const struct ct_state *state)
{
	seen->state = status;
	seen->report = status == CT_NEW || state->report;
}

/* What the pod sends. Returns 0 or a negative drop reason. */
static __always_inline int handle_egress(struct __sk_buff *skb, const enum ip_version v,
					 struct sighting *seen)
{
	struct ct_state service = {}, state = {};
	struct flow flow = {};
	enum ct_status status;
	int ret = flow_parse(skb, v, &flow);

	if (ret)
		return ret < 0 ? ret : 0;
	if (is_loopback(v, &flow.daddr))
		return loopback_answer(skb, v, &flow);
	ret = lb_local(skb, v, &flow, &service);
	if (ret < 0)
		return ret;
	if (service.loopback) {
		ret = loopback_hide(skb, v, &flow);
		if (ret < 0)
			return ret;
	}
	status = ct_lookup(v, &flow, CT_EGRESS, &state);
	sight(seen, status, &state);
	if (is_answer(skb, v, &flow, CT_EGRESS, status))
		return 0;
	if (policy_enforced(CT_EGRESS) && !service.loopback) {
		seen->dst_label = identity_of(v, &flow.daddr);
		ret = policy_check(&flow, CT_EGRESS, seen->dst_label);
		if (ret < 0)
			return ret;
	}
	/* Another service than last time: its answers must be translated to that one. */
	if (status != CT_NEW &&
	    (flow.packet.related || state.rev_nat_index == service.rev_nat_index))
		return 0;
	return ct_create(v, &flow, CT_EGRESS, &service, endpoint_of(EP_IDENTITY));
}

/* What the pod is about to receive. Returns 0 or a negative drop reason. */
static __always_inline int handle_ingress(struct __sk_buff *skb, const enum ip_version v,
					  struct sighting *seen)
{
	struct ct_state state = {};
	struct flow flow = {};
	enum ct_status status;
	__u32 identity;
	int ret = flow_parse(skb, v, &flow);

	if (ret)
		return ret < 0 ? ret : 0;
	status = ct_lookup(v, &flow, CT_INGRESS, &state);
	sight(seen, status, &state);
	if (status == CT_REPLY)
		return lb_reverse(skb, v, &flow, state.rev_nat_index);
	if (is_answer(skb, v, &flow, CT_INGRESS, status))
		return flow.packet.related ? lb_reverse_quoted(skb, v, &flow) : 0;
	if (status == CT_NEW && loopback_arrives(v, &flow))
		return 0;
	identity = source_identity(skb, v, &flow);
	seen->src_label = identity;
	if (policy_enforced(CT_INGRESS)) {
		ret = policy_check(&flow, CT_INGRESS, identity);
		if (ret < 0)
			return ret;
	}
	if (status != CT_NEW)
		return 0;
	state.rev_nat_index = 0;
	return ct_create(v, &flow, CT_INGRESS, &state, identity);
}

/* Count the verdict on a packet and tell of it. Returns what tc is to do with it. */
static __always_inline int conclude(struct __sk_buff *skb, const __u8 dir, int ret,
				    struct sighting *seen)
{
	const __u16 self = endpoint_of(EP_ID), dst_id = dir == METRIC_INGRESS ? self : 0;
	bool v6 = net16_to_cpu(skb->protocol) == ETH_P_IPV6;

	count_packet(skb->len, dir, ret < 0 ? -ret : REASON_FORWARDED);
	if (dir == METRIC_INGRESS)
		seen->dst_label = endpoint_of(EP_IDENTITY);
	else
		seen->src_label = endpoint_of(EP_IDENTITY);
	if (ret >= 0) {
		notify_trace(skb, dir == METRIC_INGRESS ? TRACE_TO_LXC : TRACE_TO_STACK, self,
			     dst_id, dir == METRIC_INGRESS ? skb->ifindex : 0, seen);
		return TC_ACT_OK;
	}
	notify_drop(skb, -ret, self, dst_id, seen);
	if (ret == -DROP_CT_CREATE_FAILED)
		send_signal(skb, SIGNAL_CT_FILL_UP, v6 ? SIGNAL_PROTO_V6 : SIGNAL_PROTO_V4);
	return TC_ACT_SHOT;
}

/*
 * Look at no more than what kind of frame it is.
 * Returns ETH_P_IP or ETH_P_IPV6, 0 for one that passes, or a negative drop reason.
 */
static __always_inline int frame_kind(const struct __sk_buff *skb)
{
	__u16 ethertype = net16_to_cpu(skb->protocol);

	if (ethertype < ETH_P_802_3_MIN)
		return -DROP_UNSUPPORTED_L2;
	/* A VLAN is a network of its own, in which the same addresses mean others. */
	if (skb->vlan_present)
		return -DROP_UNKNOWN_L3;
	switch (ethertype) {
	case ETH_P_ARP:
		return 0;
#if ENABLE_IPV4
	case ETH_P_IP:
		return ethertype;
#endif
#if ENABLE_IPV6
	case ETH_P_IPV6:
		return ethertype;
#endif
	default:
		return -DROP_UNKNOWN_L3;
	}
}

int from_container(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int kind = frame_kind(skb);

	mark_identity(skb, endpoint_of(EP_IDENTITY));
	seen.src_label = endpoint_of(EP_IDENTITY);
	notify_trace(skb, TRACE_FROM_LXC, endpoint_of(EP_ID), 0, skb->ifindex, &seen);
	if (kind <= 0)
		return conclude(skb, METRIC_EGRESS, kind, &seen);
	if (kind == ETH_P_IPV6)
		tail_call(skb, map_of(CALLS_MAP), CILIUM_CALL_IPV6_FROM_LXC);
	else
		tail_call(skb, map_of(CALLS_MAP), CILIUM_CALL_IPV4_FROM_LXC);
	return conclude(skb, METRIC_EGRESS, -DROP_MISSED_TAIL_CALL, &seen);
}

int to_container(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int kind = frame_kind(skb);

	if (kind <= 0)
		return conclude(skb, METRIC_INGRESS, kind, &seen);
	tail_call(skb, map_of(POLICY_CALL_MAP), endpoint_of(EP_ID));
	return conclude(skb, METRIC_INGRESS, -DROP_MISSED_TAIL_CALL, &seen);
}

int handle_policy(struct __sk_buff *skb)
{
	struct sighting seen = {};

	if (net16_to_cpu(skb->protocol) == ETH_P_IPV6)
		tail_call(skb, map_of(CALLS_MAP), CILIUM_CALL_IPV6_TO_LXC_POLICY_ONLY);
	else
		tail_call(skb, map_of(CALLS_MAP), CILIUM_CALL_IPV4_TO_LXC_POLICY_ONLY);
	return conclude(skb, METRIC_INGRESS, -DROP_MISSED_TAIL_CALL, &seen);
}

#if ENABLE_IPV4
int tail_handle_ipv4(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int ret = handle_egress(skb, IPV4, &seen);

	return conclude(skb, METRIC_EGRESS, ret, &seen);
}

int tail_ipv4_policy(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int ret = handle_ingress(skb, IPV4, &seen);

	return conclude(skb, METRIC_INGRESS, ret, &seen);
}
#endif

#if ENABLE_IPV6
int tail_handle_ipv6(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int ret = handle_egress(skb, IPV6, &seen);

	return conclude(skb, METRIC_EGRESS, ret, &seen);
}

int tail_ipv6_policy(struct __sk_buff *skb)
{
	struct sighting seen = {};
	int ret = handle_ingress(skb, IPV6, &seen);

	return conclude(skb, METRIC_INGRESS, ret, &seen);
}
#endif
