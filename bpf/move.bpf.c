// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Carries the entries of one map over into another, inside the kernel: survey, seed, move and
 * check, each one walk of a map (bpf_for_each_map_elem, Linux 5.13) by a program that user
 * space runs (BPF_PROG_TYPE_SYSCALL, Linux 5.14).
 *
 * An iterator over a map's elements would do as well, but some kernels refuse to load one; and
 * here an entry's key may be handed to a helper as it is, and its size is known from the map.
 * The walk lets go of RCU between two buckets.
 *
 * The new map is in use from the moment programs are bound to it, so nothing is ever stored
 * over a key that is there: a full LRU map would evict for such a store, and may overwrite what
 * it was asked to keep. Every key is looked up first and what is there is changed in place.
 *
 * A lookup by a program marks an entry of an LRU map as used, and a map whose entries are all
 * marked has forgotten which of them are. So the new map is looked up for what is not known to
 * be in it only, and counters are moved by a walk of the new map with lookups in the old one.
 * What is known is kept for each node of the old map: a hash of the key that it was carried
 * with.
 *
 * Each pass runs without a pause, and the counters leave the old map by an exchange, which it
 * must not have users for. Where a map's nodes can be read one by one, carry.bpf.c does better.
 */
#include "move.h"

#define BLOCK 1024 /* nodes of one element of `known` */

/* Where a pass came by a node first, counted from `state`. */
__u64 first_node;

struct known_block {
	__u32 nodes[BLOCK];
};

/* For each node of the old map a hash of the key with which it was carried or found in the new
 * one, 0 for none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct known_block);
	__uint(max_entries, 1);
} known SEC(".maps");

/*
 * Returns where the key's hash is kept when its entry is in the new map, NULL if that is not
 * kept. Nodes of an LRU map lie one behind the other from when it is made until it goes
 * (prealloc_init of kernel/bpf/hashtab.c). Where two shared a place, either would be looked up
 * once more.
 */
static __always_inline __u32 *known_of(const void *key)
{
	__u64 size = bpf_core_type_size(struct htab_elem) + ((layout.key_size + 7) & ~7U) +
		     ((layout.value_size + 7) & ~7U);
	struct known_block *block;
	__u64 at, node;
	__u32 number;

	if (!layout.known)
		return NULL;
	/* The distance of two pointers is a number. */
	at = (const char *)key - (const char *)&state;
	if (!first_node)
		first_node = at;
	/* Nodes may lie before the first as well as behind it. */
	node = (at + (size << 32) - first_node) / size & (layout.known - 1);
	number = node / BLOCK;
	block = bpf_map_lookup_elem(&known, &number);
	return block ? &block->nodes[node % BLOCK] : NULL;
}

/* Returns whether the entry is one of this pass's share. */
static __always_inline bool is_mine(const __u32 hash)
{
	return state.pass.shares <= 1 || (hash >> 8) % state.pass.shares == state.pass.share;
}

/*
 * Store an entry under a key that is not there, its counters zero or taken out of the old one.
 * Returns 0, or a negative errno with the old entry's counters as they were.
 */
static __always_inline long carry(const void *key, void *value, bool hot)
{
	const __u32 counters = counters_of(is_service(key));
	__u64 copy[MAX_LONGS] = {};
	long error;

	if (state.result.carried >= state.pass.free) {
		/* A full LRU map would throw others out for it. */
		count(refused);
		state.result.error = -ENOSPC;
		return -ENOSPC;
	}
	each_long(i)
	{
		__u64 *word = value + i * 8;

		if (i * 8 + 8 <= layout.value_size) {
			if (!(counters >> i & 1))
				copy[i] = *word;
			else if (state.pass.counted)
				copy[i] = __sync_lock_test_and_set(word, 0);
		} else if (i * 8 + 4 <= layout.value_size) {
			*(__u32 *)&copy[i] = *(__u32 *)word;
		}
	}
	error = bpf_map_update_elem(&target, key, copy, BPF_NOEXIST);
	if (!error) {
		count(carried);
		/* What was in use stays so: the kernel then takes the others first. */
		if (hot && layout.into_lru)
			bpf_map_lookup_elem(&target, key);
		return 0;
	}
	if (error == -EEXIST && state.pass.fresh) {
		/* Moved to another place of the list while it was walked. */
		count(present);
		return 0;
	}
	count(refused);
	state.result.error = error;
	if (!state.pass.counted)
		return error;
	each_long(i)
	{
		if (i * 8 + 8 <= layout.value_size && counters >> i & 1)
			__sync_fetch_and_add((__u64 *)(value + i * 8), copy[i]);
	}
	return error;
}

