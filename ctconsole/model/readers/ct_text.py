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
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.catalogue import GLOBAL_MAPS
from ctconsole.model.ct.layout import (
    KEY4,
    KEY6,
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    IpProtocol,
    Layout,
    Notation,
    value_dtype,
)
from ctconsole.model.readers.dump import MOST_DAMAGE, Damage

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
_IPV4_BYTES: Final = 4
_OCTET: Final = 0xFF
_NOT_ENTRIES: Final = re.compile(
    rb"\s*$|#|`+|Unable to open |Error: |Failed to |(?:> )?Error while |level=|time=|/?\S*\$ "
)


@dataclass
class CtText:
    """What a listing held.

    Attributes:
        source: the file, for messages.
        layout: the version that printed it; None where no entry was found.
        maps: keys and values, u1 of shape (n, 14 or 38) and (n, 56), by the name of the map that
            holds such entries.
        damage: lines that are no entries, in the file's order; the first `MOST_DAMAGE`.
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
    damage = tuple(sorted(reader.damage, key=lambda one: one.offset))
    return CtText(source, reader.layout, maps, damage)


def _rank(item: tuple[str, object]) -> int:
    return GLOBAL_MAPS.index(item[0])


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
            self._complain(offset, "a line that is no conntrack entry")
            return
        kind = "ct" if found[1] == "TCP" else "ct_any"
        family = 6 if ":" in found[3] else 4
        self._waiting.setdefault(f"cilium_{kind}{family}_global", []).append(
            (offset, found.groups(default=""))
        )
        self._count += 1
        if self._count >= _CHUNK:
            self.flush()

    def _complain(self, offset: int, reason: str) -> None:
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(Damage(offset, reason))

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
        keys = np.zeros(len(lines), KEY6 if ipv6 else KEY4)
        values = np.zeros(len(lines), value_dtype(layout))
        good = np.ones(len(lines), np.bool_)

        def fill(start: int, stop: int) -> None:
            """Fill some rows at once; where one of them is broken, halve them until it is alone."""
            fields = [found for _, found in lines[start:stop]]
            try:
                _fill(keys[start:stop], values[start:stop], fields, layout)
            except (ValueError, OverflowError):
                if stop - start == 1:
                    good[start] = False
                    self._complain(lines[start][0], "an entry with a number out of its range")
                else:
                    middle = (start + stop) // 2
                    fill(start, middle)
                    fill(middle, stop)

        fill(0, len(lines))
        return keys[good], values[good]


def _fill(keys: Records, values: Records, rows: list[_Fields], layout: Layout) -> None:
    """The fields of some lines into as many records.

    Raises:
        ValueError: an address is none, or a number does not fit.
        OverflowError: a number does not fit in 64 bits.
    """
    columns = list(zip(*rows, strict=True))
    protocol, direction, first, first_port, second, second_port, related, service, lifetime = (
        columns[:_FIXED]
    )
    inverted = np.array([word == "SVC" for word in direction])
    flags = np.array([word == "IN" for word in direction]) * int(TUPLE_F_IN)
    flags |= np.array([bool(word) for word in related]) * int(TUPLE_F_RELATED)
    flags |= (inverted | np.array([bool(word) for word in service])) * int(TUPLE_F_SERVICE)
    near, far = (np.array([_address(text) for text in texts]) for texts in (first, second))
    near_port, far_port = _numbers(first_port), _numbers(second_port)
    swap = inverted[:, np.newaxis]
    keys["daddr"], keys["saddr"] = np.where(swap, far, near), np.where(swap, near, far)
    _put(keys, "sport", np.where(inverted, far_port, near_port))
    _put(keys, "dport", np.where(inverted, near_port, far_port))
    names = _protocol_numbers()
    _put(keys, "nexthdr", np.array([names.get(text) or int(text) for text in protocol]))
    keys["flags"] = flags
    _put(values, "lifetime", _numbers(lifetime))
    for described, texts in zip(LAYOUTS[layout].text, columns[_FIXED:], strict=True):
        _put(values, described.field, _numbers(texts, described.form))


def _numbers(texts: Iterable[str], form: Notation = Notation.DECIMAL) -> npt.NDArray[np.uint64]:
    base = 10 if form is Notation.DECIMAL else 16
    return np.array([int(text, base) for text in texts], np.uint64)


def _put(records: Records, name: str, numbers: npt.NDArray[Any]) -> None:
    if len(numbers) and int(numbers.max()) > np.iinfo(records.dtype[name]).max:
        raise ValueError(name)
    records[name] = numbers


def _address(text: str) -> list[int]:
    if ":" in text:
        return list(IPv6Address(text).packed)
    octets = [int(part) for part in text.split(".")]
    if len(octets) != _IPV4_BYTES or max(octets) > _OCTET:
        raise ValueError(text)
    return octets


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
            case Notation.DECIMAL:
                parts.append(rf" {described.label}(\d{{1,20}})")
            case Notation.HEX2:
                parts.append(rf" {described.label}0x([0-9a-f]{{2}})")
            case Notation.FLAGS:
                parts.append(
                    rf" {described.label}0x([0-9a-f]{{4}}) \[ (?:[\w=]{{1,20}} ){{0,16}}\]"
                )
    return re.compile("".join(parts))


@cache
def _protocol_numbers() -> dict[str, int]:
    names = {name: number for spec in LAYOUTS.values() for number, name in spec.protocols.items()}
    return names | {"TCP": int(IpProtocol.TCP)}
