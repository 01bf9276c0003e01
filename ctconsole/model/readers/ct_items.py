"""Conntrack entries out of JSON, YAML and CSV: what Cilium's tool prints, and our own listings.

The tool's JSON has addresses as lists of bytes, and everything that lies in network order as the
number a little-endian host reads. Our own says what a person means; what it has as names and
times of day is turned back into bits and stamps.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import (
    KEY4,
    KEY6,
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    IpProtocol,
    Layout,
    TcpFlag,
    value_dtype,
)
from ctconsole.model.readers.ct_entries import CtListing, last_of_each
from ctconsole.model.readers.lines import Told, ToldLines
from ctconsole.model.readers.text_clock import TextClock
from ctconsole.model.whose import MOST_NODES, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Item: TypeAlias = Mapping[str, Any]

_IPV6: Final = 16
_LONGEST_NAME: Final = 400


class CtItems(NamedTuple):
    """What was read.

    Attributes:
        listings: of each node and layout.
        clocks: what our own listings tell of the clock of each node.
        bad: how many objects are no entries.
        first_bad: the number of the first of them, from 1.
        repeated: entries that came twice; the last one of each counts.
        told: lines that are no objects.
        untold: how many more there were.
    """

    listings: tuple[CtListing, ...]
    clocks: dict[Whose, TextClock]
    bad: int
    first_bad: int
    repeated: int
    told: tuple[Told, ...]
    untold: int


class _Read(NamedTuple):
    """One entry: where it belongs, its key, and its value's fields by name."""

    whose: Whose
    layout: Layout
    key: bytes
    tcp: bool
    fields: dict[str, Any]


def is_tools(item: Item) -> bool:
    """Whether an object is an entry as Cilium's tool prints it."""
    key = item.get("Key")
    return isinstance(key, dict) and "DestAddr" in key and "Lifetime" in (item.get("Value") or {})


def is_ours(item: Item) -> bool:
    """Whether an object is an entry of our own listings."""
    return {"source", "source_port", "destination", "lifetime", "rev_nat"} <= item.keys()


def read_ct_items(items: Iterable[Item | Told]) -> CtItems:
    """Read entries, one by one; what is none is counted."""
    groups: dict[tuple[Whose, Layout, bool, int], tuple[bytearray, bytearray]] = {}
    clocks: dict[Whose, TextClock] = {}
    told, named = ToldLines(), Named()
    count = bad = first_bad = 0
    for item in items:
        if isinstance(item, Told):
            told.take(item)
            continue
        count += 1
        try:
            one = _tools(item) if is_tools(item) else _ours(item, clocks)
            value = _record(one)
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
            bad += 1
            first_bad = first_bad or count
            continue
        place = named.one(one.whose or told.whose), one.layout, one.tcp, len(one.key)
        keys, values = groups.setdefault(place, (bytearray(), bytearray()))
        keys += one.key
        values += value
    found: dict[tuple[Whose, Layout], dict[str, tuple[Bytes, Bytes]]] = {}
    repeated = 0
    for (whose, layout, tcp, size), (key_bytes, value_bytes) in groups.items():
        all_keys = np.frombuffer(key_bytes, np.uint8).reshape(-1, size)
        all_values = np.frombuffer(value_bytes, np.uint8).reshape(len(all_keys), -1)
        kept, dropped = last_of_each(all_keys, all_values)
        repeated += dropped
        name = f"cilium_ct{'' if tcp else '_any'}{6 if size == KEY6.itemsize else 4}_global"
        found.setdefault((whose, layout), {})[name] = kept
    listings = tuple(CtListing(whose, layout, maps) for (whose, layout), maps in found.items())
    return CtItems(listings, clocks, bad, first_bad, repeated, tuple(told.first), told.more)


def _record(one: _Read) -> bytes:
    """The value's bytes.

    Raises:
        ValueError: a number does not fit; so too OverflowError.
        KeyError: the layout has no such field.
    """
    record = np.zeros(1, value_dtype(one.layout))
    for name, number in one.fields.items():
        record[name] = number
    return record.tobytes()


def _tools(item: Item) -> _Read:
    key, value = item["Key"], item["Value"]
    packed = _packed(key["DestAddr"]) + _packed(key["SourceAddr"])
    for name in ("DestPort", "SourcePort"):
        packed += int(key[name]).to_bytes(2, "little")
    packed += bytes([key["NextHeader"], key["Flags"]])
    _check(packed)
    layout, names = _json_names(frozenset(value))
    fields = {}
    for name, number in value.items():
        field = names.get(name)
        if field is None:
            continue
        dtype = value_dtype(layout)[field]
        # The host reads what lies in network order as if it were its own.
        swapped = dtype.byteorder == ">"
        fields[field] = (
            int.from_bytes(number.to_bytes(dtype.itemsize, "little")) if swapped else (number)
        )
    return _Read(Whose(), layout, packed, key["NextHeader"] == IpProtocol.TCP, fields)


@cache
def _json_names(names: frozenset[str]) -> tuple[Layout, dict[str, str]]:
    """The oldest layout whose JSON has most of these names, and its fields by name."""
    best = max(LAYOUTS.values(), key=lambda spec: len(names & {name for name, _ in spec.json}))
    return best.layout, dict(best.json)


