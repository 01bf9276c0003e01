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
 * What the words of a value mean comes from the layout of the entries, in read-only data, which
 * the verifier knows as constants: a layout without counters costs no instruction for them.
 *
 * CO-RE: loaded through libbpf, which puts the two maps in their places and finds the fields of
 * an LRU node in the running kernel's BTF.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <stdbool.h>
#include <stddef.h>

#define MAX_KEY	  64
#define MAX_VALUE 128
#define MAX_LONGS (MAX_VALUE / 8)
#define MAX_WORDS (MAX_VALUE / 4)
#define NOWHERE	  0xffffffff
#define TRIES	  8
#define BLOCK	  1024 /* nodes of one element of `known` */

/* Ranks, the first to go first: expired, closing, the others; in a class the less time left
 * first, then those not used of late. Kept in step with ctconsole/kernel/passes.py. */
#define RANK_SECONDS 65536
#define RANK_CLASS   (RANK_SECONDS * 2)
#define RANKS	     (RANK_CLASS * 3)

enum rank_class {
	RANK_EXPIRED,
	RANK_CLOSING,
	RANK_LIVE,
};

/* What the words of a value are for; mirrored by ctconsole/kernel/passes.py. */
struct move_layout {
	__u32 key_size;
	__u32 value_size;  /* bytes, a multiple of 4 */
	__u32 lifetime_at; /* offset of the __u32 an entry lives until, NOWHERE if none */
	__u32 flags_at;	   /* offset of the __u16 of flags, NOWHERE if none */
	__u32 closing;	   /* bits of the flags: one side has closed */
	__u32 service;	   /* bit of the key's last byte: counts less; 0 if there is none */
	__u32 counters;	   /* 64-bit words that are counters, one bit a word */
	__u32 service_counters; /* those of them that are counters in services, too */
	__u32 largest;		/* 32-bit words of which the larger one holds, one bit a word */
	__u32 is_lru;		/* nodes of the old map have a mark of use */
	__u32 into_lru;		/* those of the new one */
	__u32 known;		/* nodes that `known` keeps, a power of two; 0: it keeps none */
	__u32 gathered[MAX_WORDS]; /* bits of each 32-bit word that once set stay set */
	__u32 newest[MAX_WORDS];   /* bits of each that the younger entry knows better */
};

/* What one pass is asked; written before each. */
struct move_pass {
	__u64 cut;   /* entries of a lower rank stay behind */
	__s64 spare; /* so many entries of rank `cut` go over */
	__u32 now;   /* the clock of the lifetimes */
	__u32 share; /* with `shares` above 1: entries whose hash falls on this share only */
	__u32 shares;
	__u32 fresh;   /* seed: nobody uses the new map yet, and it has room for all */
	__u32 counted; /* seed: take counters along instead of leaving zeros */
	__u32 free;    /* seed: so many more entries have room in the new map */
};

/* What one pass has done. */
struct move_result {
	__u64 seen;	   /* entries of the map that was walked */
	__u64 carried;	   /* stored in the new map */
	__u64 present;	   /* were there already */
	__u64 left_behind; /* of too low a rank, and not in the new map */
	__u64 refused;	   /* the new map took none, or it has no room */
	__u64 moved;	   /* entries whose counters were moved */
	__u64 touched;	   /* of these, flags or lifetime were written on both sides */
	__u64 replaced;	   /* of these, stored anew by the datapath during the move */
	__u64 contended;   /* words given up after TRIES changes by others */
	__u64 absent;	   /* not in the new map afterwards */
	__u64 counting;	   /* counted seed: still hold a counter */
	__s32 error;	   /* of the last refusal, a negative errno */
	__u32 pad;
};

/* What user space maps into its memory: what a pass is asked, and then what it has done. */
struct move_state {
	struct move_pass pass;
	struct move_result result;
	__u64 first_node; /* where a pass came by a node first, counted from here */
};

struct bpf_lru_node {
	__u16 cpu;
	__u8 type;
	__u8 ref;
} __attribute__((preserve_access_index));

struct htab_elem {
	struct bpf_lru_node lru_node;
	char key[0];
} __attribute__((preserve_access_index));

/* Lists of nodes (kernel/bpf/bpf_lru_list.h). */
enum lru_list {
	LRU_LIST_ACTIVE, /* in use when the kernel last looked */
	LRU_LIST_INACTIVE,
	LRU_LIST_FREE,
	LRU_LOCAL_LIST_FREE,
};

const volatile struct move_layout layout = {};

struct move_state state = {};

/* The old map and the new one; libbpf puts them here, with their types and sizes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, 1);
} source SEC(".maps"), target SEC(".maps");

/* How many entries of the old map have each rank. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 8);
	__uint(max_entries, RANKS);
	__uint(map_flags, BPF_F_MMAPABLE);
} ranks SEC(".maps");

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

#define each_long(i) _Pragma("clang loop unroll(full)") for (__u32 i = 0; i < MAX_LONGS; i++)
#define each_word(i) _Pragma("clang loop unroll(full)") for (__u32 i = 0; i < MAX_WORDS; i++)

#define count(what) state.result.what++

/* Returns whether the entry belongs to a service, whose words mean other things. */
static __always_inline bool is_service(const void *key)
{
	if (!layout.service)
		return false;
	return *(const __u8 *)(key + layout.key_size - 1) & layout.service;
}

