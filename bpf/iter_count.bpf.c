// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts the entries of every map of the machine in one read().
 *
 * A bpf_map iterator (Linux 5.8) that asks the kernel for each map's element count (kfunc
 * bpf_map_sum_elem_count, Linux 6.6). CO-RE: loaded through libbpf, which finds the fields and
 * the kfunc in the running kernel's BTF.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NAME_LENGTH 16

/* The kernel's own structs, reduced to what is read here; libbpf fixes the offsets. */
struct bpf_map {
	enum bpf_map_type map_type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
	__u32 id;
	char name[NAME_LENGTH];
	__s64 *elem_count;
} __attribute__((preserve_access_index));

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
} __attribute__((preserve_access_index));

/* What read() gives for each map; ctconsole/kernel/counts.py mirrors it. */
struct count_record {
	__s64 count; /* -1: maps of this type are not counted */
	__u32 id;
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 flags;
	char name[NAME_LENGTH];
};

/* Sum over all CPUs; 0 for a map without a counter. */
extern __s64 bpf_map_sum_elem_count(const struct bpf_map *map) __ksym;

SEC("iter/bpf_map")
int count_maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;
	struct count_record record = {};

	/* The walk ends with one call without a map. */
	if (!map)
		return 0;

	record.count = map->elem_count ? bpf_map_sum_elem_count(map) : -1;
	record.id = map->id;
	record.type = map->map_type;
	record.key_size = map->key_size;
	record.value_size = map->value_size;
	record.max_entries = map->max_entries;
	record.flags = map->map_flags;
	/* A fault leaves zeros: a map without a name. */
	bpf_probe_read_kernel(record.name, sizeof(record.name), map->name);

	/* Too little room makes the kernel enlarge its buffer and call again for this map. */
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