/* Of the old map: count its ranks. */
static long survey_one(void *map, const void *key, void *value, void *unused)
{
	__u32 rank = rank_of(key, value, is_hot(key), state.pass.now);
	__u64 *number = bpf_map_lookup_elem(&ranks, &rank);

	count(seen);
	if (number)
		__sync_fetch_and_add(number, 1);
	return 0;
}

/* Of the old map: store what is not in the new one. */
static long seed_one(void *map, const void *key, void *value, void *unused)
{
	__u32 hash = hash_of(key), *known_word;
	bool hot;

	if (!is_mine(hash))
		return 0;
	count(seen);
	known_word = known_of(key);
	/* An entry whose counters were moved is there; of one that holds some it is to be seen.
	 */
	if (known_word && *known_word == hash &&
	    !(state.pass.counted && is_counting(key, value))) {
		count(present);
		return 0;
	}
	if (!state.pass.fresh && bpf_map_lookup_elem(&target, key)) {
		count(present);
	} else {
		hot = is_hot(key);
		if (!is_taken(key, value, hot)) {
			count(left_behind);
			count(absent);
			known_word = NULL;
		} else if (carry(key, value, hot)) {
			count(absent);
			known_word = NULL;
		}
	}
	if (known_word)
		*known_word = hash;
	if (state.pass.counted && is_counting(key, value))
		count(counting);
	return 0;
}

/* Move the counters of an entry to the one that is there. Returns whether there were any. */
static __always_inline bool move_counters(__u32 counters, void *value, void *there)
{
	bool moved = false;

	each_long(i)
	{
		__u64 *word = value + i * 8;

		if (i * 8 + 8 <= layout.value_size && counters >> i & 1 &&
		    *(volatile __u64 *)word) {
			__sync_fetch_and_add((__u64 *)(there + i * 8),
					     __sync_lock_test_and_set(word, 0));
			moved = true;
		}
	}
	return moved;
}

/*
 * Returns whether the entry at `there` was stored anew, or went, since the walk came by it. A
 * lookup would mark an entry of an LRU map as used, but there the list tells of a node that it
 * is free, and the key of one that it was used again.
 */
static __always_inline bool is_replaced(const void *key, __u32 hash, const void *there)
{
	__u8 list;

	if (!layout.into_lru)
		return bpf_map_lookup_elem(&target, key) != there;
	list = mark_of(key).list;
	return list == LRU_LIST_FREE || list == LRU_LOCAL_LIST_FREE || hash_of(key) != hash;
}

/* Of the new map: move the counters there that the same key has in the old one. */
static long move_one(void *map, const void *key, void *there, void *unused)
{
	const __u32 hash = hash_of(key), counters = counters_of(is_service(key));
	bool newer, moved, touched = false;
	void *value;

	count(seen);
	value = bpf_map_lookup_elem(&source, key);
	if (!value)
		return 0;
	count(present);
	newer = layout.lifetime_at != NOWHERE &&
		*(__u32 *)(value + layout.lifetime_at) > *(__u32 *)(there + layout.lifetime_at);
	moved = move_counters(counters, value, there);
	each_word(i)
	{
		/* A word of a counter that is no counter here keeps a service's backend. */
		if (i * 4 + 4 <= layout.value_size && !(counters >> (i / 2) & 1) &&
		    (layout.gathered[i] || layout.newest[i] || layout.largest >> i & 1))
			touched |= join_word(i, value + i * 4, there + i * 4, newer);
	}
	if (moved)
		count(moved);
	if (touched)
		count(touched);
	if (moved && is_replaced(key, hash, there))
		count(replaced);
	return 0;
}

/* Each returns how many entries were looked at, or a negative errno. */
#define PASS(name, map, one)                                      \
	SEC("syscall") int name(void *ctx)                        \
	{                                                         \
		return bpf_for_each_map_elem(&map, one, NULL, 0); \
	}

PASS(survey, source, survey_one)
PASS(seed, source, seed_one)
PASS(move, target, move_one)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
