"""What the bytes of a conntrack entry mean, for each version of Cilium: data, no code.

Everything that reads, renders, merges or resizes entries is driven by `LAYOUTS`, so that a new
version is one more `LayoutSpec` in that table. The value has been 56 bytes since Cilium 1.4,
so its size does not tell the layout: an operator names it, or `guess_layout` looks at the entries.

Sources: ``bpf/lib/common.h``, ``pkg/maps/ctmap/types.go`` and ``pkg/u8proto/u8proto.go`` of
Cilium 1.9 to 1.20, and dumps of real maps of 1.9 and 1.18.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]
    _Format: TypeAlias = str | tuple[str, tuple[int]]


def _key(address: int) -> np.dtype[np.void]:
    """A CT tuple with addresses of so many bytes; packed, everything in network order."""
    base = 2 * address
    return np.dtype(
        {
            "names": ["daddr", "saddr", "dport", "sport", "nexthdr", "flags"],
            "formats": [("u1", (address,)), ("u1", (address,)), ">u2", ">u2", "u1", "u1"],
            "offsets": [0, address, base, base + 2, base + 4, base + 5],
            "itemsize": base + 6,
        }
    )


KEY4: Final = _key(4)
"""``struct ipv4_ct_tuple``, 14 bytes. IN and OUT entries keep the connection's source in
``daddr`` and its destination in ``saddr`` with natural ports; SERVICE entries have natural
addresses and exchanged ports (cilium#5848). `CtTable` gives both ends as a person means them."""

KEY6: Final = _key(16)
"""``struct ipv6_ct_tuple``, 38 bytes; the same fields with addresses of 16 bytes."""

KEYS: Final[Mapping[int, np.dtype[np.void]]] = MappingProxyType({14: KEY4, 38: KEY6})
"""Key dtypes by key size in bytes."""

VALUE_SIZE: Final = 56
"""Bytes of ``struct ct_entry`` in every layout known."""

LIFETIME_AT: Final = 32
"""Where its ``lifetime`` is, in every layout known; u4."""


REPORTS: Final = slice(48, 56)
"""Where a value has the two times at which it was last seen, 32 bits each, in every layout."""


class TupleFlag(IntFlag):
    """``flags`` of a key (``bpf/lib/common.h``, unchanged from 1.9 to 1.18)."""

    TUPLE_F_OUT = 0
    TUPLE_F_IN = 1
    TUPLE_F_RELATED = 2
    TUPLE_F_SERVICE = 4


TUPLE_F_OUT: Final = TupleFlag.TUPLE_F_OUT
TUPLE_F_IN: Final = TupleFlag.TUPLE_F_IN
TUPLE_F_RELATED: Final = TupleFlag.TUPLE_F_RELATED
TUPLE_F_SERVICE: Final = TupleFlag.TUPLE_F_SERVICE


class CtFlag(IntFlag):
    """Bits of the value's ``flags`` whose meaning is the same in every layout."""

    RX_CLOSING = 0x1
    TX_CLOSING = 0x2
    NAT46 = 0x4
    LB_LOOPBACK = 0x8
    SEEN_NON_SYN = 0x10
    NODE_PORT = 0x20
    PROXY_REDIRECT = 0x40
    DSR = 0x80
    FROM_L7LB = 0x100
    FROM_TUNNEL = 0x400


class TcpFlag(IntFlag):
    """TCP header bits kept in ``tx_flags_seen`` and ``rx_flags_seen``."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class IpProtocol(IntEnum):
    """IP protocols the rules of a conntrack table depend on."""

    ICMP = 1
    TCP = 6
    UDP = 17
    ICMPV6 = 58
    SCTP = 132


class Layout(StrEnum):
    """A version of the value's layout, named after the Cilium release it was read from."""

    V1_9 = "1.9"
    V1_10 = "1.10"
    V1_11 = "1.11"
    V1_12 = "1.12"
    V1_13 = "1.13"
    V1_14 = "1.14"
    V1_15 = "1.15"
    V1_16 = "1.16"
    V1_17 = "1.17"
    V1_18 = "1.18"
    V1_19 = "1.19"
    V1_20 = "1.20"


def since(layout: Layout, first: Layout) -> bool:
    """Whether a release is ``first`` or a later one."""
    order = list(Layout)
    return order.index(layout) >= order.index(first)


class Notation(StrEnum):
    """How Cilium's text prints a number."""

    DECIMAL = "decimal"
    HEX2 = "hex2"
    FLAGS = "flags"


@dataclass(frozen=True, slots=True)
class TextField:
    """One ``Label=value`` of Cilium's text: the field and its form; the label ends with ``=``."""

    label: str
    field: str
    form: Notation = Notation.DECIMAL


@dataclass(frozen=True, slots=True)
class LayoutSpec:
    """All that differs between two versions.

    Attributes:
        layout: the version's name.
        value: dtype of the value, 56 bytes; ``rev_nat_index`` is in network order, the rest in
            host order. Fields may overlap where a union does.
        counters: fields that only ever grow by addition.
        service_counters: those of them that count in SERVICE entries too.
        text: what `ct list` of that version prints after ``expires=``, in its order.
        json: names and fields of the value in that version's JSON, in its order.
        flag_names: names by bit, least significant first; empty for a bit that is known but
            printed by nobody. Bits past the end are printed as unknown.
        protocols: names by IP protocol; others are printed as numbers.
        service_direction: whether a SERVICE entry has the direction ``SVC`` and is shown the
            natural way round (Cilium 1.15 and later) instead of the word ``service``.
        json_repeats_key: whether the tool's JSON shows the map's last key for every entry
            (seen with 1.9.0-rc1).
        skips_missing_maps: whether a missing map is skipped with a message instead of ending
            the listing.
        any_value_size: whether the tool lists a map whose values are not of 56 bytes, as if zeros
            followed short ones and without the end of long ones; the others end the listing
            ("buffer too small").
        mapped_ipv6: whether the lists print an IPv4 address inside an IPv6 one as
            ``::ffff:10.0.0.1``; the others print ``10.0.0.1``.
    """

    layout: Layout
    value: np.dtype[np.void]
    counters: tuple[str, ...]
    service_counters: tuple[str, ...]
    text: tuple[TextField, ...]
    json: tuple[tuple[str, str], ...]
    flag_names: tuple[str, ...]
    protocols: Mapping[int, str]
    service_direction: bool
    json_repeats_key: bool
    skips_missing_maps: bool
    any_value_size: bool = False
    mapped_ipv6: bool = False

    @property
    def known_flags(self) -> int:
        """The bits that have a meaning in this version."""
        return (1 << len(self.flag_names)) - 1


_TAIL: Final[Mapping[str, tuple[str, int]]] = {
    "lifetime": ("<u4", LIFETIME_AT),
    "flags": ("<u2", 36),
    "rev_nat_index": (">u2", 38),
    "tx_flags_seen": ("u1", 42),
    "rx_flags_seen": ("u1", 43),
    "src_sec_id": ("<u4", 44),
    "last_tx_report": ("<u4", 48),
    "last_rx_report": ("<u4", 52),
}
"""The fields that never moved; ``src_sec_id`` even says so in the C header."""


def _value(**head: tuple[_Format, int]) -> np.dtype[np.void]:
    """The dtype of fields ``name=(format, offset)`` followed by the ones that never moved."""
    fields: dict[str, tuple[_Format, int]] = {**head, **_TAIL}
    return np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": VALUE_SIZE,
        }
    )


