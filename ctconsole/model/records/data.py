"""What the bytes of Cilium's other maps mean, for each generation: data, no code.

One table, `RECORDS`, drives every list. Conntrack maps have rules of their own in `layout`.
Numbers marked ``>`` are in network order, addresses are bytes in network order.

Sources are named with each record; C structs are those of ``bpf/lib/common.h`` unless said
otherwise. Field names are the C names of 1.9, or of the first release that has the field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import KEY4, KEY6, Layout
from ctconsole.model.records import cells
from ctconsole.model.records.spec import Form, ListColumn, RecordKind, RecordSpec

if TYPE_CHECKING:
    _Format: TypeAlias = str | tuple[str, tuple[int]]


def _struct(size: int, **fields: tuple[_Format, int]) -> np.dtype[np.void]:
    """A dtype of so many bytes with fields ``name=(format, offset)``."""
    return np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": size,
        }
    )


def _bytes(count: int) -> tuple[str, tuple[int]]:
    return ("u1", (count,))


def _nat_entry(address: int) -> np.dtype[np.void]:
    """``struct ipv4_nat_entry`` and ``ipv6_nat_entry`` (``bpf/lib/nat.h``).

    ``created`` is nanoseconds of CLOCK_MONOTONIC in 1.9 and the agent's clock (seconds, or
    jiffies / 256) later. ``needs_ct`` was called ``host_local`` in 1.9.
    """
    return _struct(
        {4: 40, 16: 56}[address],
        created=("<u8", 0),
        needs_ct=("<u8", 8),
        pad1=("<u8", 16),
        pad2=("<u8", 24),
        to_addr=(_bytes(address), 32),
        to_port=(">u2", 32 + address),
    )


def _service_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_key`` and ``lb6_key``; slot 0 is the frontend."""
    return _struct(
        address + 8,
        address=(_bytes(address), 0),
        dport=(">u2", address),
        backend_slot=("<u2", address + 2),
        proto=("u1", address + 4),
        scope=("u1", address + 5),
    )


_SERVICE: Final = _struct(
    12,
    backend_id=("<u4", 0),
    count=("<u2", 4),
    rev_nat_index=(">u2", 6),
    flags=("u1", 8),
    flags2=("u1", 9),
    qcount=("<u2", 10),
)
"""``struct lb4_service`` and ``lb6_service``. In slot 0 ``backend_id`` is the affinity timeout in
seconds; ``qcount`` (quarantined slots) was padding before 1.17."""


def _backend(address: int, size: int) -> np.dtype[np.void]:
    """``struct lb4_backend`` and ``lb6_backend``; the last two fields since ``backends_v3``."""
    fields: dict[str, tuple[_Format, int]] = {
        "address": (_bytes(address), 0),
        "port": (">u2", address),
        "proto": ("u1", address + 2),
        "flags": ("u1", address + 3),
    }
    if size >= address + 8:
        fields |= {"cluster_id": ("<u2", address + 4), "zone": ("u1", address + 6)}
    return _struct(size, **fields)


def _reverse_nat(address: int) -> np.dtype[np.void]:
    return _struct(address + 2, address=(_bytes(address), 0), port=(">u2", address))


def _affinity_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_affinity_key``: the client's address, or a network namespace's cookie."""
    client = max(address, 8)
    return _struct(
        client + 8,
        client_ip=(_bytes(address), 0),
        rev_nat_id=(">u2", client),
        netns_cookie=("u1", client + 2),
    )


def _source_range_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_src_range_key``."""
    return _struct(
        address + 8,
        prefixlen=("<u4", 0),
        rev_nat_id=(">u2", 4),
        address=(_bytes(address), 8),
    )


_AFFINITY: Final = _struct(16, last_used=("<u8", 0), backend_id=("<u4", 8))
_AFFINITY_MATCH: Final = _struct(8, backend_id=("<u4", 0), rev_nat_id=(">u2", 4))
_POLICY_KEY_1_9: Final = _struct(
    8, sec_label=("<u4", 0), dport=(">u2", 4), protocol=("u1", 6), egress=("u1", 7)
)
_POLICY_KEY_LPM: Final = _struct(
    12,
    prefixlen=("<u4", 0),
    sec_label=("<u4", 4),
    egress=("u1", 8),
    protocol=("u1", 9),
    dport=(">u2", 10),
)
"""``prefixlen`` counts the 40 bits of identity and direction, then protocol (8) and port (16)."""

POLICY_STATIC_PREFIX: Final = 40
"""Bits of a policy key's ``prefixlen`` for identity and direction."""