def _packed(address: object) -> bytes:
    """An address as a list of bytes, or as text."""
    if isinstance(address, str):
        return ip_address(address).packed
    if isinstance(address, list) and len(address) in {4, _IPV6}:
        return bytes(address)
    raise ValueError("no address")


def _check(key: bytes) -> None:
    if len(key) not in {KEY4.itemsize, KEY6.itemsize}:
        raise ValueError("addresses of two families")


def _ours(item: Item, clocks: dict[Whose, TextClock]) -> _Read:
    if not is_ours(item):
        raise ValueError("no entry")
    whose = Whose(_short(item.get("node")), _short(item.get("pod")))
    source, target = (ip_address(str(item[end])).packed for end in ("source", "destination"))
    sport, dport = (_number(item[f"{end}_port"]) for end in ("source", "destination"))
    service = item["direction"] == "service"
    flags = int(TUPLE_F_SERVICE) * service | int(TUPLE_F_IN) * (item["direction"] == "in")
    flags |= int(TUPLE_F_RELATED) * (str(item.get("related")).lower() == "true")
    protocol = _protocol(str(item["protocol"]))
    first, second = (target, source) if service else (source, target)
    ports = (sport, dport) if service else (dport, sport)
    key = first + second + b"".join(port.to_bytes(2, "big") for port in ports)
    key += bytes([protocol, flags])
    _check(key)
    layout = _layout(item)
    lifetime = _number(item["lifetime"])
    fields: dict[str, Any] = {
        "lifetime": lifetime,
        "flags": sum(_flag(name) for name in _names(item.get("flags"))),
        "rev_nat_index": _number(item["rev_nat"]),
        "src_sec_id": _number(item.get("source_security_id")),
    }
    for name in ("rx_flags_seen", "tx_flags_seen"):
        fields[name] = sum(_tcp_flag(one) for one in _names(item.get(name)))
    for name in ("packets", "bytes", "rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "ifindex"):
        if name in (value_dtype(layout).names or ()):
            fields[name] = _number(item.get(name))
    if service:
        fields.pop("rx_bytes", None)
        fields["backend_id"] = _number(item.get("backend_id"))
    for name in ("last_rx_report", "last_tx_report"):
        fields[name] = _stamp(item, name, lifetime)
    if layout is Layout.V1_19:
        _translated(item, fields)
    remaining = item.get("remaining_seconds")
    if remaining not in {None, ""} and (whose in clocks or len(clocks) < MOST_NODES):
        clocks.setdefault(whose, TextClock()).add([(str(lifetime), str(remaining))])
    return _Read(whose, layout, key, protocol == IpProtocol.TCP, fields)


def _short(name: object) -> str:
    return str(name or "")[:_LONGEST_NAME]


def _translated(item: Item, fields: dict[str, Any]) -> None:
    """The address that answers of 1.19's DSR leave with, in the place of the backend."""
    address = item.get("nat_address")
    if address:
        raw = ip_address(str(address)).packed
        fields["nat_addr"] = np.frombuffer(raw.rjust(_IPV6, b"\0"), np.uint8)
        fields["nat_port"] = _number(item.get("nat_port"))
        fields.pop("backend_id", None)


def _layout(item: Item) -> Layout:
    """The layout that has the fields of an object."""
    if "nat_address" in item:
        return Layout.V1_19
    if "rx_packets" in item:
        later = {"FromL7LB", "FromTunnel", "SCTP"} & {*_names(item.get("flags")), item["protocol"]}
        return Layout.V1_15 if later else Layout.V1_9
    return Layout.V1_16 if "ifindex" in item else Layout.V1_18


def _number(value: object) -> int:
    """A number, 0 where it is not known."""
    return int(str(value)) if value not in {None, ""} else 0


def _names(value: object) -> Iterable[str]:
    """A list of names: of JSON, or in a cell of CSV."""
    if isinstance(value, list):
        return [str(one) for one in value]
    return str(value).split("|") if value else []


def _protocol(text: str) -> int:
    if text.isdigit():
        return int(text)
    return _protocols()[text]


@cache
def _protocols() -> dict[str, int]:
    return {name: number for spec in LAYOUTS.values() for number, name in spec.protocols.items()}


@cache
def _flag(name: str) -> int:
    """A bit of the value's flags, by any layout's name or as ``0x0800``."""
    if name.startswith("0x"):
        return int(name, 16)
    for spec in LAYOUTS.values():
        if name in spec.flag_names:
            return 1 << spec.flag_names.index(name)
    raise ValueError(name)


@cache
def _tcp_flag(name: str) -> int:
    if name.startswith("0x"):
        return int(name, 16)
    more = {"URG": 0x20, "ECE": 0x40, "CWR": 0x80}
    return more.get(name) or int(TcpFlag[name])


def _stamp(item: Item, name: str, lifetime: int) -> int:
    """When a direction was last seen: as stored, or by the distance of two times of day."""
    seen, expires = item.get(name), item.get("expires")
    if seen in {None, ""}:
        return 0
    if str(seen).isdigit():
        return int(str(seen))
    if not expires:
        raise ValueError("a time of day, and none of another stamp to reckon it from")
    moment: Callable[[str], datetime] = datetime.fromisoformat
    return max(0, lifetime - round((moment(str(expires)) - moment(str(seen))).total_seconds()))
