"""Text that ``cilium bpf ct list global`` printed, read back into entries.

Bugtool archives often hold no dump of the maps but this text. A pattern is made of each layout's
own description, so whatever `cilium_text` prints can be read here. The text does not print every
field (1.9 leaves out nothing, later ones the reserved words); what it leaves out is zero.

A line that is no entry is damage: remembered with its offset, and reading goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.dump import Damage
from ctconsole.model.layout import (
    KEY4,
    KEY6,
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    Form,
    Layout,
    Protocol,
    value_dtype,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]
    _Fields: TypeAlias = tuple[str, ...]

LONGEST_LINE: Final = 4096
_CHUNK: Final = 16384
_ADDRESS: Final = r"\[?([0-9a-fA-F:.]{2,45}?)\]?:(\d{1,5})"
_TUPLE: Final = (
    rf"(\w{{1,8}}) (IN|OUT|SVC) {_ADDRESS} -> {_ADDRESS} (related )?(service )?expires=(\d{{1,10}})"
    r"(?: \(remaining: -?\d{1,12} sec\(s\)\))?"
)
_FIXED: Final = 9
_NOT_ENTRIES: Final = re.compile(
    rb"\s*$|#|`+|Unable to open |Error: |Failed to |Error while |level=|time=|/?\S*\$ "
)


@dataclass
class CtText:
    """What a listing held.

    Attributes:
        source: the file, for messages.
        layout: the version that printed it; None where no entry was found.
        maps: keys and values, u1 of shape (n, 14 or 38) and (n, 56), by the name of the map that
            holds such entries.
        damage: lines that are no entries, in the file's order.
    """

    source: str
    layout: Layout | None = None
    maps: dict[str, tuple[Bytes, Bytes]] = field(default_factory=dict)
    damage: tuple[Damage, ...] = ()


def looks_like_ct_text(head: bytes) -> bool:
    """Whether the first lines of a file are such a listing."""
    return (
        re.search(rb"^\w{1,8} (?:IN|OUT|SVC) \S+ -> \S+ .{0,20}expires=\d", head, re.MULTILINE)
        is not None
    )


def read_ct_text(blocks: Iterable[bytes], source: str) -> CtText:
    """Read a listing.

    Args:
        blocks: the file's bytes in order, in pieces of any size.
        source: the file's path, for messages.
    """
    reader = _Reader()
    for offset, line in _lines(blocks):
        reader.line(offset, line)
    reader.flush()
    maps = {
        name: (np.concatenate(keys), np.concatenate(values))
        for name, (keys, values) in sorted(reader.parts.items(), key=_rank)
    }
    return CtText(source, reader.layout, maps, tuple(reader.damage))


_RANK: Final = (
    "cilium_ct4_global",
    "cilium_ct_any4_global",
    "cilium_ct6_global",
    "cilium_ct_any6_global",
)


def _rank(item: tuple[str, object]) -> int:
    return _RANK.index(item[0])


def _lines(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines without their ends, each with its offset; overlong ones in pieces."""
    offset, rest = 0, b""
    for block in blocks:
        text = rest + block
        *whole, rest = text.split(b"\n")
        for line in whole:
            yield offset, line
            offset += len(line) + 1
        while len(rest) > LONGEST_LINE:
            yield offset, rest[:LONGEST_LINE]
            offset += LONGEST_LINE
            rest = rest[LONGEST_LINE:]
    if rest:
        yield offset, rest


