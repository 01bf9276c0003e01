/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Source translation as Cilium 1.9 does it (bpf/lib/nat.h): what a pod sends outside leaves
 * under the node's address and a port of its own, and answers find the way back.
 */
#ifndef CTCONSOLE_NAT_H
#define CTCONSOLE_NAT_H

#include "events.h"
#include "lb.h"

/* Ports that are given away, in host order; the node's own below them stay as they are. */
#ifndef SNAT_MAPPING_MIN_PORT
#define SNAT_MAPPING_MIN_PORT 32768
#endif
#ifndef SNAT_MAPPING_MAX_PORT
#define SNAT_MAPPING_MAX_PORT 65535
#endif

#define SNAT_COLLISION_RETRIES 128
#define SNAT_SIGNAL_THRES      64

#define EEXIST 17

/* Returns the key of a packet: its own addresses and ports. */
static __always_inline struct ipv4_ct_tuple nat_key(const struct flow *flow, __u8 flags)
{
	struct ipv4_ct_tuple key = {
		.daddr = flow->daddr.v4,
		.saddr = flow->saddr.v4,
		.dport = flow->dport,
		.sport = flow->sport,
		.nexthdr = flow->packet.proto,
		.flags = flags,
	};

	return key;
}

/* Returns the key of the answers to packets of `original` that leave from `source`. */
static __always_inline struct ipv4_ct_tuple nat_answer_key(const struct ipv4_ct_tuple *original,
							   const struct lb_target *source)
{
	struct ipv4_ct_tuple key = {
		.daddr = source->addr.v4,
		.saddr = original->daddr,
		.dport = source->port,
		.sport = original->dport,
		.nexthdr = original->nexthdr,
		.flags = TUPLE_F_IN,
	};

	return key;
}

/* Returns any number as a port that can be given away; without a branch, so that the verifier
 * need not follow each number through the search for a free one. */
static __always_inline __u16 nat_port(__u32 number)
{
	return SNAT_MAPPING_MIN_PORT +
	       number % (SNAT_MAPPING_MAX_PORT - SNAT_MAPPING_MIN_PORT + 1);
}

/* Returns the port a packet would rather keep, or one at random. */
static __always_inline __u16 nat_first_port(__be16 wanted)
{
	__u16 port = net16_to_cpu(wanted);

	if (port >= SNAT_MAPPING_MIN_PORT && port <= SNAT_MAPPING_MAX_PORT)
		return port;
	return nat_port(prandom());
}

/*
 * Give a connection a port: find one that no connection to the same end has, and file it for
 * both directions. The answers' entry is made first and only where there is none, so that two
 * processors never give away the same port.
 * Returns 0 and sets `source->port`, or -DROP_NAT_NO_MAPPING.
 */
static __always_inline int nat_create(struct __sk_buff *skb,
				      const struct ipv4_ct_tuple *original,
				      const bool host_local, struct lb_target *source)
{
	struct ipv4_nat_entry back = {
		.common = {.created = ktime_ns(), .host_local = host_local},
		.to_daddr = original->saddr,
		.to_dport = original->sport,
	};
	struct ipv4_nat_entry out = {.common = back.common, .to_saddr = source->addr.v4};
	struct ipv4_ct_tuple answer = nat_answer_key(original, source);
	__u16 port = nat_first_port(original->sport);
	__u32 tries;
	long ret = -1;

	for (tries = 0; tries < SNAT_COLLISION_RETRIES; tries++) {
		answer.dport = cpu_to_net16(port);
		ret = map_update(map_of(SNAT_MAPPING_IPV4), &answer, &back, BPF_NOEXIST);
		if (ret != -EEXIST)
			break;
		port = nat_port(tries ? port + 1 - SNAT_MAPPING_MIN_PORT : prandom());
	}
	if (ret < 0 || tries > SNAT_SIGNAL_THRES)
		send_signal(skb, SIGNAL_NAT_FILL_UP, SIGNAL_PROTO_V4);
	if (ret < 0)
		return -DROP_NAT_NO_MAPPING;
	out.to_sport = answer.dport;
	if (map_update(map_of(SNAT_MAPPING_IPV4), original, &out, BPF_ANY) < 0) {
		map_delete(map_of(SNAT_MAPPING_IPV4), &answer);
		send_signal(skb, SIGNAL_NAT_FILL_UP, SIGNAL_PROTO_V4);
		return -DROP_NAT_NO_MAPPING;
	}
	source->port = out.to_sport;
	return 0;
}

/*
 * Whether the answers to `original` under `source` come back to it. The entry may have been
 * evicted alone: then it is made again, unless another connection has the port by now.
 */
static __always_inline bool nat_answers(const struct ipv4_ct_tuple *original,
					const struct ipv4_nat_entry *out,
					const struct lb_target *source)
{
	struct ipv4_ct_tuple answer = nat_answer_key(original, source);
	struct ipv4_nat_entry again = {
		.common = out->common,
		.to_daddr = original->saddr,
		.to_dport = original->sport,
	};
	const struct ipv4_nat_entry *back = map_lookup(map_of(SNAT_MAPPING_IPV4), &answer);

	if (!back)
		return !map_update(map_of(SNAT_MAPPING_IPV4), &answer, &again, BPF_NOEXIST);
	return back->to_daddr == original->saddr && back->to_dport == original->sport;
}

