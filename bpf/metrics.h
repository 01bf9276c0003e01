/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef CTCONSOLE_METRICS_H
#define CTCONSOLE_METRICS_H

#include "helpers.h"

/*
 * Count one packet in cilium_metrics. A full table loses the count and nothing else: the
 * keys are a few dozen, the table's capacity is 1024.
 */
static __always_inline void count_packet(__u32 bytes, __u8 dir, __u8 reason)
{
	struct metrics_key key = {.reason = reason, .dir = dir};
	struct metrics_value first = {.count = 1, .bytes = bytes};
	struct metrics_value *value = map_lookup(map_of(METRICS_MAP), &key);

	if (value) {
		/* Each CPU has a value of its own. */
		value->count += 1;
		value->bytes += bytes;
	} else {
		map_update(map_of(METRICS_MAP), &key, &first, BPF_ANY);
	}
}

#endif /* CTCONSOLE_METRICS_H */