_PROTOCOLS_1_9: Final = {0: "ANY", 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}
_FLAGS_1_9: Final = (
    "RxClosing",
    "TxClosing",
    "Nat64",
    "LBLoopback",
    "SeenNonSyn",
    "NodePort",
    "ProxyRedirect",
    "DSR",
)

_V1_9: Final = LayoutSpec(
    layout=Layout.V1_9,
    value=_value(
        rx_packets=("<u8", 0),
        rx_bytes=("<u8", 8),
        # SERVICE entries keep the backend where others count received bytes.
        backend_id=("<u8", 8),
        tx_packets=("<u8", 16),
        tx_bytes=("<u8", 24),
        ifindex=("<u2", 40),
    ),
    counters=("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"),
    service_counters=("rx_packets", "tx_packets", "tx_bytes"),
    text=(
        TextField("RxPackets=", "rx_packets"),
        TextField("RxBytes=", "rx_bytes"),
        TextField("RxFlagsSeen=", "rx_flags_seen", Notation.HEX2),
        TextField("LastRxReport=", "last_rx_report"),
        TextField("TxPackets=", "tx_packets"),
        TextField("TxBytes=", "tx_bytes"),
        TextField("TxFlagsSeen=", "tx_flags_seen", Notation.HEX2),
        TextField("LastTxReport=", "last_tx_report"),
        TextField("Flags=", "flags", Notation.FLAGS),
        TextField("RevNAT=", "rev_nat_index"),
        TextField("SourceSecurityID=", "src_sec_id"),
        TextField("IfIndex=", "ifindex"),
    ),
    json=(
        ("RxPackets", "rx_packets"),
        ("RxBytes", "rx_bytes"),
        ("TxPackets", "tx_packets"),
        ("TxBytes", "tx_bytes"),
        ("Lifetime", "lifetime"),
        ("Flags", "flags"),
        ("RevNAT", "rev_nat_index"),
        ("IfIndex", "ifindex"),
        ("TxFlagsSeen", "tx_flags_seen"),
        ("RxFlagsSeen", "rx_flags_seen"),
        ("SourceSecurityID", "src_sec_id"),
        ("LastTxReport", "last_tx_report"),
        ("LastRxReport", "last_rx_report"),
    ),
    flag_names=_FLAGS_1_9,
    protocols=MappingProxyType(_PROTOCOLS_1_9),
    service_direction=False,
    json_repeats_key=True,
    skips_missing_maps=True,
    any_value_size=True,
)

