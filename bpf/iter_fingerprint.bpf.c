// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Tells whether an LRU map is what it was, by a fingerprint of the memory its entries lie in.
 *
 * All entries of an LRU map, used and free ones, lie one behind the other in memory that is
 * allocated with the map. Reading that from the front costs a tenth of what a walk costs, which
 * goes through it from bucket to bucket. A freed entry keeps its bytes, and an entry that is
 * used or freed changes its place in the LRU lists, whose links lie in the same memory: nothing
 * comes and goes without a trace.
 *
 * A bpf_map iterator (Linux 5.8) with bpf_loop (Linux 5.17): it is not bound to the map, which
 * would otherwise have one user more and outlive its pin. CO-RE: loaded through libbpf, which
 * finds the fields in the running kernel's BTF.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "htab.h"

#define PAGE	   4096
#define PAGE_LONGS (PAGE / 8)
#define PAGES	   2048 /* of one call: 8 MB, a few milliseconds */
#define FACTOR	   0x9e3779b97f4a7c15ULL

struct bpf_iter__bpf_map {
	struct bpf_map *map;
} __attribute__((preserve_access_index));

/* The question and the answer so far; ctconsole/kernel/fingerprint.py mirrors it. */
struct fingerprint_state {
	__u64 hash;
	__u64 done;  /* bytes read so far */
	__u64 size;  /* bytes there are; 0 while the map was not met */
	__u32 id;    /* of the map */
	__s32 error; /* of a read that failed, a negative errno */
	__u64 page[PAGE_LONGS];
};

struct fingerprint_state state = {};

static long read_page(__u32 index, const void **elems)
{
	__u64 left = state.size - state.done, hash = state.hash;
	/* What lies behind the entries is not the map's. */
	__u32 size = left < PAGE ? left : PAGE;

	if (!left)
		return 1;
	state.error = bpf_probe_read_kernel(state.page, size, *elems + state.done);
	if (state.error)
		return 1;
	for (__u32 i = 0; i < PAGE_LONGS && i < size / 8; i++) {
		hash = (hash ^ state.page[i]) * FACTOR;
		hash ^= hash >> 32;
	}
	state.hash = hash;
	state.done += size;
	return 0;
}

SEC("iter/bpf_map")
int fingerprint(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct bpf_htab *table = (struct bpf_htab *)map;
	const void *elems;

	/* The walk ends with one call without a map. */
	if (!map || map->id != state.id || map->map_type != BPF_MAP_TYPE_LRU_HASH)
		return 0;
	elems = BPF_CORE_READ(table, elems);
	state.size = (__u64)BPF_CORE_READ(table, elem_size) * map->max_entries;
	bpf_loop(PAGES, read_page, &elems, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
