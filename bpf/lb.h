/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Services: a pod's packet to a service address goes to one of the service's backends, and
 * the backend's answer comes back to the pod under the service's address.
 */
#ifndef CTCONSOLE_LB_H
#define CTCONSOLE_LB_H

#include "conntrack.h"

#define IPV4_SADDR_AT 12
#define IPV4_DADDR_AT 16
#define IPV4_CSUM_AT  10
#define IPV6_SADDR_AT 8
#define IPV6_DADDR_AT 24
#define TCP_CSUM_AT   16
#define UDP_CSUM_AT   6

union lb_key {
	struct lb4_key v4;
	struct lb6_key v6;
};

/* An address and a port: of a backend or of a service. */
struct lb_target {
	union ip_addr addr;
	__be16 port;
};

union lb_affinity_key {
	struct lb4_affinity_key v4;
	struct lb6_affinity_key v6;
};

/* Which end of a packet is rewritten. */
enum nat_end {
	NAT_SOURCE,
	NAT_DESTINATION,
};

/* Returns the value under a slot of the service a flow goes to, NULL for no service. */
static __always_inline struct lb_service *lb_lookup(const enum ip_version v,
						    const struct flow *flow, __u16 slot)
{
	if (v == IPV6) {
		struct lb6_key key = {.dport = flow->dport, .backend_slot = slot};

		copy_addr(v, key.address, &flow->daddr);
		return map_lookup(map_of(LB6_SERVICES_MAP_V2), &key);
	} else {
		struct lb4_key key = {
			.address = flow->daddr.v4,
			.dport = flow->dport,
			.backend_slot = slot,
		};

		return map_lookup(map_of(LB4_SERVICES_MAP_V2), &key);
	}
}

/* Find a backend. Returns whether there is one of this id. */
static __always_inline bool lb_backend(const enum ip_version v, __u32 id,
				       struct lb_target *target)
{
	__u16 key = id;

	if (v == IPV6) {
		const struct lb6_backend *backend = map_lookup(map_of(LB6_BACKEND_MAP), &key);

		if (!backend)
			return false;
		copy_addr(v, &target->addr, backend->address);
		target->port = backend->port;
	} else {
		const struct lb4_backend *backend = map_lookup(map_of(LB4_BACKEND_MAP), &key);

		if (!backend)
			return false;
		target->addr.v4 = backend->address;
		target->port = backend->port;
	}
	return true;
}

/* Find a service's own address. Returns whether there is one of this id. */
static __always_inline bool lb_frontend(const enum ip_version v, __be16 rev_nat_index,
					struct lb_target *target)
{
	if (v == IPV6) {
		const struct lb6_reverse_nat *nat =
			map_lookup(map_of(LB6_REVERSE_NAT_MAP), &rev_nat_index);

		if (!nat)
			return false;
		copy_addr(v, &target->addr, nat->address);
		target->port = nat->port;
	} else {
		const struct lb4_reverse_nat *nat =
			map_lookup(map_of(LB4_REVERSE_NAT_MAP), &rev_nat_index);

		if (!nat)
			return false;
		target->addr.v4 = nat->address;
		target->port = nat->port;
	}
	return true;
}

/* Returns a hash that is the same for every packet of a flow; the mixing steps are
 * MurmurHash3's. */
