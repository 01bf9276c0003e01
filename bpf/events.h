/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs tell: records of packets in cilium_events, calls for the garbage collector
 * in cilium_signals. Both are perf event arrays. Without a reader, or when the reader is slow
 * and its ring full, a record is lost and the packet goes on as if it had been told.
 */
#ifndef CTCONSOLE_EVENTS_H
#define CTCONSOLE_EVENTS_H

#include "helpers.h"

/*
 * ENABLE_MONITOR: whether packets are told of at all.
 * MONITOR_AGGREGATION: how many of those that pass; the numbers are Cilium's.
 */
#ifndef ENABLE_MONITOR
#define ENABLE_MONITOR 1
#endif
#define TRACE_AGGREGATE_NONE	  0 /* every packet, wherever it is seen */
#define TRACE_AGGREGATE_RX	  1 /* not where it is received, only where it goes */
#define TRACE_AGGREGATE_ACTIVE_CT 3 /* and only when its connection's entry is reported */
#ifndef MONITOR_AGGREGATION
#define MONITOR_AGGREGATION TRACE_AGGREGATE_ACTIVE_CT
#endif

/* Bytes of a packet that are told. */
#ifndef TRACE_PAYLOAD_LEN
#define TRACE_PAYLOAD_LEN 128
#endif

static long (*const event_output)(struct __sk_buff *skb, void *map, __u64 flags,
				  const void *data,
				  __u64 size) = (void *)BPF_FUNC_perf_event_output;
static __u32 (*const hash_recalc)(struct __sk_buff *skb) = (void *)BPF_FUNC_get_hash_recalc;

/* What is to be told of a packet beside its bytes. */
struct sighting {
	__u32 src_label; /* 0 where not known */
	__u32 dst_label;
	__u8 state;  /* TRACE_REASON_* */
	bool report; /* the packet is its connection's first, or has brought something new */
};

/* Returns how many bytes of a packet are told. */
static __always_inline __u64 capture_length(const struct __sk_buff *skb)
{
	return skb->len < TRACE_PAYLOAD_LEN ? skb->len : TRACE_PAYLOAD_LEN;
}

/* Tell of a packet that is dropped. `source` and `dst_id` are endpoints, 0 for none. */
static __always_inline void notify_drop(struct __sk_buff *skb, __u8 reason, __u16 source,
					__u16 dst_id, const struct sighting *seen)
{
	const __u64 captured = capture_length(skb);
	struct drop_notify msg = {
		.header =
			{
				.type = CILIUM_NOTIFY_DROP,
				.subtype = reason,
				.source = source,
				.len_orig = skb->len,
				.len_cap = captured,
				.version = NOTIFY_CAPTURE_VER,
			},
		.src_label = seen->src_label,
		.dst_label = seen->dst_label,
		.dst_id = dst_id,
	};

	if (!ENABLE_MONITOR)
		return;
	msg.header.hash = hash_recalc(skb);
	event_output(skb, map_of(EVENTS_MAP), captured << 32 | BPF_F_CURRENT_CPU, &msg,
		     sizeof(msg));
}

/* Returns whether a packet that passes is to be told of, seen where it is received or not. */
static __always_inline bool trace_wanted(const struct sighting *seen, const bool received)
{
	if (!ENABLE_MONITOR)
		return false;
	if (MONITOR_AGGREGATION >= TRACE_AGGREGATE_RX && received)
		return false;
	return MONITOR_AGGREGATION < TRACE_AGGREGATE_ACTIVE_CT || seen->report;
}

/* Tell of a packet that passes, at a TRACE_* point. */
static __always_inline void notify_trace(struct __sk_buff *skb, const __u8 point, __u16 source,
					 __u16 dst_id, __u32 ifindex,
					 const struct sighting *seen)
{
	const bool received = point == TRACE_FROM_LXC || point == TRACE_FROM_NETWORK;
	const __u64 captured = capture_length(skb);
	struct trace_notify msg = {
		.header =
			{
				.type = CILIUM_NOTIFY_TRACE,
				.subtype = point,
				.source = source,
				.len_orig = skb->len,
				.len_cap = captured,
				.version = NOTIFY_CAPTURE_VER,
			},
		.src_label = seen->src_label,
		.dst_label = seen->dst_label,
		.dst_id = dst_id,
		.reason = seen->state,
		.ipv6 = net16_to_cpu(skb->protocol) == ETH_P_IPV6,
		.ifindex = ifindex,
	};

	if (!trace_wanted(seen, received))
		return;
	msg.header.hash = hash_recalc(skb);
	event_output(skb, map_of(EVENTS_MAP), captured << 32 | BPF_F_CURRENT_CPU, &msg,
		     sizeof(msg));
}

/* Call for the garbage collector: `signal` is a SIGNAL_*, `proto` a SIGNAL_PROTO_*. */
static __always_inline void send_signal(struct __sk_buff *skb, __u32 signal, __u32 proto)
{
	struct signal_msg msg = {.signal_nr = signal, .proto = proto};

	event_output(skb, map_of(SIGNAL_MAP), BPF_F_CURRENT_CPU, &msg, sizeof(msg));
}

#endif /* CTCONSOLE_EVENTS_H */
