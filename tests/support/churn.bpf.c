// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Changes a conntrack table as fast as it can: counts on entries that stay, stores and deletes
 * others. A stand-in for a datapath under attack, run by user space again and again.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ROUNDS 1024

/* Of a key of the table; its first word is the number of the entry. */
struct key {
	__u32 number;
	__u8 rest[10];
} __attribute__((packed));

/* Read and written by user space. */
struct {
	__u8 rest[10]; /* what all keys have in common */
	__u16 pad;
	__u32 steady;	/* entries that stay have the numbers below this one */
	__u32 fleeting; /* so many others come and go, numbered from FLEETING on */
	__u32 lifetime;
	__u64 counted; /* packets added to entries that stay */
	__u64 missing; /* lookups of entries that stay which found none */
	__u64 changes; /* entries stored and deleted */
} churn;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(key_size, 14);
	__uint(value_size, 56);
	__uint(max_entries, 1);
} table SEC(".maps");

#define FLEETING 1000000

static void name(struct key *key, __u32 number)
{
	key->number = __builtin_bswap32(number);
	__builtin_memcpy(key->rest, (const void *)churn.rest, sizeof(key->rest));
}

SEC("syscall") int run(void *ctx)
{
	struct key key = {};

	for (int i = 0; i < ROUNDS; i++) {
		__u32 chance = bpf_get_prandom_u32();
		__u64 *value, fresh[7] = {};

		if (churn.steady) {
			name(&key, chance % churn.steady);
			value = bpf_map_lookup_elem(&table, &key);
			if (value) {
				__sync_fetch_and_add(value, 1);
				churn.counted++;
			} else {
				churn.missing++;
			}
		}
		if (!churn.fleeting)
			continue;
		name(&key, FLEETING + (chance >> 8) % churn.fleeting);
		if (bpf_map_delete_elem(&table, &key)) {
			fresh[0] = 1;
			((__u32 *)fresh)[8] = churn.lifetime;
			bpf_map_update_elem(&table, &key, fresh, BPF_ANY);
		}
		churn.changes++;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