class _Reader:
    """Collects matched lines and turns them into records a chunk at a time."""

    def __init__(self) -> None:
        self.layout: Layout | None = None
        self.damage: list[Damage] = []
        self.parts: dict[str, tuple[list[Bytes], list[Bytes]]] = {}
        self._waiting: dict[str, list[tuple[int, _Fields]]] = {}
        self._count = 0

    def line(self, offset: int, raw: bytes) -> None:
        raw = raw.rstrip(b"\r")
        if _NOT_ENTRIES.match(raw):
            return
        text = raw.decode("ascii", "replace")
        found = self._pattern(text).fullmatch(text.rstrip())
        numbers = _protocol_numbers()
        if found is None or (found[1] not in numbers and not found[1].isdigit()):
            self.damage.append(Damage(offset, "a line that is no conntrack entry"))
            return
        kind = "ct" if found[1] == "TCP" else "ct_any"
        family = 6 if ":" in found[3] else 4
        self._waiting.setdefault(f"cilium_{kind}{family}_global", []).append(
            (offset, found.groups(default=""))
        )
        self._count += 1
        if self._count >= _CHUNK:
            self.flush()

    def _pattern(self, text: str) -> re.Pattern[str]:
        """The layout's pattern; the first entry tells the layout, a later one may refine it."""
        if self.layout in {None, Layout.V1_9}:
            layout = _layout_of(text)
            if self.layout is None or layout is Layout.V1_15:
                self.layout = layout
        return _pattern(self.layout or Layout.V1_18)

    def flush(self) -> None:
        """Turn the lines waiting into records."""
        for name, lines in self._waiting.items():
            keys, values = self._records(lines, ipv6="6" in name)
            into = self.parts.setdefault(name, ([], []))
            # Bytes, because joining records would turn their numbers into the host's order.
            into[0].append(keys.view(np.uint8).reshape(-1, keys.dtype.itemsize))
            into[1].append(values.view(np.uint8).reshape(-1, values.dtype.itemsize))
        self._waiting = {}
        self._count = 0

    def _records(self, lines: list[tuple[int, _Fields]], *, ipv6: bool) -> tuple[Records, Records]:
        layout = self.layout or Layout.V1_18
        spec = LAYOUTS[layout]
        keys, values = (
            np.zeros(len(lines), KEY6 if ipv6 else KEY4),
            np.zeros(len(lines), value_dtype(layout)),
        )
        good = 0
        for offset, fields in lines:
            try:
                _fill(keys[good : good + 1], values[good : good + 1], fields, layout)
            except (ValueError, OverflowError, AddressValueError):
                keys[good], values[good] = 0, np.zeros(1, spec.value)[0]
                self.damage.append(Damage(offset, "an entry with a number out of its range"))
            else:
                good += 1
        return keys[:good], values[:good]


def _fill(key: Records, value: Records, fields: _Fields, layout: Layout) -> None:
    """One entry's fields into its records.

    Raises:
        ValueError: an address is none, or a number does not fit.
    """
    protocol, direction, first, first_port, second, second_port, related, service, lifetime = (
        fields[:_FIXED]
    )
    flags = int(TUPLE_F_IN) if direction == "IN" else 0
    flags |= int(TUPLE_F_RELATED) if related else 0
    inverted = direction == "SVC"
    flags |= int(TUPLE_F_SERVICE) if service or inverted else 0
    near, far = ("saddr", "daddr") if inverted else ("daddr", "saddr")
    near_port, far_port = ("dport", "sport") if inverted else ("sport", "dport")
    key[near], key[far] = _address(first), _address(second)
    _put(key, near_port, int(first_port))
    _put(key, far_port, int(second_port))
    _put(key, "nexthdr", _protocol_numbers().get(protocol) or int(protocol))
    key["flags"] = flags
    _put(value, "lifetime", int(lifetime))
    for described, text in zip(LAYOUTS[layout].text, fields[_FIXED:], strict=True):
        number = int(text, 10 if described.form is Form.DECIMAL else 16)
        _put(value, described.field, number)


def _put(record: Records, name: str, number: int) -> None:
    if number > np.iinfo(record.dtype[name]).max:
        raise ValueError(name)
    record[name] = number


def _address(text: str) -> list[int]:
    return list((IPv6Address(text) if ":" in text else IPv4Address(text)).packed)


def _layout_of(text: str) -> Layout:
    """The version that prints such a line."""
    if "NatPort=" in text:
        return Layout.V1_19
    if "RxPackets=" in text:
        later = " SVC " in text[:16] or "FromL7LB" in text or "FromTunnel" in text
        return Layout.V1_15 if later else Layout.V1_9
    return Layout.V1_16 if "IfIndex=" in text else Layout.V1_18


@cache
def _pattern(layout: Layout) -> re.Pattern[str]:
    """A whole line of a layout; groups are those of `_TUPLE` and then one for each field."""
    parts = [_TUPLE]
    for described in LAYOUTS[layout].text:
        match described.form:
            case Form.DECIMAL:
                parts.append(rf" {described.label}(\d{{1,20}})")
            case Form.HEX2:
                parts.append(rf" {described.label}0x([0-9a-f]{{2}})")
            case Form.FLAGS:
                parts.append(
                    rf" {described.label}0x([0-9a-f]{{4}}) \[ (?:[\w=]{{1,20}} ){{0,16}}\]"
                )
    return re.compile("".join(parts))


@cache
def _protocol_numbers() -> dict[str, int]:
    names = {name: number for spec in LAYOUTS.values() for number, name in spec.protocols.items()}
    return names | {"TCP": int(Protocol.TCP)}
