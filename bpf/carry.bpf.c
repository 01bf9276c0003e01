// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Carries the entries of one LRU map over into another, inside the kernel and in slices: a
 * program that user space runs (BPF_PROG_TYPE_SYSCALL, Linux 5.14) goes on where the one before
 * it stopped, and stops when its time is over, so that whatever else wants the CPU gets it.
 *
 * The nodes of an LRU map are made with it and lie one behind the other until it goes
 * (prealloc_init of kernel/bpf/hashtab.c). They are read in that order, not by bucket: a reader
 * may stop at any of them, memory is read ahead, and an entry does not move from node to node,
 * so that none that stays is missed or met twice, whatever comes and goes meanwhile.
 *
 * The old map is only read. Of each of its entries that is in the new map, too, what both hold
 * in common of every counter is kept, and what the old one counts beyond that is added to the
 * new one. This may be done while programs write either, be repeated, ended at any moment, and
 * be done the other way round with the same numbers: the map that keeps them may outlive this
 * process.
 *
 * A lookup by a program marks an entry of an LRU map as used, and a map whose entries are all
 * marked has forgotten which of them are. So the new map is looked up only for what is not
 * known to be in it, and for what was used since it was carried.
 *
 * Nothing is ever stored over a key that is there: a full LRU map would evict for such a store,
 * and may overwrite what it was asked to keep. What is there is changed in place.
 *
 * A node is read whole by one call: beside the store, calls are what an entry costs (500,000
 * entries, seed and settle 979 ns each with two calls, 878 with one, medians of seven turns).
 * To fill the new map in the order of its buckets, which then stay in the cache, gains nothing:
 * the old nodes are read in no order then (seed 958 ns, with 16 or 64 parts 1,158 and 1,078).
 */
#include "move.h"

/* Nodes of a run at the most; bpf_loop refuses more than 8 million (BPF_MAX_LOOPS), and where
 * it is inlined it says so by a number that is not negative. */
#define MAX_NODES (1U << 20)

/* Where a pass is, and the node it looks at. */
struct walk {
	__u32 next;  /* number of the node that comes next; user space sets the first */
	__u32 end;   /* and the one behind the last */
	__u64 slice; /* nanoseconds that a run may take */
	__u64 until;
	__u64 elems; /* of the map that is walked */
	__u64 size;  /* of one of its nodes */
	__u64 old_elems;
	__u64 old_size;
	__u32 first;
	__u32 rest; /* hash of what is no counter in the value */
	__u64 there;
	__u8 node[MAX_HEAD + MAX_KEY + MAX_VALUE];
	__u8 again[MAX_HEAD];
	__u64 copy[MAX_LONGS];
};

struct walk walk = {};

/* Where the value of the node is that was read. */
#define VALUE_AT (KEY_AT + ((layout.key_size + 7) & ~7U))
#define VALUE	 ((__u64 *)(walk.node + VALUE_AT))

/*
 * What is known of the entry in each node of the old map: the hashes of its key and of what is
 * no counter in its value, 0 if nothing; and what both maps hold in common of each counter.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} known SEC(".maps");

/* Returns whether the node that was read is in the map. One that is not has no list to be in, a
 * pointer that is none (LIST_POISON2), or is free; its key may be half written. */
static __always_inline bool is_linked(const __u8 *node)
{
	const __u8 list = node[TYPE_AT];

	return list != LRU_LIST_FREE && list != LRU_LOCAL_LIST_FREE &&
	       *(const __u64 *)(node + LINKED_AT) >> 52 == 0xfff;
}

/* Returns whether the node held the same entry all the time since it was read first. */
static __always_inline bool is_whole(__u64 from)
{
	if (bpf_probe_read_kernel(walk.again, KEY_AT, (void *)from))
		return false;
	return is_linked(walk.again) &&
	       *(__u64 *)(walk.again + LINKED_AT) == *(__u64 *)(walk.node + LINKED_AT) &&
	       *(__u32 *)(walk.again + HASH_AT) == *(__u32 *)(walk.node + HASH_AT);
}

/* Make out what is no counter in the value that was read. */
static __always_inline void hash_value(__u32 counters)
{
	__u64 hash = 0;

	each_long(i)
	{
		if (i * 8 < layout.value_size && !(counters >> i & 1))
			hash = (hash ^ VALUE[i]) * 0x9e3779b97f4a7c15 ^ hash >> 29;
	}
	walk.rest = hash >> 32 ^ hash;
}

/* Returns what is known of a node of the old map. */
static __always_inline __u64 *known_at(__u32 number)
{
	return bpf_map_lookup_elem(&known, &number);
}

