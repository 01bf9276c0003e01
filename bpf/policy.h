/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Who is behind an address, and what an endpoint may exchange with whom. */
#ifndef CTCONSOLE_POLICY_H
#define CTCONSOLE_POLICY_H

#include "flow.h"

/* Returns whether an address is the node's own. */
static __always_inline bool is_host(const enum ip_version v, const union ip_addr *addr)
{
	struct endpoint_key key = {
		.family = v == IPV6 ? ENDPOINT_KEY_IPV6 : ENDPOINT_KEY_IPV4,
	};
	const struct endpoint_info *endpoint;

	copy_addr(v, key.address, addr);
	endpoint = map_lookup(map_of(ENDPOINTS_MAP), &key);
	return endpoint && endpoint->flags & ENDPOINT_F_HOST;
}

/* Returns the identity behind an address, WORLD_ID where nobody knows it. */
static __always_inline __u32 identity_of(const enum ip_version v, const union ip_addr *addr)
{
	struct ipcache_key key = {
		.prefixlen = IPCACHE_STATIC_PREFIX + (v == IPV6 ? 128 : 32),
		.family = v == IPV6 ? ENDPOINT_KEY_IPV6 : ENDPOINT_KEY_IPV4,
	};
	const struct remote_endpoint_info *info;

	if (is_host(v, addr))
		return HOST_ID;
	copy_addr(v, key.address, addr);
	info = map_lookup(map_of(IPCACHE_MAP), &key);
	return info && info->sec_label ? info->sec_label : WORLD_ID;
}

/*
 * Apply the rule under `key`, if there is one, to a packet.
 * Returns 0 for one that allows it, -DROP_POLICY_DENY for one that denies it, -DROP_POLICY
 * without a rule.
 */
static __always_inline int policy_rule(const struct policy_key *key, __u32 bytes)
{
	struct policy_entry *rule = map_lookup(map_of(POLICY_MAP), key);

	if (!rule)
		return -DROP_POLICY;
	__sync_fetch_and_add(&rule->packets, 1);
	__sync_fetch_and_add(&rule->bytes, bytes);
	return rule->deny ? -DROP_POLICY_DENY : 0;
}

/*
 * Whether the endpoint may exchange this packet with `identity`: the most specific rule
 * decides, in Cilium 1.9's order: identity and port, port, identity, anything.
 * Returns 0, -DROP_POLICY where no rule allows it, or -DROP_POLICY_DENY.
 */
static __always_inline int policy_check(const struct flow *flow, const enum ct_dir dir,
					__u32 identity)
{
	struct policy_key key = {
		.sec_label = identity,
		.dport = has_ports(flow->packet.proto) ? flow->dport : 0,
		.protocol = flow->packet.proto,
		.egress = dir == CT_EGRESS,
	};
	__u32 bytes = flow->packet.len;
	int ret = policy_rule(&key, bytes);

	if (ret != -DROP_POLICY)
		return ret;
	key.sec_label = 0;
	ret = policy_rule(&key, bytes);
	if (ret != -DROP_POLICY)
		return ret;
	key.sec_label = identity;
	key.dport = 0;
	key.protocol = 0;
	ret = policy_rule(&key, bytes);
	if (ret != -DROP_POLICY)
		return ret;
	key.sec_label = 0;
	return policy_rule(&key, bytes);
}

/* Returns whether the endpoint's policy map decides in this direction. */
static __always_inline bool policy_enforced(const enum ct_dir dir)
{
	return endpoint_of(EP_POLICY) &
	       (dir == CT_EGRESS ? EP_POLICY_EGRESS : EP_POLICY_INGRESS);
}

#endif /* CTCONSOLE_POLICY_H */