# 0x200 was auth_required once; the tools neither name it nor call it unknown.
_FLAGS_1_15: Final = (*_FLAGS_1_9, "FromL7LB", "", "FromTunnel")
_FLAGS_1_16: Final = (*_FLAGS_1_9[:7], "DSRInternal", "FromL7LB", "", "FromTunnel")
_PROTOCOLS_1_15: Final = MappingProxyType(_PROTOCOLS_1_9 | {132: "SCTP"})

_V1_15: Final = replace(
    _V1_9,
    layout=Layout.V1_15,
    flag_names=_FLAGS_1_15,
    protocols=_PROTOCOLS_1_15,
    service_direction=True,
    json_repeats_key=False,
    skips_missing_maps=False,
    any_value_size=False,
)
"""1.9's fields with the names of 1.15 (``pkg/maps/ctmap/types.go``): ``SVC``, the flags FromL7LB
of 1.12 and FromTunnel of 1.14. 1.10 to 1.14 print the word ``service`` instead."""

_V1_14: Final = replace(_V1_15, layout=Layout.V1_14, service_direction=False)
"""1.15 but for the word ``service``, as 1.9 prints it."""

_V1_13: Final = replace(
    _V1_9,
    layout=Layout.V1_13,
    flag_names=(*_FLAGS_1_9, "FromL7LB", "AuthRequired"),
    protocols=_PROTOCOLS_1_15,
)
"""1.9 with one more protocol and the two flags that 1.13 names; FromTunnel is unknown to it. The
last release whose tool reads maps by itself: missing and short ones do not end its listing."""

_V1_10, _V1_11, _V1_12 = (
    replace(_V1_9, layout=layout) for layout in (Layout.V1_10, Layout.V1_11, Layout.V1_12)
)
"""Conntrack's entries as in 1.9, byte for byte in the tool's text; other lists differ."""


def _merged_text(*last: TextField) -> tuple[TextField, ...]:
    """The text since 1.16, which counts both directions together, up to its last fields."""
    return (
        TextField("Packets=", "packets"),
        TextField("Bytes=", "bytes"),
        TextField("RxFlagsSeen=", "rx_flags_seen", Notation.HEX2),
        TextField("LastRxReport=", "last_rx_report"),
        TextField("TxFlagsSeen=", "tx_flags_seen", Notation.HEX2),
        TextField("LastTxReport=", "last_tx_report"),
        TextField("Flags=", "flags", Notation.FLAGS),
        TextField("RevNAT=", "rev_nat_index"),
        TextField("SourceSecurityID=", "src_sec_id"),
        *last,
    )


