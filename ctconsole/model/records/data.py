"""Which of Cilium's other maps hold which bytes, for each generation: data, no code.

One table, `RECORDS`, drives every list. The bytes are in `structs`; conntrack maps have rules of
their own in `ctconsole.model.ct.layout`.
"""

from __future__ import annotations

from typing import Final

from ctconsole.model.ct.layout import KEY4, KEY6, Layout
from ctconsole.model.records import cells, structs
from ctconsole.model.records.spec import Form, ListColumn, RecordKind, RecordSpec


def _families() -> tuple[RecordSpec, ...]:
    """The maps that come as one for IPv4 and one for IPv6."""
    specs: list[RecordSpec] = []
    for family, address, tuple_ in ((4, 4, KEY4), (6, 16, KEY6)):
        lb = f"cilium_lb{family}_"
        specs += [
            RecordSpec(
                RecordKind.NAT,
                Layout.V1_9,
                rf"cilium_snat_v{family}_(external|local)|cilium_per_cluster_snat_v{family}_.*",
                tuple_,
                structs.nat_entry(address),
                cells.NAT_CELLS,
                "bpf/lib/nat.h, pkg/maps/nat",
            ),
            RecordSpec(
                RecordKind.SERVICE,
                Layout.V1_9,
                lb + "services_v2",
                structs.service_key(address),
                structs.SERVICE,
                cells.SERVICE_CELLS,
                "lb4_key, lb4_service; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_9,
                lb + "backends",
                structs.id_key("<u2"),
                structs.backend(address, address + 4),
                cells.BACKEND_CELLS,
                "lb4_backend; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_9,
                lb + "backends_v2",
                structs.id_key("<u4"),
                structs.backend(address, address + 4),
                cells.BACKEND_CELLS,
                "lb4_backend of 1.11 and 1.12; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_13,
                lb + "backends_v3",
                structs.id_key("<u4"),
                structs.backend(address, address + 8),
                (*cells.BACKEND_CELLS, *cells.ZONE_CELLS),
                "lb4_backend, Backend4ValueV3",
            ),
            RecordSpec(
                RecordKind.REVERSE_NAT,
                Layout.V1_9,
                lb + "reverse_nat",
                structs.id_key(">u2"),
                structs.reverse_nat(address),
                cells.REVERSE_NAT_CELLS,
                "lb4_reverse_nat",
            ),
            RecordSpec(
                RecordKind.AFFINITY,
                Layout.V1_9,
                lb + "affinity",
                structs.affinity_key(address),
                structs.AFFINITY,
                cells.AFFINITY_CELLS,
                "lb4_affinity_key, lb_affinity_val",
            ),
            RecordSpec(
                RecordKind.SOURCE_RANGE,
                Layout.V1_9,
                lb + "source_range",
                structs.source_range_key(address),
                structs.ONE_BYTE,
                cells.SOURCE_RANGE_CELLS,
                "lb4_src_range_key; SourceRangeKey4",
            ),
            RecordSpec(
                RecordKind.FRAGMENT,
                Layout.V1_9 if family == 4 else Layout.V1_18,  # noqa: PLR2004 - IP version
                f"cilium_ipv{family}_frag_datagrams",
                structs.FRAGMENT_KEY4 if family == 4 else structs.FRAGMENT_KEY6,  # noqa: PLR2004 - IP version
                structs.FRAGMENT,
                cells.FRAGMENT_CELLS,
                "bpf/lib/ipv4.h, bpf/lib/ipv6.h",
            ),
        ]
    return tuple(specs)


