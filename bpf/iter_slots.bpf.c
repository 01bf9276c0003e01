// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The filled places of a program array.
 *
 * The kernel answers for one place at a time only, and Cilium has arrays of 65,535 places with
 * two or three in use. This looks at the array's pointers where they lie.
 *
 * A bpf_map iterator (Linux 5.8) with bpf_loop (Linux 5.17), not bound to the map: it must not
 * keep an array alive whose last user goes. CO-RE: loaded through libbpf, which finds the
 * fields in the running kernel's BTF.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define AT_ONCE 64   /* pointers that are read together */
#define READS	2048 /* of one call: 131,072 places */
#define MOST	256  /* filled places of one answer; a power of two */

/* The kernel's own structs, reduced to what is read here; libbpf fixes the offsets. */
struct bpf_map {
	enum bpf_map_type map_type;
	__u32 max_entries;
	__u32 id;
} __attribute__((preserve_access_index));

struct bpf_array {
	struct bpf_map map;
	void *ptrs[0];
} __attribute__((preserve_access_index));

struct bpf_prog_aux {
	__u32 id;
} __attribute__((preserve_access_index));

struct bpf_prog {
	struct bpf_prog_aux *aux;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map {
	struct bpf_map *map;
} __attribute__((preserve_access_index));

struct slot {
	__u32 place;
	__u32 program;
};

/* The question and the answer so far; ctconsole/kernel/slots.py mirrors it. */
struct slots_state {
	__u32 id;    /* of the map */
	__u32 size;  /* its places; 0 while the map was not met */
	__u32 done;  /* places looked at so far */
	__u32 count; /* of them filled, since the last answer */
	__s32 error; /* of a read that failed, a negative errno */
	__u32 unused;
	struct slot found[MOST];
	__u64 pointers[AT_ONCE];
};

struct slots_state state = {};

static long look(__u32 index, const void **places)
{
	__u32 left = state.size - state.done;
	__u32 count = left < AT_ONCE ? left : AT_ONCE;

	/* An answer has room for all of a read, or the next call goes on. */
	if (!left || state.count > MOST - AT_ONCE)
		return 1;
	state.error = bpf_probe_read_kernel(state.pointers, count * sizeof(__u64),
					    *places + state.done * sizeof(__u64));
	if (state.error)
		return 1;
	for (__u32 i = 0; i < AT_ONCE && i < count; i++) {
		struct bpf_prog *program = (struct bpf_prog *)state.pointers[i];
		struct slot *slot = &state.found[state.count & (MOST - 1)];

		if (!program)
			continue;
		slot->place = state.done + i;
		slot->program = BPF_CORE_READ(program, aux, id);
		state.count++;
	}
	state.done += count;
	return 0;
}

SEC("iter/bpf_map")
int slots(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	const void *places;

	/* The walk ends with one call without a map. */
	if (!map || map->id != state.id || map->map_type != BPF_MAP_TYPE_PROG_ARRAY)
		return 0;
	state.size = map->max_entries;
	places = (const void *)map + bpf_core_field_offset(struct bpf_array, ptrs);
	bpf_loop(READS, look, &places, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
