/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs share that carry the entries of one map over into another: what they are
 * asked and answer, what the words of an entry are for, and in which order entries go where
 * there is no room for all.
 *
 * What the words of a value mean comes from the layout of the entries, in read-only data, which
 * the verifier knows as constants: a layout without counters costs no instruction for them.
 *
 * CO-RE: loaded through libbpf, which puts the two maps in their places and finds the fields of
 * an LRU node in the running kernel's BTF.
 */
#ifndef MOVE_H
#define MOVE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <stdbool.h>
#include <stddef.h>
#include "htab.h"

#define MAX_KEY	  64
#define MAX_VALUE 128
#define MAX_LONGS (MAX_VALUE / 8)
#define MAX_WORDS (MAX_VALUE / 4)
#define NOWHERE	  0xffffffff
#define TRIES	  8

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
	__u32 reversed;		/* carry: the old map is the target, on the way back */
	__u32 bare;		/* carry: counts stay in the old map until all are moved */
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
	__u64 met;	   /* carry: were in the new map before anything was known of them */
	__u64 gone;	   /* carry: had been carried, and another entry has their node */
	__s32 error;	   /* of the last refusal, a negative errno */
	__u32 pad;
};

/* What user space maps into its memory: what a pass is asked, and then what it has done. */
struct move_state {
	struct move_pass pass;
	struct move_result result;
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

#endif