/* Returns what is known of the entry of the old map at this address. */
static __always_inline __u64 *known_of(const void *there)
{
	/* As a number, which a pointer is when it has been stored. */
	*(const void *volatile *)&walk.there = there;
	return known_at((*(volatile __u64 *)&walk.there - KEY_AT - walk.old_elems) /
			walk.old_size);
}

#define is_known(words, hash) ((__u32)(words)[0] == (hash))

/* What both maps hold in common of the counter that is 64-bit word `i`. */
#define each_counter(i, slot)                                                    \
	__u32 slot = 0;                                                          \
	_Pragma("clang loop unroll(full)") for (__u32 i = 0; i < MAX_LONGS;      \
						slot += layout.counters >> i++ & \
							1) if (layout.counters >> i & 1)

/* Returns whether the entry counted nothing since it was carried. */
static __always_inline bool is_even(const __u64 *words, __u32 counters)
{
	each_counter(i, slot)
	{
		if (counters >> i & 1 && VALUE[i] != words[1 + slot])
			return false;
	}
	return true;
}

/* Keep that the entry is in both maps, with the counters it has here. */
static __always_inline void know(__u64 *words, __u32 hash, __u32 counters)
{
	words[0] = hash | (__u64)walk.rest << 32;
	each_counter(i, slot)
	{
		words[1 + slot] = counters >> i & 1 ? VALUE[i] : 0;
	}
}

/* Add what is counted beyond what both hold in common. Returns whether there was any. */
static __always_inline bool add_counters(__u64 *words, bool common, __u32 counters, void *there)
{
	bool added = false;

	each_counter(i, slot)
	{
		__u64 more = VALUE[i] - (common ? words[1 + slot] : 0);

		if (counters >> i & 1 && more) {
			__sync_fetch_and_add((__u64 *)(there + i * 8), more);
			added = true;
		}
	}
	return added;
}

/* Make what the new entry has of what is no counter hold what either side knows.
 * Returns whether both had written it. */
static __always_inline bool join(__u32 counters, void *there)
{
	const bool newer = layout.lifetime_at != NOWHERE &&
			   *(__u32 *)((void *)VALUE + layout.lifetime_at) >
				   *(__u32 *)(there + layout.lifetime_at);
	bool touched = false;

	each_word(i)
	{
		/* A word of a counter that is no counter here keeps a service's backend. */
		if (i * 4 + 4 <= layout.value_size && !(counters >> (i / 2) & 1) &&
		    (layout.gathered[i] || layout.newest[i] || layout.largest >> i & 1))
			touched |= join_word(i, (__u32 *)VALUE + i, there + i * 4, newer);
	}
	return touched;
}

/* Of an entry that is in both maps: add what the old one has more. */
static __always_inline void merge(const void *key, __u32 hash, __u64 *words, void *there)
{
	const __u32 counters = counters_of(is_service(key));
	bool common = is_known(words, hash);

	count(present);
	if (!common)
		count(met);
	if (add_counters(words, common, counters, there)) {
		count(moved);
		count(counting);
		if (bpf_map_lookup_elem(&target, key) != there)
			count(replaced);
	}
	if (join(counters, there))
		count(touched);
	know(words, hash, counters);
}

/* Of an entry that was stored anew in another node while a fresh map was filled. */
static __always_inline void fill_anew(const void *key, __u32 hash, __u64 *words)
{
	const __u32 counters = counters_of(is_service(key));
	void *there = bpf_map_lookup_elem(&target, key);

	if (!there)
		return;
	each_long(i)
	{
		if (i * 8 + 8 <= layout.value_size)
			*(__u64 *)(there + i * 8) = VALUE[i];
	}
	know(words, hash, counters);
}

/* Let the entry that was read go over without its counts. */
static __always_inline void leave_counters(__u32 counters)
{
	each_long(i)
	{
		if (counters >> i & 1)
			VALUE[i] = 0;
	}
}

/* Store an entry under a key that is not there. Returns 0 or a negative errno. */
static __always_inline long store(const void *key, bool hot)
{
	long error = -ENOSPC;

	/* A full LRU map would throw others out for it. */
	if (state.result.carried < state.pass.free)
		error = bpf_map_update_elem(&target, key, VALUE, BPF_NOEXIST);
	if (!error) {
		count(carried);
		/* What was in use stays so: the kernel then takes the others first. */
		if (hot && layout.into_lru)
			bpf_map_lookup_elem(&target, key);
	} else if (error == -EEXIST) {
		/* By a program, since it was looked for: there is more to be added. */
		count(present);
		if (state.pass.counted)
			count(counting);
	} else {
		count(refused);
		count(absent);
		state.result.error = error;
	}
	return error;
}

