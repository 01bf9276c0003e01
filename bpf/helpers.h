/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What bcc and plain clang name differently: helpers of the kernel, byte order, slots. */
#ifndef CTCONSOLE_HELPERS_H
#define CTCONSOLE_HELPERS_H

#ifdef __KERNEL__
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/pkt_cls.h>
#else
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>
__u64 bpf_pseudo_fd(__u64 kind, __u64 slot) asm("llvm.bpf.pseudo");
#endif

#include "ctconsole_abi.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define NSEC_PER_S 1000000000ULL

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define cpu_to_net16(x) ((__be16)__builtin_bswap16(x))
#define cpu_to_net32(x) ((__be32)__builtin_bswap32(x))
#else
#define cpu_to_net16(x) ((__be16)(x))
#define cpu_to_net32(x) ((__be32)(x))
#endif
#define net16_to_cpu(x) ((__u16)cpu_to_net16((__u16)(x)))

#define read_once(x)	 (*(const volatile typeof(x) *)&(x))
#define write_once(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* A map bound at load time; a number of the endpoint the program is loaded for. */
#define map_of(slot)	  ((void *)bpf_pseudo_fd(SLOT_KIND_MAP, (slot)))
#define endpoint_of(slot) ((__u32)bpf_pseudo_fd(SLOT_KIND_ENDPOINT, (slot)))

static void *(*const map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*const map_update)(void *map, const void *key, const void *value,
				__u64 flags) = (void *)BPF_FUNC_map_update_elem;
static long (*const map_delete)(void *map, const void *key) = (void *)BPF_FUNC_map_delete_elem;
static __u64 (*const ktime_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*const skb_load)(const void *skb, __u32 off, void *to,
			      __u32 len) = (void *)BPF_FUNC_skb_load_bytes;
static long (*const skb_store)(struct __sk_buff *skb, __u32 off, const void *from, __u32 len,
			       __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static __s64 (*const csum_diff)(const __be32 *from, __u32 from_size, const __be32 *to,
				__u32 to_size, __wsum seed) = (void *)BPF_FUNC_csum_diff;
static long (*const l3_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to,
				     __u64 flags) = (void *)BPF_FUNC_l3_csum_replace;
static long (*const l4_csum_replace)(struct __sk_buff *skb, __u32 off, __u64 from, __u64 to,
				     __u64 flags) = (void *)BPF_FUNC_l4_csum_replace;
static __u32 (*const prandom)(void) = (void *)BPF_FUNC_get_prandom_u32;
static long (*const tail_call)(void *ctx, void *map, __u32 index) = (void *)BPF_FUNC_tail_call;

/* Returns seconds of CLOCK_MONOTONIC, the clock of every time in a ct_entry. */
static __always_inline __u32 now_seconds(void)
{
	return (__u32)(ktime_ns() / NSEC_PER_S);
}

#endif /* CTCONSOLE_HELPERS_H */