def _merged_json(
    head: tuple[tuple[str, str], ...], after_rev_nat: tuple[str, str]
) -> tuple[tuple[str, str], ...]:
    """The JSON since 1.16: what it begins with, and the field at offset 40."""
    return (
        *head,
        ("Packets", "packets"),
        ("Bytes", "bytes"),
        ("Lifetime", "lifetime"),
        ("Flags", "flags"),
        ("RevNAT", "rev_nat_index"),
        after_rev_nat,
        ("TxFlagsSeen", "tx_flags_seen"),
        ("RxFlagsSeen", "rx_flags_seen"),
        ("SourceSecurityID", "src_sec_id"),
        ("LastTxReport", "last_tx_report"),
        ("LastRxReport", "last_rx_report"),
    )


_BACKEND: Final = TextField("BackendID=", "backend_id")
_RESERVED: Final = (("Reserved0", "reserved0"), ("BackendID", "backend_id"))

_V1_18: Final = LayoutSpec(
    layout=Layout.V1_18,
    value=_value(
        reserved0=("<u8", 0),
        backend_id=("<u8", 8),
        packets=("<u8", 16),
        bytes=("<u8", 24),
        reserved4=("<u2", 40),
    ),
    counters=("packets", "bytes"),
    service_counters=("packets", "bytes"),
    text=_merged_text(_BACKEND),
    json=_merged_json(_RESERVED, ("Reserved4", "reserved4")),
    flag_names=_FLAGS_1_16,
    protocols=_PROTOCOLS_1_15,
    service_direction=True,
    json_repeats_key=False,
    skips_missing_maps=False,
)

_V1_16: Final = replace(
    _V1_18,
    layout=Layout.V1_16,
    value=_value(
        reserved0=("<u8", 0),
        backend_id=("<u8", 8),
        packets=("<u8", 16),
        bytes=("<u8", 24),
        ifindex=("<u2", 40),
    ),
    text=_merged_text(TextField("IfIndex=", "ifindex"), _BACKEND),
    json=_merged_json(_RESERVED, ("IfIndex", "ifindex")),
)
"""1.18 with the interface at offset 40, which 1.18 reserves. Cilium's pull request 32563 put
BackendID at the end of the line, behind IfIndex."""

_V1_17: Final = replace(_V1_16, layout=Layout.V1_17)
"""Conntrack's entries are those of 1.16; lists of services and policies differ."""

_V1_19: Final = replace(
    _V1_18,
    layout=Layout.V1_19,
    value=_value(
        nat_addr=(("u1", (16,)), 0),
        union0=(("<u8", (2,)), 0),
        reserved0=("<u8", 0),
        backend_id=("<u8", 8),
        packets=("<u8", 16),
        bytes=("<u8", 24),
        nat_port=(">u2", 40),
    ),
    text=_merged_text(_BACKEND, TextField("NatPort=", "nat_port")),
    json=_merged_json((("Union0", "union0"),), ("NatPort", "nat_port")),
    protocols=MappingProxyType({**_PROTOCOLS_1_15, 2: "IGMP", 112: "VRRP"}),
)
"""1.19: the first 16 bytes are the address that DSR replies leave with, or the backend; its port
follows at offset 40. Cilium's pull request 39872 gave IGMP and VRRP their names."""

_V1_20: Final = replace(
    _V1_19,
    layout=Layout.V1_20,
    protocols=MappingProxyType(
        {**_V1_19.protocols, 4: "IPIP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH"}
    ),
    mapped_ipv6=True,
)
"""1.19's entries; the tool names more protocols. 1.21 will put IPv6 addresses in brackets."""

LAYOUTS: Final[Mapping[Layout, LayoutSpec]] = MappingProxyType(
    {
        spec.layout: spec
        for spec in (
            *(_V1_9, _V1_10, _V1_11, _V1_12, _V1_13, _V1_14),
            *(_V1_15, _V1_16, _V1_17, _V1_18, _V1_19, _V1_20),
        )
    }
)
"""Every layout known, oldest first."""


def value_dtype(layout: Layout) -> np.dtype[np.void]:
    """The numpy dtype of a value, 56 bytes, in this layout."""
    return LAYOUTS[layout].value


def lifetimes(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """When each of these raw values expires; at the same place in every layout.

    Args:
        values: u1 of shape (n, `VALUE_SIZE`).
    """
    column = np.ascontiguousarray(values[:, LIFETIME_AT : LIFETIME_AT + 4])
    return column.view(np.uint32).reshape(-1)
