// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts what is in a conntrack table by protocol, direction and state, and what came and went
 * since the look before, without handing out an entry.
 *
 * All nodes of an LRU map lie one behind the other in memory that is allocated with the map.
 * They are read in that order, which costs a fraction of a walk from bucket to bucket. An entry
 * stays in its node until it goes. So of each node the hash of its key and its lifetime are
 * kept: where the hash is another one at the next look, the entry has gone and another one has
 * come. One that is stored anew over itself moves to another node and counts as gone and new.
 *
 * Nothing is locked: a node that changes while it is read may be counted as it was or as it
 * will be.
 *
 * A bpf_map iterator (Linux 5.8) with bpf_loop (Linux 5.17): it is not bound to the table,
 * which would otherwise have one user more. CO-RE: loaded through libbpf.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <stdbool.h>
#include <stddef.h>
#include "htab.h"

#define NODES	(1U << 17) /* of one call: some ten milliseconds */
#define MAX_KEY 40	   /* rounded up */
#define VALUE	56

struct bpf_iter__bpf_map {
	struct bpf_map *map;
} __attribute__((preserve_access_index));

/* The key's last two bytes, and the value's fields that are the same in every layout. */
enum tuple_flag {
	TUPLE_F_IN = 1,
	TUPLE_F_RELATED = 2,
	TUPLE_F_SERVICE = 4,
};

enum ct_flag {
	BOTH_CLOSING = 3,
	SEEN_NON_SYN = 16,
};

struct tail {
	__u32 lifetime;
	__u16 flags;
	__u8 between[10];
	__u32 last_tx_report;
	__u32 last_rx_report;
};
#define TAIL_AT 32

/* As ctconsole/model/ct/census.py numbers them. */
enum protocol { TCP, UDP, ICMP, ICMPV6, SCTP, OTHER, PROTOCOLS };
enum direction { OUT, IN, SERVICE, DIRECTIONS };
enum state { OPENING, ONE_WAY, ESTABLISHED, HALF_CLOSED, CLOSING, EXPIRED, STATES };
#define CELLS (PROTOCOLS * DIRECTIONS * STATES)

/* The question and the answer so far; ctconsole/kernel/census.py mirrors it. */
struct census_state {
	__u64 done;  /* nodes looked at so far */
	__u64 nodes; /* how many there are; 0 while the map was not met */
	__u32 id;    /* of the map */
	__s32 error; /* of a read that failed, a negative errno */
	__u32 now;   /* the clock of the lifetimes */
	__u32 soon;  /* a closed connection that lives no longer than this is about to go */
	__u64 came;  /* entries that were not there at the look before */
	__u64 gone;  /* entries of the look before that are not there any more */
	__u64 early; /* those of them whose lifetime is not over by `now` */
	__u64 related;
	__u64 cells[CELLS];
	__u8 node[MAX_HEAD + MAX_KEY + VALUE];
};

struct census_state state = {};

/* Of each node: the hash of its key and, in the lower half, its lifetime; 0: it was free. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} marks SEC(".maps");

struct walk {
	const void *elems;
	__u32 size;
	__u32 key_size;
	__u32 first;
};

static __always_inline __u32 protocol_of(__u8 number)
{
	switch (number) {
	case 6:
		return TCP;
	case 17:
		return UDP;
	case 1:
		return ICMP;
	case 58:
		return ICMPV6;
	case 132:
		return SCTP;
	}
	return OTHER;
}

static __always_inline __u32 state_of(const struct tail *value, bool tcp, bool service)
{
	const __u16 closing = value->flags & BOTH_CLOSING;
	const bool seen = value->flags & SEEN_NON_SYN;
	const bool both_ways = value->last_rx_report && value->last_tx_report;

	if (value->lifetime <= state.now)
		return EXPIRED;
	if (closing == BOTH_CLOSING || (closing && value->lifetime <= state.soon))
		return CLOSING;
	if (closing)
		return HALF_CLOSED;
	if (tcp ? seen && (both_ways || service) : both_ways)
		return ESTABLISHED;
	return tcp && !seen ? OPENING : ONE_WAY;
}

/* Compare a node with what it held at the look before. */
static __always_inline void compare(__u32 number, __u64 mark)
{
	__u64 *before = bpf_map_lookup_elem(&marks, &number);

	if (!before)
		return;
	if (*before >> 32 != mark >> 32 || !*before != !mark) {
		if (mark)
			state.came++;
		if (*before) {
			state.gone++;
			if ((__u32)*before > state.now)
				state.early++;
		}
	}
	*before = mark;
}

static long count_node(__u32 i, struct walk *walk)
{
	const __u32 number = walk->first + i;
	const void *from = walk->elems + (__u64)number * walk->size;
	const __u32 rounded = (walk->key_size + 7) & ~7U;
	const struct tail *value;
	const __u8 *key = state.node + KEY_AT;
	bool service;
	__u32 cell, size = KEY_AT + rounded + VALUE;
	__u8 list, flags;

	state.done = number + 1;
	if (size > sizeof(state.node) || rounded > MAX_KEY || walk->key_size < 2)
		return 1;
	state.error = bpf_probe_read_kernel(state.node, size, from);
	if (state.error)
		return 1;
	list = state.node[TYPE_AT];
	/* One that is in no map has no list to be in, or a pointer that is none. */
	if (list == LRU_LIST_FREE || list == LRU_LOCAL_LIST_FREE ||
	    *(__u64 *)(state.node + LINKED_AT) >> 52 != 0xfff) {
		compare(number, 0);
		return 0;
	}
	flags = key[(walk->key_size - 1) & 63];
	service = flags & TUPLE_F_SERVICE;
	value = (void *)(key + rounded + TAIL_AT);
	compare(number, (__u64) * (__u32 *)(state.node + HASH_AT) << 32 | value->lifetime);
	cell = protocol_of(key[(walk->key_size - 2) & 63]);
	cell = cell * DIRECTIONS + (service ? SERVICE : flags & TUPLE_F_IN);
	cell = cell * STATES + state_of(value, cell / DIRECTIONS == TCP, service);
	if (cell < CELLS)
		state.cells[cell]++;
	if (flags & TUPLE_F_RELATED)
		state.related++;
	return 0;
}

SEC("iter/bpf_map")
int census(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct bpf_htab *table = (struct bpf_htab *)map;
	struct walk walk = {};

	/* The walk ends with one call without a map. */
	if (!map || map->id != state.id || map->map_type != BPF_MAP_TYPE_LRU_HASH ||
	    map->value_size != VALUE)
		return 0;
	walk.elems = BPF_CORE_READ(table, elems);
	walk.size = BPF_CORE_READ(table, elem_size);
	walk.key_size = map->key_size;
	walk.first = state.done;
	state.nodes = map->max_entries;
	if (walk.first < state.nodes) {
		__u32 left = state.nodes - walk.first;

		bpf_loop(left < NODES ? left : NODES, count_node, &walk, 0);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