_POLICY_COUNTED: Final = _struct(
    24,
    proxy_port=(">u2", 0),
    flags=("u1", 2),
    auth_type=("u1", 3),
    pad1=("<u2", 4),
    pad2=("<u2", 6),
    packets=("<u8", 8),
    bytes=("<u8", 16),
)
_POLICY_V2: Final = _struct(
    8, proxy_port=(">u2", 0), flags=("u1", 2), auth_type=("u1", 3), precedence=("<u4", 4)
)
_POLICY_COOKIE: Final = _struct(
    12,
    proxy_port=(">u2", 0),
    flags=("u1", 2),
    auth_type=("u1", 3),
    precedence=("<u4", 4),
    cookie=("<u4", 8),
)
POLICY_STATS_KEY: Final = _struct(
    12,
    endpoint_id=("<u2", 0),
    prefix_len=("u1", 3),
    sec_label=("<u4", 4),
    egress=("u1", 8),
    protocol=("u1", 9),
    dport=(">u2", 10),
)
"""``prefix_len`` is the policy key's without the fixed part."""

_POLICY_STATS: Final = _struct(16, packets=("<u8", 0), bytes=("<u8", 8))
IPCACHE_STATIC_PREFIX: Final = 32
"""Bits of ``prefixlen`` in front of the address: cluster id, padding and family. Keys of source
ranges have as many: the service's id and padding."""

_IPCACHE_KEY: Final = _struct(
    24,
    prefixlen=("<u4", 0),
    cluster_id=("<u2", 4),
    family=("u1", 7),
    address=(_bytes(16), 8),
)
_REMOTE_1_9: Final = _struct(
    12, sec_label=("<u4", 0), tunnel_endpoint=(_bytes(4), 4), key=("u1", 8)
)
_REMOTE_1_15: Final = _struct(
    12,
    sec_label=("<u4", 0),
    tunnel_endpoint=(_bytes(4), 4),
    node_id=("<u2", 8),
    key=("u1", 10),
    flags=("u1", 11),
)
_REMOTE_V2: Final = _struct(
    24,
    sec_label=("<u4", 0),
    tunnel_endpoint=(_bytes(16), 4),
    key=("u1", 22),
    flags=("u1", 23),
)
ENDPOINT_KEY_IPV4: Final = 1
ENDPOINT_KEY_IPV6: Final = 2
"""``family`` of ipcache, endpoint and tunnel keys; IPv4 fills the first four bytes."""

_ENDPOINT_KEY: Final = _struct(
    20, address=(_bytes(16), 0), family=("u1", 16), key=("u1", 17), cluster_id=("<u2", 18)
)
_ENDPOINT_INFO: Final = _struct(
    48,
    ifindex=("<u4", 0),
    unused=("<u2", 4),
    lxc_id=("<u2", 6),
    flags=("<u4", 8),
    mac=(_bytes(6), 16),
    node_mac=(_bytes(6), 24),
    sec_id=("<u4", 32),
    parent_ifindex=("<u4", 36),
)
"""``struct endpoint_info``; ``sec_id`` since 1.13 and ``parent_ifindex`` since 1.17, 0 before."""

ENDPOINT_F_HOST: Final = 1
"""``flags`` of the addresses of the node itself."""

_METRICS_KEY_1_9: Final = _struct(8, reason=("u1", 0), dir=("u1", 1))
_METRICS_KEY_1_18: Final = _struct(
    8, reason=("u1", 0), dir=("u1", 1), line=("<u2", 2), file=("u1", 4)
)
_METRICS: Final = _struct(16, count=("<u8", 0), bytes=("<u8", 8))
_FRAGMENT_KEY4: Final = _struct(
    12, daddr=(_bytes(4), 0), saddr=(_bytes(4), 4), id=(">u2", 8), proto=("u1", 10)
)
_FRAGMENT_KEY6: Final = _struct(
    40, id=(">u4", 0), proto=("u1", 4), saddr=(_bytes(16), 8), daddr=(_bytes(16), 24)
)
_FRAGMENT: Final = _struct(4, sport=(">u2", 0), dport=(">u2", 2))

_TUNNEL_VALUE: Final = _struct(
    20, node_address=(_bytes(16), 0), node_family=("u1", 16), node_key=("u1", 17)
)