/* Of a node whose entry went: that it had been carried. */
static __always_inline void forget(__u64 *words)
{
	if (words[0])
		count(gone);
	words[0] = 0;
}

/* Carry the entry that was read, or what it has that the new one has not. */
static __always_inline void carry(__u64 from, __u32 number)
{
	const void *key = walk.node + KEY_AT;
	const __u32 hash = hash_of(key);
	const __u32 counters = counters_of(is_service(key));
	const bool hot = walk.node[TYPE_AT] == LRU_LIST_ACTIVE || walk.node[REF_AT];
	__u64 *words = layout.reversed ? NULL : known_at(number);
	void *there = NULL;
	long error;

	count(seen);
	if (words && is_known(words, hash) && !state.pass.counted) {
		count(present);
		return;
	}
	hash_value(counters);
	if (words && is_known(words, hash) && words[0] >> 32 == walk.rest &&
	    is_even(words, counters)) {
		count(present);
		return;
	}
	if (!is_whole(from))
		return;
	if (words && !is_known(words, hash))
		forget(words);
	if (!state.pass.fresh)
		there = bpf_map_lookup_elem(&target, key);
	if (there && layout.reversed)
		words = known_of(there);
	if (there && words) {
		/* Of one that is there already more is only added where all is. */
		if (state.pass.counted)
			merge(key, hash, words, there);
		else
			count(present);
		return;
	}
	if (!is_taken(key, VALUE, hot)) {
		count(left_behind);
		count(absent);
		return;
	}
	if (layout.bare && !state.pass.counted)
		leave_counters(counters);
	error = store(key, hot);
	if (error == -EEXIST && state.pass.fresh && words && !layout.bare)
		fill_anew(key, hash, words);
	if (error)
		return;
	if (layout.reversed) {
		there = bpf_map_lookup_elem(&target, key);
		words = there ? known_of(there) : NULL;
	}
	if (words)
		know(words, hash, counters);
}

/* Read a node, at once: a call costs more than the bytes. Returns 0, or 1 where there is no
 * entry. */
static __always_inline long read_node(__u64 from)
{
	return bpf_probe_read_kernel(walk.node, VALUE_AT + layout.value_size, (void *)from) ||
	       !is_linked(walk.node);
}

/* Returns whether the time is over; looked at now and then. */
static __always_inline bool is_over(__u32 i)
{
	return i && !(i % 32) && bpf_ktime_get_ns() > walk.until;
}

/* Of the old map: count its ranks. */
static long survey_one(__u32 i, void *unused)
{
	const __u32 number = walk.first + i;
	const __u64 from = walk.elems + number * walk.size;
	const void *key = walk.node + KEY_AT;
	__u64 *many;
	__u32 rank;

	if (is_over(i))
		return 1;
	walk.next = number + 1;
	if (read_node(from))
		return 0;
	count(seen);
	rank = rank_of(key, VALUE, walk.node[TYPE_AT] == LRU_LIST_ACTIVE || walk.node[REF_AT],
		       state.pass.now);
	many = bpf_map_lookup_elem(&ranks, &rank);
	if (many)
		__sync_fetch_and_add(many, 1);
	return 0;
}

/* Of the old map: store what is not in the new one. */
static long seed_one(__u32 i, void *unused)
{
	const __u32 number = walk.first + i;
	const __u64 from = walk.elems + number * walk.size;
	__u64 *words;

	if (is_over(i))
		return 1;
	walk.next = number + 1;
	if (!read_node(from)) {
		carry(from, number);
	} else if (!layout.reversed) {
		words = known_at(number);
		if (words)
			forget(words);
	}
	return 0;
}

/* Find where the nodes are. Returns how many of them are to be looked at. */
static __always_inline __u32 begin(void)
{
	const struct bpf_htab *from = (void *)&source, *into = (void *)&target;

	walk.elems = (__u64)from->elems;
	walk.size = from->elem_size;
	walk.old_elems = layout.reversed ? (__u64)into->elems : walk.elems;
	walk.old_size = layout.reversed ? into->elem_size : walk.size;
	walk.first = walk.next;
	walk.until = bpf_ktime_get_ns() + walk.slice;
	return walk.end - walk.first < MAX_NODES ? walk.end - walk.first : MAX_NODES;
}

#define PASS(name, one)                                     \
	SEC("syscall") int name(void *ctx)                  \
	{                                                   \
		return bpf_loop(begin(), one, NULL, 0) < 0; \
	}

PASS(survey, survey_one)
PASS(seed, seed_one)

char LICENSE[] SEC("license") = "Dual MIT/GPL";