RECORDS: Final[tuple[RecordSpec, ...]] = (
    *_families(),
    RecordSpec(
        RecordKind.AFFINITY_MATCH,
        Layout.V1_9,
        "cilium_lb_affinity_match",
        structs.AFFINITY_MATCH,
        structs.ONE_BYTE,
        (ListColumn("rev_nat", "rev_nat_id"), ListColumn("backend_id", "backend_id")),
        "lb_affinity_match",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_9,
        r"cilium_policy_\d{5,}",
        structs.POLICY_KEY_1_9,
        structs.POLICY_COUNTED,
        (*cells.POLICY_CELLS, *cells.COUNTED_CELLS),
        "policy_key, policy_entry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_14,
        r"cilium_policy_\d{5,}",
        structs.POLICY_KEY_LPM,
        structs.POLICY_COUNTED,
        (
            *cells.POLICY_CELLS,
            *cells.COUNTED_CELLS,
            ListColumn("prefix_bits", "prefixlen", Form.PREFIX_BITS),
        ),
        "policy_key, policy_entry of 1.14 to 1.16",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_18,
        r"cilium_policy_v2_\d{5,}",
        structs.POLICY_KEY_LPM,
        structs.POLICY_V2,
        (*cells.POLICY_CELLS, *cells.V2_CELLS),
        "policy_key, policy_entry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_17,
        r"cilium_policy_v2_\d{5,}",
        structs.POLICY_KEY_LPM,
        structs.POLICY_COUNTED,
        (
            *cells.POLICY_CELLS,
            *cells.COUNTED_CELLS,
            ListColumn("prefix_bits", "prefixlen", Form.PREFIX_BITS),
        ),
        "policy_key, policy_entry of 1.17 under the name that 1.18 kept",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_19,
        r"cilium_policy_v[23]_\d{5,}",
        structs.POLICY_KEY_LPM,
        structs.POLICY_COOKIE,
        (*cells.POLICY_CELLS, *cells.V2_CELLS, ListColumn("cookie", "cookie")),
        "PolicyKey, PolicyEntry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY_STATS,
        Layout.V1_18,
        "cilium_policystats",
        structs.POLICY_STATS_KEY,
        structs.POLICY_STATS,
        cells.POLICY_STATS_CELLS,
        "StatsKey, StatsValue; pkg/maps/policymap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_9,
        "cilium_ipcache",
        structs.IPCACHE_KEY,
        structs.REMOTE_1_9,
        cells.IPCACHE_CELLS,
        "remote_endpoint_info; pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_13,
        "cilium_ipcache",
        structs.IPCACHE_KEY,
        structs.REMOTE_1_15,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "remote_endpoint_info; pkg/maps/ipcache; 1.11.14 and 1.12.10 have it, 1.11.12 and 1.12.6 "
        "have not",
        course=(Layout.V1_11, Layout.V1_12),
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_14,
        "cilium_ipcache",
        structs.IPCACHE_KEY_1_14,
        structs.REMOTE_1_15,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "ipcache_key of 1.14; pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_15,
        "cilium_ipcache",
        structs.IPCACHE_KEY,
        structs.REMOTE_1_15,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "ipcache_key, remote_endpoint_info; pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_18,
        "cilium_ipcache_v2",
        structs.IPCACHE_KEY,
        structs.REMOTE_V2,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "remote_endpoint_info (bpf/lib/eps.h); pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.ENDPOINT,
        Layout.V1_9,
        "cilium_lxc",
        structs.ENDPOINT_KEY,
        structs.ENDPOINT_INFO,
        cells.ENDPOINT_CELLS,
        "endpoint_key, endpoint_info; pkg/maps/lxcmap",
    ),
    RecordSpec(
        RecordKind.METRICS,
        Layout.V1_9,
        "cilium_metrics",
        structs.METRICS_KEY_1_9,
        structs.METRICS,
        cells.METRICS_CELLS,
        "metrics_key, metrics_value; pkg/maps/metricsmap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.METRICS,
        Layout.V1_16,
        "cilium_metrics",
        structs.METRICS_KEY_1_18,
        structs.METRICS,
        (*cells.METRICS_CELLS, *cells.PLACE_CELLS),
        "metrics_key, metrics_value; pkg/maps/metricsmap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.TUNNEL,
        Layout.V1_9,
        "cilium_tunnel_map",
        structs.ENDPOINT_KEY,
        structs.TUNNEL_VALUE,
        cells.TUNNEL_CELLS,
        "tunnel_key, tunnel_value; pkg/maps/tunnel",
    ),
)
"""Every record known, the older generation first."""
