/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The packet that an ICMP error quotes, as whoever sent it knows it: a sender that is told of
 * a translated packet finds no connection it would belong to, and misses what it should learn,
 * such as a smaller path MTU.
 */
#ifndef CTCONSOLE_QUOTED_H
#define CTCONSOLE_QUOTED_H

#include "lb.h"

/*
 * Give one end of the quoted packet another address and port. Its layer 4 checksum, which may
 * lie beyond the quotation, is left as it is: nobody checks it.
 * Returns 0, -DROP_WRITE_ERROR, -DROP_CSUM_L3 or -DROP_CSUM_L4.
 */
static __always_inline int quoted_rewrite(struct __sk_buff *skb, const enum ip_version v,
					  const struct flow *error, struct flow *quoted,
					  const enum nat_end end, struct lb_target *target)
{
	union ip_addr *addr = end == NAT_SOURCE ? &quoted->saddr : &quoted->daddr;
	__be16 port = end == NAT_SOURCE ? quoted->sport : quoted->dport;
	__u32 port_at = quoted->l4.start + (end == NAT_SOURCE ? 0 : 2);
	__u32 icmp_csum = error->l4.start + ICMP_CSUM_AT;
	int ret;

	if (!same_addr(v, addr, &target->addr)) {
		/*
		 * In IPv4 the quoted header's own checksum takes up the difference, and the
		 * error's stays right; IPv6 has none.
		 */
		ret = nat_address(skb, v, end, error->l4.start + ICMP_HLEN,
				  v == IPV6 ? icmp_csum : 0, 0, addr, &target->addr);
		if (ret < 0)
			return ret;
	}
	if (port == target->port)
		return 0;
	if (l4_csum_replace(skb, icmp_csum, port, target->port, sizeof(__be16)) < 0)
		return -DROP_CSUM_L4;
	if (skb_store(skb, port_at, &target->port, sizeof(__be16), 0) < 0)
		return -DROP_WRITE_ERROR;
	return 0;
}

/*
 * An error that reaches a pod: if it quotes a packet the pod had sent to a service, let it
 * quote that again and not the translated one. Returns 0 or a negative drop reason.
 */
static __always_inline int lb_reverse_quoted(struct __sk_buff *skb, const enum ip_version v,
					     const struct flow *error)
{
	struct lb_target target = {};
	const struct ct_entry *entry;
	struct flow quoted = {};
	union ct_key key;

	if (flow_quoted(skb, v, &error->l4, &quoted) < 0 || !has_ports(quoted.packet.proto))
		return 0;
	ct_key(v, KEY_FORWARD, CT_EGRESS, &quoted, &key);
	entry = map_lookup(ct_map(v, quoted.packet.proto), &key);
	if (!entry || !entry->rev_nat_index || !lb_frontend(v, entry->rev_nat_index, &target))
		return 0;
	return quoted_rewrite(skb, v, error, &quoted, NAT_DESTINATION, &target);
}

#endif /* CTCONSOLE_QUOTED_H */