/* Find or make the port a packet leaves from. Returns as nat_create(). */
static __always_inline int nat_source(struct __sk_buff *skb, const struct flow *flow,
				      const bool host_local, struct lb_target *source)
{
	struct ipv4_ct_tuple original = nat_key(flow, TUPLE_F_OUT);
	const struct ipv4_nat_entry *out = map_lookup(map_of(SNAT_MAPPING_IPV4), &original);

	/* The node may have another address than when the connection began. */
	if (out && out->to_saddr == source->addr.v4) {
		source->port = out->to_sport;
		if (nat_answers(&original, out, source))
			return 0;
	}
	return nat_create(skb, &original, host_local, source);
}

/* Give one end of an ICMP echo another address and identifier. Returns as nat_rewrite(). */
static __always_inline int nat_rewrite_echo(struct __sk_buff *skb, struct flow *flow,
					    const enum nat_end end, struct lb_target *target)
{
	union ip_addr *addr = end == NAT_SOURCE ? &flow->saddr : &flow->daddr;
	__be16 *id = end == NAT_SOURCE ? &flow->sport : &flow->dport;
	__u32 at = flow->l4.start;
	int ret;

	if (addr->v4 != target->addr.v4) {
		ret = nat_address(skb, IPV4, end, ETH_HLEN, 0, 0, addr, &target->addr);
		if (ret < 0)
			return ret;
		addr->v4 = target->addr.v4;
	}
	if (*id != target->port && flow->fragment != FRAGMENT_LATER) {
		if (l4_csum_replace(skb, at + ICMP_CSUM_AT, *id, target->port, sizeof(*id)) < 0)
			return -DROP_CSUM_L4;
		if (skb_store(skb, at + ECHO_ID_AT, &target->port, sizeof(*id), 0) < 0)
			return -DROP_WRITE_ERROR;
	}
	*id = target->port;
	return 0;
}

static __always_inline int nat_apply(struct __sk_buff *skb, struct flow *flow,
				     const enum nat_end end, struct lb_target *target)
{
	if (has_ports(flow->packet.proto))
		return nat_rewrite(skb, IPV4, flow, end, target);
	return nat_rewrite_echo(skb, flow, end, target);
}

/*
 * Translate the packet an ICMP error quotes, which had left under the node's address, and the
 * error's own destination. The quotation's IP checksum makes up for its new address, so that
 * only the port changes the error's checksum.
 * Returns 0 or a negative drop reason.
 */
static __always_inline int nat_error(struct __sk_buff *skb, const struct flow *error,
				     const struct flow *quoted,
				     const struct ipv4_nat_entry *back)
{
	const __u32 inner = error->l4.start + ICMP_HLEN, csum = error->l4.start + ICMP_CSUM_AT;
	const bool echo = !has_ports(quoted->packet.proto);
	union ip_addr from = {.v4 = quoted->saddr.v4}, to = {.v4 = back->to_daddr};
	__u32 port_at = quoted->l4.start + (echo ? ECHO_ID_AT : 0);
	__be16 port = back->to_dport;

	if (port != quoted->sport) {
		/* An echo's identifier is covered by the quoted checksum as well. */
		if (echo && l4_csum_replace(skb, quoted->l4.start + ICMP_CSUM_AT, quoted->sport,
					    port, sizeof(port)) < 0)
			return -DROP_CSUM_L4;
		if (!echo && l4_csum_replace(skb, csum, quoted->sport, port, sizeof(port)) < 0)
			return -DROP_CSUM_L4;
		if (skb_store(skb, port_at, &port, sizeof(port), 0) < 0)
			return -DROP_WRITE_ERROR;
	}
	if (l3_csum_replace(skb, inner + IPV4_CSUM_AT, from.v4, to.v4, 4) < 0)
		return -DROP_CSUM_L3;
	if (skb_store(skb, inner + IPV4_SADDR_AT, &to.v4, sizeof(to.v4), 0) < 0)
		return -DROP_WRITE_ERROR;
	from.v4 = error->daddr.v4;
	return nat_address(skb, IPV4, NAT_DESTINATION, ETH_HLEN, 0, 0, &from, &to);
}

/*
 * Find what an ICMP error is about. Returns its entry, NULL where it quotes nothing that was
 * translated.
 */
static __always_inline const struct ipv4_nat_entry *
nat_find_quoted(const struct __sk_buff *skb, const struct flow *error, struct flow *quoted)
{
	struct ipv4_ct_tuple key;

	if (flow_quoted(skb, IPV4, &error->l4, quoted) < 0)
		return NULL;
	key.daddr = quoted->saddr.v4;
	key.saddr = quoted->daddr.v4;
	key.dport = quoted->sport;
	key.sport = quoted->dport;
	key.nexthdr = quoted->packet.proto;
	key.flags = TUPLE_F_IN;
	return map_lookup(map_of(SNAT_MAPPING_IPV4), &key);
}

#endif /* CTCONSOLE_NAT_H */