/* Returns the 64-bit words of this entry that are counters. */
static __always_inline __u32 counters_of(bool service)
{
	return service ? layout.service_counters : layout.counters;
}

/* What an LRU list knows of a node. */
struct lru_mark {
	__u8 list; /* enum lru_list */
	__u8 ref;
};

/* Returns the mark of the node of a key; a fault leaves zeros, as of one in use. */
static __always_inline struct lru_mark mark_of(const void *key)
{
	__u32 back = bpf_core_field_offset(struct htab_elem, key) -
		     bpf_core_field_offset(struct htab_elem, lru_node) -
		     bpf_core_field_offset(struct bpf_lru_node, type);
	struct lru_mark mark = {};

	bpf_probe_read_kernel(&mark, sizeof(mark), key - back);
	return mark;
}

/* Returns whether the entry was used since its list was last looked through. */
static __always_inline bool is_hot(const void *key)
{
	struct lru_mark mark;

	if (!layout.is_lru)
		return false;
	mark = mark_of(key);
	return mark.list == LRU_LIST_ACTIVE || mark.ref;
}

/* Returns a hash of the key that is not 0. */
static __always_inline __u32 hash_of(const void *key)
{
	__u32 hash = 0x811c9dc5;

	_Pragma("clang loop unroll(full)") for (__u32 i = 0; i < MAX_KEY; i += 2)
	{
		if (i + 2 <= layout.key_size)
			hash = (hash ^ *(const __u16 *)(key + i)) * 0x01000193;
	}
	return hash | 1;
}

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
	if (!state.first_node)
		state.first_node = at;
	/* Nodes may lie before the first as well as behind it. */
	node = (at + (size << 32) - state.first_node) / size & (layout.known - 1);
	number = node / BLOCK;
	block = bpf_map_lookup_elem(&known, &number);
	return block ? &block->nodes[node % BLOCK] : NULL;
}

/* Returns the rank of an entry; the lowest go first where there is no room for all. */
static __always_inline __u32 rank_of(const void *key, const void *value, bool hot, __u32 now)
{
	__u32 class = RANK_LIVE, left = 0;

	if (layout.flags_at != NOWHERE &&
	    *(const __u16 *)(value + layout.flags_at) & layout.closing)
		class = RANK_CLOSING;
	if (layout.lifetime_at != NOWHERE) {
		__u32 lifetime = *(const __u32 *)(value + layout.lifetime_at);

		if (lifetime <= now)
			class = RANK_EXPIRED;
		else
			left = lifetime - now;
		if (left >= RANK_SECONDS)
			left = RANK_SECONDS - 1;
	}
	return class * RANK_CLASS + left * 2 + hot;
}

/* Returns whether the entry is one of this pass's share. */
static __always_inline bool is_mine(const __u32 hash)
{
	return state.pass.shares <= 1 || (hash >> 8) % state.pass.shares == state.pass.share;
}

/* Returns whether an entry of this rank goes over to the new map. */
static __always_inline bool is_taken(const void *key, const void *value, bool hot)
{
	__u64 rank;

	if (!state.pass.cut)
		return true;
	rank = rank_of(key, value, hot, state.pass.now);
	if (rank != state.pass.cut)
		return rank > state.pass.cut;
	return state.pass.spare-- > 0;
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

/* Returns whether an entry of the old map still holds a counter. */
static __always_inline bool is_counting(const void *key, const void *value)
{
	const __u32 counters = counters_of(is_service(key));

	each_long(i)
	{
		if (i * 8 + 8 <= layout.value_size && counters >> i & 1 &&
		    *(volatile __u64 *)(value + i * 8))
			return true;
	}
	return false;
}

/* Make one 32-bit word of the new entry hold what either side knows.
 * Returns whether both had written it. */
static __always_inline bool join_word(const __u32 i, const __u32 *from, __u32 *into, bool newer)
{
	const __u32 gathered = layout.gathered[i];
	const __u32 newest = newer ? layout.newest[i] : 0;
	const bool largest = layout.largest >> i & 1;
	__u32 theirs = *from;

	_Pragma("clang loop unroll(full)") for (int i = 0; i < TRIES; i++)
	{
		__u32 ours = *(volatile __u32 *)into, both;

		both = largest ? (theirs > ours ? theirs : ours)
			       : (ours & ~newest) | (theirs & newest) | (theirs & gathered);
		if (both == ours)
			return false;
		if (__sync_val_compare_and_swap(into, ours, both) == ours)
			return true;
	}
	count(contended);
	return true;
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