static __always_inline __u32 flow_hash(const enum ip_version v, const struct flow *flow)
{
	__u32 hash = (__u32)flow->sport << 16 | flow->dport;

#pragma unroll
	for (int i = 0; i < (v == IPV6 ? 4 : 1); i++) {
		hash ^= flow->saddr.words[i] * 0xcc9e2d51;
		hash = (hash << 13 | hash >> 19) * 5 + 0xe6546b64;
		hash ^= flow->daddr.words[i] * 0x1b873593;
		hash = (hash << 13 | hash >> 19) * 5 + 0xe6546b64;
	}
	hash ^= flow->packet.proto;
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* Returns the id of a flow's backend in the service's lookup table, 0 for none. */
static __always_inline __u32 lb_select_maglev(const enum ip_version v, const struct flow *flow,
					      const struct lb_service *service)
{
	void *tables = v == IPV6 ? map_of(LB6_MAGLEV_MAP) : map_of(LB4_MAGLEV_MAP);
	__be16 index = service->rev_nat_index;
	__u32 zero = 0, slot = flow_hash(v, flow) % LB_MAGLEV_LUT_SIZE;
	void *inner = map_lookup(tables, &index);
	const __u16 *table;

	if (!inner)
		return 0;
	table = map_lookup(inner, &zero);
	if (!table)
		return 0;
	/* The verifier does not see the bound in a remainder; the compiler must not either. */
	asm volatile("" : "+r"(slot));
	if (slot >= LB_MAGLEV_LUT_SIZE)
		return 0;
	return table[slot];
}

/* Returns the id of one of the service's backends, 0 for none. */
static __always_inline __u32 lb_select_random(const enum ip_version v, const struct flow *flow,
					      const struct lb_service *service)
{
	const struct lb_service *slot = lb_lookup(v, flow, prandom() % service->count + 1);

	return slot ? slot->backend_id : 0;
}

static __always_inline bool lb_has_affinity(const struct lb_service *service)
{
	return ENABLE_SESSION_AFFINITY && service->flags & SVC_FLAG_AFFINITY;
}

static __always_inline void *lb_affinity_map(const enum ip_version v)
{
	return v == IPV6 ? map_of(LB6_AFFINITY_MAP) : map_of(LB4_AFFINITY_MAP);
}

static __always_inline void lb_affinity_key(const enum ip_version v, const struct flow *flow,
					    const struct lb_service *service,
					    union lb_affinity_key *key)
{
	if (v == IPV6) {
		copy_addr(v, key->v6.client_ip, &flow->saddr);
		key->v6.rev_nat_id = service->rev_nat_index;
	} else {
		key->v4.client_ip = flow->saddr.v4;
		key->v4.rev_nat_id = service->rev_nat_index;
	}
}

/* Returns the backend a client had last, 0 when that is too long ago or it is gone. */
static __always_inline __u32 lb_affine(const enum ip_version v, const struct flow *flow,
				       const struct lb_service *service)
{
	struct lb_affinity_match match = {.rev_nat_id = service->rev_nat_index};
	union lb_affinity_key key = {};
	struct lb_affinity_val *last;

	lb_affinity_key(v, flow, service, &key);
	last = map_lookup(lb_affinity_map(v), &key);
	if (!last)
		return 0;
	match.backend_id = last->backend_id;
	if (last->last_used + service->affinity_timeout <= flow->packet.now ||
	    !map_lookup(map_of(LB_AFFINITY_MATCH_MAP), &match)) {
		map_delete(lb_affinity_map(v), &key);
		return 0;
	}
	return match.backend_id;
}

/* Remember which backend a client has. A table that refuses forgets the affinity, no packet. */
static __always_inline void lb_bind(const enum ip_version v, const struct flow *flow,
				    const struct lb_service *service, __u32 backend_id)
{
	struct lb_affinity_val value = {
		.last_used = flow->packet.now,
		.backend_id = backend_id,
	};
	union lb_affinity_key key = {};

	if (!lb_has_affinity(service))
		return;
	lb_affinity_key(v, flow, service, &key);
	map_update(lb_affinity_map(v), &key, &value, BPF_ANY);
}

/* Choose a backend for a new flow. Returns whether there is one. */
static __always_inline bool lb_choose(const enum ip_version v, const struct flow *flow,
				      const struct lb_service *service, struct ct_state *state,
				      struct lb_target *target)
{
	state->rev_nat_index = service->rev_nat_index;
	if (lb_has_affinity(service)) {
		state->backend_id = lb_affine(v, flow, service);
		if (state->backend_id && lb_backend(v, state->backend_id, target))
			return true;
	}
	state->backend_id = LB_SELECTION_MAGLEV ? lb_select_maglev(v, flow, service)
						: lb_select_random(v, flow, service);
	return state->backend_id && lb_backend(v, state->backend_id, target);
}

/* Returns whether a flow's backend is its sender. */
static __always_inline bool lb_loops(const enum ip_version v, const struct flow *flow,
				     const struct lb_target *target)
{
	return v == IPV4 && same_addr(v, &flow->saddr, &target->addr);
}

/*
 * Find the backend of a flow: the one its SERVICE entry keeps, where that is still one of this
 * service, else a newly chosen one.
 * Returns 0, -DROP_NO_SERVICE without a backend, or -DROP_CT_CREATE_FAILED.
 */
static __always_inline int lb_assign(const enum ip_version v, const struct flow *flow,
				     const struct lb_service *service, struct ct_state *state,
				     struct lb_target *target)
{
	enum ct_status status;
	union ct_key key;

	ct_key(v, KEY_SERVICE, CT_SERVICE, flow, &key);
	status =
		ct_track(ct_map(v, flow->packet.proto), &key, &flow->packet, CT_SERVICE, state);
	if (status != CT_NEW && state->rev_nat_index == service->rev_nat_index &&
	    lb_backend(v, state->backend_id, target)) {
		state->loopback = lb_loops(v, flow, target);
		return 0;
	}
	if (!service->count || !lb_choose(v, flow, service, state, target))
		return -DROP_NO_SERVICE;
	state->loopback = lb_loops(v, flow, target);
	if (status == CT_NEW)
		return ct_create_service(v, flow, state);
	ct_move_service(v, flow, state);
	return 0;
}

/*
 * Write one end's new address into the header at `ip_at` and correct every checksum over it;
 * `l4_csum` is where that of layer 4 is, 0 for one that does not cover addresses, and
 * `l4_flags` say whether it does so by a pseudo header. Returns as nat_rewrite().
 */
static __always_inline int nat_address(struct __sk_buff *skb, const enum ip_version v,
				       const enum nat_end end, __u32 ip_at, __u32 l4_csum,
				       __u64 l4_flags, union ip_addr *from, union ip_addr *to)
{
	const __u32 size = v == IPV6 ? 16 : 4;
	__s64 diff = csum_diff(from->words, size, to->words, size, 0);
	__u32 at;

	if (v == IPV6)
		at = ip_at + (end == NAT_SOURCE ? IPV6_SADDR_AT : IPV6_DADDR_AT);
	else
		at = ip_at + (end == NAT_SOURCE ? IPV4_SADDR_AT : IPV4_DADDR_AT);
	if (skb_store(skb, at, to, size, 0) < 0)
		return -DROP_WRITE_ERROR;
	if (v == IPV4 && l3_csum_replace(skb, ip_at + IPV4_CSUM_AT, 0, diff, 0) < 0)
		return -DROP_CSUM_L3;
	if (l4_csum && l4_csum_replace(skb, l4_csum, 0, diff, l4_flags) < 0)
		return -DROP_CSUM_L4;
	return 0;
}

/*
 * Give one end of a TCP or UDP packet another address and port, in the packet and in `flow`.
 * A later fragment has neither ports nor their checksum, which its first was corrected in.
 * Checksums are corrected by the difference, which serves packets whose checksum the device is
 * still to fill in as well as large ones that are cut later.
 * Returns 0, -DROP_WRITE_ERROR, -DROP_CSUM_L3 or -DROP_CSUM_L4.
 */
static __always_inline int nat_rewrite(struct __sk_buff *skb, const enum ip_version v,
				       struct flow *flow, const enum nat_end end,
				       struct lb_target *target)
{
	const bool tcp = flow->packet.proto == IPPROTO_TCP;
	__u32 csum = flow->l4.start + (tcp ? TCP_CSUM_AT : UDP_CSUM_AT);
	/* A UDP checksum of 0 means none, and stays so. */
	__u64 flags = tcp ? 0 : BPF_F_MARK_MANGLED_0;
	union ip_addr *addr = end == NAT_SOURCE ? &flow->saddr : &flow->daddr;
	__be16 *port = end == NAT_SOURCE ? &flow->sport : &flow->dport;
	__u32 port_at = flow->l4.start + (end == NAT_SOURCE ? 0 : 2);
	int ret;

	if (flow->fragment == FRAGMENT_LATER)
		csum = 0;
	if (!same_addr(v, addr, &target->addr)) {
		ret = nat_address(skb, v, end, ETH_HLEN, csum, flags | BPF_F_PSEUDO_HDR, addr,
				  &target->addr);
		if (ret < 0)
			return ret;
		copy_addr(v, addr, &target->addr);
	}
	if (*port != target->port && csum) {
		if (l4_csum_replace(skb, csum, *port, target->port, flags | sizeof(__be16)) < 0)
			return -DROP_CSUM_L4;
		if (skb_store(skb, port_at, &target->port, sizeof(__be16), 0) < 0)
			return -DROP_WRITE_ERROR;
	}
	*port = target->port;
	return 0;
}

/*
 * Client-side load balancing: if a pod's packet goes to a service, send it to a backend.
 * `state` says afterwards which service it was, 0 for none; `flow` is that of the packet as it
 * now is. Returns 0 or a negative drop reason.
 */
static __always_inline int lb_local(struct __sk_buff *skb, const enum ip_version v,
				    struct flow *flow, struct ct_state *state)
{
	struct lb_target target = {};
	const struct lb_service *service;
	int ret;

	if (!has_ports(flow->packet.proto))
		return 0;
	service = lb_lookup(v, flow, 0);
	if (!service)
		return 0;
	ret = lb_assign(v, flow, service, state, &target);
	if (ret < 0)
		return ret;
	lb_bind(v, flow, service, state->backend_id);
	return nat_rewrite(skb, v, flow, NAT_DESTINATION, &target);
}

/*
 * Reverse translation: give a backend's answer the address its client knows. A service that is
 * gone leaves the answer as it is. Returns 0 or a negative drop reason.
 */
static __always_inline int lb_reverse(struct __sk_buff *skb, const enum ip_version v,
				      struct flow *flow, __be16 rev_nat_index)
{
	struct lb_target target = {};

	if (!rev_nat_index || !has_ports(flow->packet.proto) ||
	    !lb_frontend(v, rev_nat_index, &target))
		return 0;
	return nat_rewrite(skb, v, flow, NAT_SOURCE, &target);
}

#endif /* CTCONSOLE_LB_H */
