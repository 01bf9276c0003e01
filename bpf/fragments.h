/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Fragments of IPv4 datagrams: only the first has the ports by which the others are known. */
#ifndef CTCONSOLE_FRAGMENTS_H
#define CTCONSOLE_FRAGMENTS_H

#include "helpers.h"

#define IPV4_MORE_FRAGMENTS  0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

enum fragment {
	FRAGMENT_NONE,
	FRAGMENT_FIRST,
	FRAGMENT_LATER, /* has no layer 4 header */
};

static __always_inline enum fragment fragment_of(__be16 frag_off)
{
	if (frag_off & cpu_to_net16(IPV4_FRAGMENT_OFFSET))
		return FRAGMENT_LATER;
	return frag_off & cpu_to_net16(IPV4_MORE_FRAGMENTS) ? FRAGMENT_FIRST : FRAGMENT_NONE;
}

/*
 * Remember the ports of a datagram whose first fragment this is. Other fragments of it that
 * pass before are lost, as are those of a table that refuses: they are dropped as strangers.
 */
static __always_inline void frag_register(const struct ipv4_frag_id *id, __be16 sport,
					  __be16 dport)
{
	struct ipv4_frag_l4ports ports = {.sport = sport, .dport = dport};

	map_update(map_of(IPV4_FRAG_DATAGRAMS_MAP), id, &ports, BPF_ANY);
}

/* Fill in the ports of a later fragment. Returns 0 or -DROP_FRAG_NOT_FOUND. */
static __always_inline int frag_ports(const struct ipv4_frag_id *id, __be16 *sport,
				      __be16 *dport)
{
	const struct ipv4_frag_l4ports *ports = map_lookup(map_of(IPV4_FRAG_DATAGRAMS_MAP), id);

	if (!ports)
		return -DROP_FRAG_NOT_FOUND;
	*sport = ports->sport;
	*dport = ports->dport;
	return 0;
}

#endif /* CTCONSOLE_FRAGMENTS_H */
