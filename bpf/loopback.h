/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * A pod that reaches itself through a service. Nobody accepts packets from outside under his
 * own address: the packet is given another source, IPV4_LOOPBACK, and what the pod answers to
 * that address goes back to itself as the service's answer. IPv4 only, as in Cilium 1.9.
 *
 * Only the way out has an entry, whose lb_loopback lets the other packets be recognised: no
 * rule is needed for a pod to talk to itself.
 */
#ifndef CTCONSOLE_LOOPBACK_H
#define CTCONSOLE_LOOPBACK_H

#include "lb.h"

static __always_inline bool is_loopback(const enum ip_version v, const union ip_addr *addr)
{
	return v == IPV4 && addr->v4 == cpu_to_net32(IPV4_LOOPBACK);
}

/* Hide from a pod that a packet to a service comes from itself. Returns as nat_rewrite(). */
static __always_inline int loopback_hide(struct __sk_buff *skb, const enum ip_version v,
					 struct flow *flow)
{
	struct lb_target target = {
		.addr.v4 = cpu_to_net32(IPV4_LOOPBACK),
		.port = flow->sport,
	};

	return nat_rewrite(skb, v, flow, NAT_SOURCE, &target);
}

/*
 * What a pod answers to IPV4_LOOPBACK: send it back to the pod, as from the service.
 * Returns 0, -DROP_NO_SERVICE where nothing is known of it, or as nat_rewrite().
 */
static __always_inline int loopback_answer(struct __sk_buff *skb, const enum ip_version v,
					   struct flow *flow)
{
	struct lb_target self = {.addr = flow->saddr, .port = flow->dport}, service = {};
	struct ct_state state = {};
	union ct_key key;
	int ret;

	/* The entry of the way out, to which this packet is what comes in. */
	ct_key(v, KEY_REPLY, CT_INGRESS, flow, &key);
	if (ct_track(ct_map(v, flow->packet.proto), &key, &flow->packet, CT_INGRESS, &state) ==
		    CT_NEW ||
	    !lb_frontend(v, state.rev_nat_index, &service))
		return -DROP_NO_SERVICE;
	ret = nat_rewrite(skb, v, flow, NAT_SOURCE, &service);
	if (ret < 0)
		return ret;
	return nat_rewrite(skb, v, flow, NAT_DESTINATION, &self);
}

/* Returns whether a packet that reaches a pod was sent by itself to a service, or answers that.
 */
static __always_inline bool loopback_arrives(const enum ip_version v, const struct flow *flow)
{
	const struct ct_entry *entry;
	union ct_key key;

	if (v != IPV4 || !has_ports(flow->packet.proto))
		return false;
	ct_key(v, KEY_FORWARD, CT_EGRESS, flow, &key);
	if (!is_loopback(v, &flow->saddr))
		key.v4.flags = TUPLE_F_SERVICE;
	entry = map_lookup(ct_map(v, flow->packet.proto), &key);
	return entry && entry->lb_loopback;
}

#endif /* CTCONSOLE_LOOPBACK_H */
