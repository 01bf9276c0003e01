"""The bytes of Cilium's other maps as C structs, each as a numpy dtype.

Numbers marked ``>`` are in network order, addresses are bytes in network order. Functions take
the bytes of an address, 4 or 16, for what comes in both families.

C structs are those of ``bpf/lib/common.h`` unless said otherwise; which map has which is in
`ctconsole.model.records.data`. Field names are the C names of 1.9, or of the first release that
has the field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

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


def nat_entry(address: int) -> np.dtype[np.void]:
    """``struct ipv4_nat_entry`` and ``ipv6_nat_entry`` (``bpf/lib/nat.h``).

    ``created`` is the agent's clock (seconds, or jiffies / 256), though the tools up to 1.14.4 take
    it for nanoseconds of CLOCK_MONOTONIC. ``needs_ct`` was called ``host_local`` up to 1.12.
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


def service_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_key`` and ``lb6_key``; slot 0 is the frontend."""
    return _struct(
        address + 8,
        address=(_bytes(address), 0),
        dport=(">u2", address),
        backend_slot=("<u2", address + 2),
        proto=("u1", address + 4),
        scope=("u1", address + 5),
    )


SERVICE: Final = _struct(
    12,
    backend_id=("<u4", 0),
    count=("<u2", 4),
    rev_nat_index=(">u2", 6),
    flags=("u1", 8),
    flags2=("u1", 9),
    qcount=("<u2", 10),
)
"""``struct lb4_service`` and ``lb6_service``. In slot 0 ``backend_id`` is the affinity timeout in
seconds, since 1.17 in its lower 24 bits below the algorithm (`LB_ALGORITHMS`), or the port of a
proxy in network order (``pkg/loadbalancer/maps/types.go``); ``qcount`` (quarantined slots) was
padding before 1.17."""

LB_TIMEOUT_BITS: Final = 24
LB_ALGORITHMS: Final = ("", "random", "maglev", "custom")
"""By the upper bits of slot 0: ``SVCLoadBalancingAlgorithm`` of ``pkg/loadbalancer``."""


def backend(address: int, size: int) -> np.dtype[np.void]:
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


def reverse_nat(address: int) -> np.dtype[np.void]:
    """``struct lb4_reverse_nat`` and ``lb6_reverse_nat``."""
    return _struct(address + 2, address=(_bytes(address), 0), port=(">u2", address))


def affinity_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_affinity_key``: the client's address, or a network namespace's cookie."""
    client = max(address, 8)
    return _struct(
        client + 8,
        client_ip=(_bytes(address), 0),
        rev_nat_id=(">u2", client),
        netns_cookie=("u1", client + 2),
    )


def source_range_key(address: int) -> np.dtype[np.void]:
    """``struct lb4_src_range_key``."""
    return _struct(
        address + 8,
        prefixlen=("<u4", 0),
        rev_nat_id=(">u2", 4),
        address=(_bytes(address), 8),
    )


ONE_BYTE: Final = _struct(1)
"""A value that says nothing: the key being there is all."""

AFFINITY: Final = _struct(16, last_used=("<u8", 0), backend_id=("<u4", 8))
AFFINITY_MATCH: Final = _struct(8, backend_id=("<u4", 0), rev_nat_id=(">u2", 4))
POLICY_KEY_1_9: Final = _struct(
    8, sec_label=("<u4", 0), dport=(">u2", 4), protocol=("u1", 6), egress=("u1", 7)
)
POLICY_KEY_LPM: Final = _struct(
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

POLICY_COUNTED: Final = _struct(
    24,
    proxy_port=(">u2", 0),
    flags=("u1", 2),
    auth_type=("u1", 3),
    pad1=("<u2", 4),
    pad2=("<u2", 6),
    packets=("<u8", 8),
    bytes=("<u8", 16),
)
POLICY_V2: Final = _struct(
    8, proxy_port=(">u2", 0), flags=("u1", 2), auth_type=("u1", 3), precedence=("<u4", 4)
)
POLICY_COOKIE: Final = _struct(
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

POLICY_STATS: Final = _struct(16, packets=("<u8", 0), bytes=("<u8", 8))
IPCACHE_STATIC_PREFIX: Final = 32
"""Bits of ``prefixlen`` in front of the address: cluster id, padding and family. Keys of source
ranges have as many: the service's id and padding."""

IPCACHE_KEY: Final = _struct(
    24,
    prefixlen=("<u4", 0),
    cluster_id=("<u2", 4),
    family=("u1", 7),
    address=(_bytes(16), 8),
)
IPCACHE_KEY_1_14: Final = _struct(
    24,
    prefixlen=("<u4", 0),
    cluster_id=("u1", 6),
    family=("u1", 7),
    address=(_bytes(16), 8),
)
REMOTE_1_9: Final = _struct(12, sec_label=("<u4", 0), tunnel_endpoint=(_bytes(4), 4), key=("u1", 8))
REMOTE_1_15: Final = _struct(
    12,
    sec_label=("<u4", 0),
    tunnel_endpoint=(_bytes(4), 4),
    node_id=("<u2", 8),
    key=("u1", 10),
    flags=("u1", 11),
)
REMOTE_V2: Final = _struct(
    24,
    sec_label=("<u4", 0),
    tunnel_endpoint=(_bytes(16), 4),
    key=("u1", 22),
    flags=("u1", 23),
)
ENDPOINT_KEY_IPV4: Final = 1
ENDPOINT_KEY_IPV6: Final = 2
"""``family`` of ipcache, endpoint and tunnel keys; IPv4 fills the first four bytes."""

ENDPOINT_KEY: Final = _struct(
    20, address=(_bytes(16), 0), family=("u1", 16), key=("u1", 17), cluster_id=("<u2", 18)
)
ENDPOINT_INFO: Final = _struct(
    48,
    ifindex=("<u4", 0),
    unused=("<u2", 4),
    lxc_id=("<u2", 6),
    flags=("<u4", 8),
    rt_info=("<u4", 12),
    mac=(_bytes(6), 16),
    node_mac=(_bytes(6), 24),
    sec_id=("<u4", 32),
    parent_ifindex=("<u4", 36),
)
"""``struct endpoint_info``; ``sec_id`` since 1.14, ``parent_ifindex`` since 1.17 and ``rt_info``
since 1.20, 0 before."""

ENDPOINT_F_HOST: Final = 1
"""``flags`` of the addresses of the node itself."""

METRICS_KEY_1_9: Final = _struct(8, reason=("u1", 0), dir=("u1", 1))
METRICS_KEY_1_18: Final = _struct(
    8, reason=("u1", 0), dir=("u1", 1), line=("<u2", 2), file=("u1", 4)
)
METRICS: Final = _struct(16, count=("<u8", 0), bytes=("<u8", 8))
FRAGMENT_KEY4: Final = _struct(
    12, daddr=(_bytes(4), 0), saddr=(_bytes(4), 4), id=(">u2", 8), proto=("u1", 10)
)
FRAGMENT_KEY6: Final = _struct(
    40, id=(">u4", 0), proto=("u1", 4), saddr=(_bytes(16), 8), daddr=(_bytes(16), 24)
)
FRAGMENT: Final = _struct(4, sport=(">u2", 0), dport=(">u2", 2))

TUNNEL_VALUE: Final = _struct(
    20, node_address=(_bytes(16), 0), node_family=("u1", 16), node_key=("u1", 17)
)


def id_key(form: str) -> np.dtype[np.void]:
    """A key that is one number, of this format."""
    size = np.dtype(form).itemsize
    return _struct(size, id=(form, 0))
