/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel's own structs of a hash map and of the nodes in which an LRU map keeps its
 * entries, reduced to what is read here; libbpf fixes the offsets (CO-RE).
 *
 * All nodes of an LRU map lie one behind the other in memory that is allocated with the map.
 */
#ifndef HTAB_H
#define HTAB_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>

#define MAX_HEAD 64 /* bytes of a node before its key */

struct bpf_map {
	enum bpf_map_type map_type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 id;
} __attribute__((preserve_access_index));

struct bpf_htab {
	struct bpf_map map;
	void *elems;
	__u32 elem_size;
} __attribute__((preserve_access_index));

struct bpf_lru_node {
	__u16 cpu;
	__u8 type;
	__u8 ref;
} __attribute__((preserve_access_index));

struct htab_elem {
	struct bpf_lru_node lru_node;
	__u32 hash;
	char key[0];
} __attribute__((preserve_access_index));

struct hlist_nulls_node {
	struct hlist_nulls_node *next, **pprev;
} __attribute__((preserve_access_index));

/* The same memory, seen as a link of its bucket's list. */
struct htab_elem___linked {
	struct hlist_nulls_node hash_node;
} __attribute__((preserve_access_index));

/* Lists of nodes (kernel/bpf/bpf_lru_list.h). */
enum lru_list {
	LRU_LIST_ACTIVE, /* in use when the kernel last looked */
	LRU_LIST_INACTIVE,
	LRU_LIST_FREE,
	LRU_LOCAL_LIST_FREE,
};

#define KEY_AT	bpf_core_field_offset(struct htab_elem, key)
#define HASH_AT bpf_core_field_offset(struct htab_elem, hash)
#define TYPE_AT                                              \
	(bpf_core_field_offset(struct htab_elem, lru_node) + \
	 bpf_core_field_offset(struct bpf_lru_node, type))
#define REF_AT                                               \
	(bpf_core_field_offset(struct htab_elem, lru_node) + \
	 bpf_core_field_offset(struct bpf_lru_node, ref))
#define LINKED_AT                                                      \
	(bpf_core_field_offset(struct htab_elem___linked, hash_node) + \
	 bpf_core_field_offset(struct hlist_nulls_node, pprev))

#endif