def _id(form: str) -> np.dtype[np.void]:
    size = np.dtype(form).itemsize
    return _struct(size, id=(form, 0))


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
                _nat_entry(address),
                cells.NAT_CELLS,
                "bpf/lib/nat.h, pkg/maps/nat",
            ),
            RecordSpec(
                RecordKind.SERVICE,
                Layout.V1_9,
                lb + "services_v2",
                _service_key(address),
                _SERVICE,
                cells.SERVICE_CELLS,
                "lb4_key, lb4_service; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_9,
                lb + "backends",
                _id("<u2"),
                _backend(address, address + 4),
                cells.BACKEND_CELLS,
                "lb4_backend; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_9,
                lb + "backends_v2",
                _id("<u4"),
                _backend(address, address + 4),
                cells.BACKEND_CELLS,
                "lb4_backend of 1.11 and 1.12; pkg/maps/lbmap",
            ),
            RecordSpec(
                RecordKind.BACKEND,
                Layout.V1_15,
                lb + "backends_v3",
                _id("<u4"),
                _backend(address, address + 8),
                (*cells.BACKEND_CELLS, *cells.ZONE_CELLS),
                "lb4_backend, Backend4ValueV3",
            ),
            RecordSpec(
                RecordKind.REVERSE_NAT,
                Layout.V1_9,
                lb + "reverse_nat",
                _id(">u2"),
                _reverse_nat(address),
                cells.REVERSE_NAT_CELLS,
                "lb4_reverse_nat",
            ),
            RecordSpec(
                RecordKind.AFFINITY,
                Layout.V1_9,
                lb + "affinity",
                _affinity_key(address),
                _AFFINITY,
                cells.AFFINITY_CELLS,
                "lb4_affinity_key, lb_affinity_val",
            ),
            RecordSpec(
                RecordKind.SOURCE_RANGE,
                Layout.V1_9,
                lb + "source_range",
                _source_range_key(address),
                _struct(1),
                cells.SOURCE_RANGE_CELLS,
                "lb4_src_range_key; SourceRangeKey4",
            ),
            RecordSpec(
                RecordKind.FRAGMENT,
                Layout.V1_9 if family == 4 else Layout.V1_18,  # noqa: PLR2004 - IP version
                f"cilium_ipv{family}_frag_datagrams",
                _FRAGMENT_KEY4 if family == 4 else _FRAGMENT_KEY6,  # noqa: PLR2004 - IP version
                _FRAGMENT,
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
        _AFFINITY_MATCH,
        _struct(1),
        (ListColumn("rev_nat", "rev_nat_id"), ListColumn("backend_id", "backend_id")),
        "lb_affinity_match",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_9,
        r"cilium_policy_\d{5,}",
        _POLICY_KEY_1_9,
        _POLICY_COUNTED,
        (*cells.POLICY_CELLS, *cells.COUNTED_CELLS),
        "policy_key, policy_entry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_15,
        r"cilium_policy_\d{5,}",
        _POLICY_KEY_LPM,
        _POLICY_COUNTED,
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
        _POLICY_KEY_LPM,
        _POLICY_V2,
        (*cells.POLICY_CELLS, *cells.V2_CELLS),
        "policy_key, policy_entry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY,
        Layout.V1_17,
        r"cilium_policy_v2_\d{5,}",
        _POLICY_KEY_LPM,
        _POLICY_COUNTED,
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
        _POLICY_KEY_LPM,
        _POLICY_COOKIE,
        (*cells.POLICY_CELLS, *cells.V2_CELLS, ListColumn("cookie", "cookie")),
        "PolicyKey, PolicyEntry; pkg/maps/policymap",
    ),
    RecordSpec(
        RecordKind.POLICY_STATS,
        Layout.V1_18,
        "cilium_policystats",
        POLICY_STATS_KEY,
        _POLICY_STATS,
        cells.POLICY_STATS_CELLS,
        "StatsKey, StatsValue; pkg/maps/policymap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_9,
        "cilium_ipcache",
        _IPCACHE_KEY,
        _REMOTE_1_9,
        cells.IPCACHE_CELLS,
        "remote_endpoint_info; pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_12,
        "cilium_ipcache",
        _IPCACHE_KEY,
        _REMOTE_1_15,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "remote_endpoint_info; pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.IPCACHE,
        Layout.V1_18,
        "cilium_ipcache_v2",
        _IPCACHE_KEY,
        _REMOTE_V2,
        (*cells.IPCACHE_CELLS, cells.FLAGS_CELL),
        "remote_endpoint_info (bpf/lib/eps.h); pkg/maps/ipcache",
    ),
    RecordSpec(
        RecordKind.ENDPOINT,
        Layout.V1_9,
        "cilium_lxc",
        _ENDPOINT_KEY,
        _ENDPOINT_INFO,
        cells.ENDPOINT_CELLS,
        "endpoint_key, endpoint_info; pkg/maps/lxcmap",
    ),
    RecordSpec(
        RecordKind.METRICS,
        Layout.V1_9,
        "cilium_metrics",
        _METRICS_KEY_1_9,
        _METRICS,
        cells.METRICS_CELLS,
        "metrics_key, metrics_value; pkg/maps/metricsmap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.METRICS,
        Layout.V1_16,
        "cilium_metrics",
        _METRICS_KEY_1_18,
        _METRICS,
        (*cells.METRICS_CELLS, *cells.PLACE_CELLS),
        "metrics_key, metrics_value; pkg/maps/metricsmap",
        per_cpu=True,
    ),
    RecordSpec(
        RecordKind.TUNNEL,
        Layout.V1_9,
        "cilium_tunnel_map",
        _ENDPOINT_KEY,
        _TUNNEL_VALUE,
        cells.TUNNEL_CELLS,
        "tunnel_key, tunnel_value; pkg/maps/tunnel",
    ),
)
"""Every record known, the older generation first."""
