"""Text that ``cilium bpf ct list global`` printed, read back into entries.

Bugtool archives often hold no dump of the maps but this text. Every line tells by its own fields
which releases print it so (`_SHAPES`), so that listings of several releases may stand in one file.
The text does not print every field (1.9 leaves out nothing, later ones the reserved words); what
it leaves out is zero.

What another tool put before a line is taken off, lines that a terminal wrapped are joined, and a
line that is no entry is told with its number: entries and lines told are the lines of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.catalogue import GLOBAL_MAPS
from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.layout import (
    KEY4,
    KEY6,
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    IpProtocol,
    Layout,
    value_dtype,
)
from ctconsole.model.readers import lines as reading
from ctconsole.model.readers.dump import Damage
from ctconsole.model.readers.lines import Line, Sort, Told
from ctconsole.model.readers.text_clock import TextClock
from ctconsole.model.whose import NOBODY, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]
    _Fields: TypeAlias = tuple[str, ...]
    _Maps: TypeAlias = dict[str, tuple[Bytes, Bytes]]

_CHUNK: Final = 16384
_TELLING: Final = 512
"""Lines of a chunk that are asked for the clock."""

_MOST_PIECES: Final = 16
"""Lines that a terminal makes of one entry: a tall and narrow one."""

_ADDRESS: Final = r"\[?([0-9a-fA-F:.]{2,45}?)\]?:(\d{1,5})"
_BLANKS: Final = r"[ \t]{1,40}"
_TUPLE: Final = (
    rf"(\w{{1,8}}){_BLANKS}(IN|OUT|SVC){_BLANKS}{_ADDRESS}{_BLANKS}->{_BLANKS}{_ADDRESS}{_BLANKS}"
    rf"(related{_BLANKS})?(service{_BLANKS})?expires=(\d{{1,10}})"
    r"(?: \(remaining: (-?\d{1,12}) sec\(s\)\))?"
)
_FIXED: Final = 10
_HEAD: Final = re.compile(
    rf"(?<![\w.])(?:[A-Za-z]\w{{1,7}}|\d{{1,3}}){_BLANKS}(?:IN|OUT|SVC){_BLANKS}"
    r"\[?[0-9a-fA-F:.]{2,45}\]?:\d"
)
_LONGEST_PREFIX: Final = 600
_TAIL: Final = re.compile(r"""[\s"',|\\]*(?:\\n)?[\s"',|\\]*$""")
_LABEL: Final = re.compile(r" (\w{1,20})=(?!\S* \])")
_IN_BRACKETS: Final = re.compile(r"\[[^\]]*\]")
_PART: Final = re.compile(
    r"expires=\d|\bLast[RT]xReport=|\b[RT]x(?:Packets|FlagsSeen)=|\bSourceSecurityID=|"
    r"\bRevNAT=\d|\d -> \S+:\d"
)
_EXPIRES: Final = re.compile(r"\bexpires=\d")
_IPV4_BYTES: Final = 4
_OCTET: Final = 0xFF
_BARE: Final = ("flags", "rxflagsseen", "txflagsseen")


class _Shape(NamedTuple):
    """What a line of some releases has behind ``expires=``.

    Attributes:
        layout: the oldest layout known whose tool prints it so.
        labels: of the fields in their order, in small letters and without underscores.
    """

    layout: Layout
    labels: tuple[str, ...]


_APART: Final = (
    "rxpackets rxbytes rxflagsseen lastrxreport txpackets txbytes txflagsseen lasttxreport flags "
    "revnat"
)
_MERGED: Final = (
    "packets bytes rxflagsseen lastrxreport txflagsseen lasttxreport flags revnat sourcesecurityid"
)
_SHAPES: Final = tuple(
    _Shape(layout, tuple(labels.split()))
    for layout, labels in (
        (Layout.V1_9, f"{_APART} sourcesecurityid ifindex"),
        # 1.6 and 1.7
        (Layout.V1_9, f"{_APART} sourcesecurityid"),
        # 1.4 and 1.5
        (Layout.V1_9, f"{_APART} slave sourcesecurityid"),
        # 1.0 to 1.3
        (Layout.V1_9, "rxpackets rxbytes txpackets txbytes flags revnat srcsecid"),
        (Layout.V1_9, "rxpackets rxbytes txpackets txbytes flags revnat proxyport srcsecid"),
        (Layout.V1_16, f"{_MERGED} ifindex backendid"),
        (Layout.V1_18, f"{_MERGED} backendid"),
        (Layout.V1_19, f"{_MERGED} backendid natport"),
    )
)
"""Source: ``pkg/maps/ctmap/types.go`` and what was before it, of Cilium 1.0 to 1.19."""

_FIELDS: Final = {
    "rxpackets": "rx_packets",
    "rxbytes": "rx_bytes",
    "rxflagsseen": "rx_flags_seen",
    "lastrxreport": "last_rx_report",
    "txpackets": "tx_packets",
    "txbytes": "tx_bytes",
    "txflagsseen": "tx_flags_seen",
    "lasttxreport": "last_tx_report",
    "packets": "packets",
    "bytes": "bytes",
    "flags": "flags",
    "revnat": "rev_nat_index",
    "sourcesecurityid": "src_sec_id",
    "srcsecid": "src_sec_id",
    "ifindex": "ifindex",
    "backendid": "backend_id",
    "natport": "nat_port",
}
"""Fields by their labels; ``Slave`` and ``ProxyPort`` have no place in any layout known."""


@dataclass(frozen=True)
class CtListing:
    """The entries of one node in one layout.

    Attributes:
        whose: the node, as far as the text tells.
        layout: the version that printed them.
        maps: keys and values, u1 of shape (n, 14 or 38) and (n, 56), by the name of the map that
            holds such entries.
    """

    whose: Whose
    layout: Layout
    maps: _Maps


@dataclass(frozen=True)
class CtText:
    """What a file held.

    Attributes:
        source: the file, for messages.
        listings: of each node and layout, in the file's order.
        clocks: what the lines of each node tell of its clock.
        told: lines that are no entries, in the file's order; the first `reading.MOST_TOLD`.
        untold: how many more there were.
        repeated: entries that came twice; the last one of each counts.
        failed: whether the tool said that it failed.
    """

    source: str
    listings: tuple[CtListing, ...] = ()
    clocks: dict[Whose, TextClock] = field(default_factory=dict)
    told: tuple[Told, ...] = ()
    untold: int = 0
    repeated: int = 0
    failed: bool = False

    @property
    def layout(self) -> Layout | None:
        """The layout of the first listing; None where no entry was found."""
        return self.listings[0].layout if self.listings else None

    @property
    def maps(self) -> _Maps:
        """The maps of the first listing."""
        return self.listings[0].maps if self.listings else {}

    @property
    def damage(self) -> tuple[Damage, ...]:
        """Entries that could not be read."""
        return tuple(Damage(one.offset, one.reason) for one in self.told if one.sort is Sort.DAMAGE)


def looks_like_ct_text(head: bytes) -> bool:
    """Whether there is an entry among the first lines of a file, or at least one that is cut."""
    text = head.decode("utf-8", "replace")
    return any(
        _EXPIRES.search(text, found.end(), found.end() + LONGEST_ENTRY)
        for found in _HEAD.finditer(text)
    )


LONGEST_ENTRY: Final = 600
"""Characters of a line."""


def read_ct_text(blocks: Iterable[bytes], source: str) -> CtText:
    """Read a listing.

    Args:
        blocks: the text's bytes in order, in pieces of any size.
        source: the file's path, for messages.
    """
    reader = _Reader()
    for line in reading.lines(blocks):
        reader.line(line)
    return reader.finish(source)


class _Entry(NamedTuple):
    line: Line
    fields: _Fields


class _Reader:
    """Collects matched lines and turns them into records a chunk at a time."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._untold = 0
        self._failed = False
        self._parts: dict[tuple[Whose, Layout], dict[str, tuple[list[Bytes], list[Bytes]]]] = {}
        self._waiting: dict[tuple[Whose, _Shape, bool, bool], list[_Entry]] = {}
        self._apart: dict[Whose, _Apart] = {}
        self._count = 0
        self._clocks: dict[Whose, TextClock] = {}
        self._shape = _SHAPES[0]
        self._whose = NOBODY
        self._pieces: list[Line] = []
        self._named = Named()

    def line(self, line: Line) -> None:
        """Take one line."""
        if self._pieces and self._continued(line):
            return
        if self._entry(line, line.text):
            return
        if _HEAD.search(line.text) and line.ended and not _is_blank(line.text):
            self._pieces = [line]
            return
        self._no_entry(line)

    def _entry(self, line: Line, text: str, whose: Whose = NOBODY) -> bool:
        """Take a line that is an entry; False where it is none."""
        found = _pattern(self._shape, " ").fullmatch(text.rstrip())
        if found is None:
            head = _HEAD.search(text)
            if head is None or head.start() > _LONGEST_PREFIX:
                return False
            prefix, body = text[: head.start()], text[head.start() :]
            if "->" in prefix or "expires=" in prefix:
                return False
            shape = _shape_of(body)
            found = _pattern(shape).fullmatch(_TAIL.sub("", body)) if shape else None
            if found is None or shape is None:
                return False
            if not line.ended and shape != self._shape and self._count:
                # Cut in the middle, a line of 1.9 looks like one of 1.7.
                return False
            self._shape = shape
            whose = whose or reading.whose_prefix(prefix)
        numbers = _protocol_numbers()
        if found[1] not in numbers and not found[1].isdigit():
            return False
        fields = found.groups(default="")
        family = 6 if ":" in found[3] else 4
        whose = self._named.one(whose or self._whose)
        if self._shape.layout is Layout.V1_9:
            self._apart.setdefault(whose, _Apart()).see(found[0], fields)
        place = whose, self._shape, found[1] == "TCP", family == 6  # noqa: PLR2004 - IPv6
        self._waiting.setdefault(place, []).append(_Entry(line, fields))
        self._count += 1
        if self._count % _CHUNK == 0:
            self._flush()
        return True

    def _continued(self, line: Line) -> bool:
        """Whether a line belongs to the entry that began before; else that one is told."""
        begun = self._pieces
        whole = [*begun, line]
        goes_on = not _HEAD.search(line.text) and not _is_blank(line.text)
        if goes_on and len(whole) <= _MOST_PIECES:
            width = len(begun[0].text)
            self._pieces = whole
            if len(line.text) >= width and len(whole) > 1:
                return True
            if any(self._entry(begun[0], text) for text in _joined(whole)):
                self._pieces = []
                return True
            return True
        self._give_up()
        return False

    def _give_up(self) -> None:
        """Tell the lines of an entry that was begun and not ended."""
        pieces, self._pieces = self._pieces, []
        # A last piece that fills the terminal does not tell that it is the last one.
        for count in range(len(pieces), 1, -1):
            if any(self._entry(pieces[0], text) for text in _joined(pieces[:count])):
                for line in pieces[count:]:
                    self._no_entry(line)
                return
        for line in pieces:
            self._no_entry(line)

    def _no_entry(self, line: Line) -> None:
        text = line.text
        if _is_blank(text):
            return
        if _HEAD.search(text) or _PART.search(text):
            self._tell(line, Sort.DAMAGE, "a line that is no conntrack entry")
            return
        whose = reading.whose_section(text)
        if whose and whose != self._whose:
            self._whose = whose
        sort = reading.sort_of(text)
        self._failed |= sort is Sort.FAILURE
        self._tell(line, sort)

    def _tell(self, line: Line, sort: Sort, reason: str = "") -> None:
        if len(self._told) < reading.MOST_TOLD:
            text = line.text.strip()[: reading.LONGEST_TOLD]
            self._told.append(Told(line.number, line.offset, sort, text, reason))
        else:
            self._untold += 1

    def _flush(self) -> None:
        """Turn the lines waiting into records."""
        for (whose, shape, tcp, ipv6), entries in self._waiting.items():
            keys, values = self._records(entries, shape, ipv6=ipv6)
            name = f"cilium_ct{'' if tcp else '_any'}{6 if ipv6 else 4}_global"
            maps = self._parts.setdefault((whose, shape.layout), {})
            into = maps.setdefault(name, ([], []))
            # Bytes, because joining records would turn their numbers into the host's order.
            into[0].append(keys.view(np.uint8).reshape(-1, keys.dtype.itemsize))
            into[1].append(values.view(np.uint8).reshape(-1, values.dtype.itemsize))
            clock = self._clocks.setdefault(whose, TextClock())
            # A listing has one moment, which some of its lines tell as well as all.
            some = entries[:: max(1, len(entries) // _TELLING)]
            clock.add((one.fields[8], one.fields[9]) for one in some if one.fields[9])
        self._waiting = {}

    def _records(
        self, entries: list[_Entry], shape: _Shape, *, ipv6: bool
    ) -> tuple[Records, Records]:
        keys = np.zeros(len(entries), KEY6 if ipv6 else KEY4)
        values = np.zeros(len(entries), value_dtype(shape.layout))
        good = np.ones(len(entries), np.bool_)

        def fill(start: int, stop: int) -> None:
            """Fill some rows at once; where one of them is broken, halve them until it is alone."""
            rows = [one.fields for one in entries[start:stop]]
            try:
                _fill(keys[start:stop], values[start:stop], rows, shape.labels)
            except (ValueError, OverflowError):
                if stop - start == 1:
                    good[start] = False
                    reason = "an entry with a number out of its range"
                    self._tell(entries[start].line, Sort.DAMAGE, reason)
                else:
                    middle = (start + stop) // 2
                    fill(start, middle)
                    fill(middle, stop)

        fill(0, len(entries))
        return keys[good], values[good]

    def finish(self, source: str) -> CtText:
        """All that was read."""
        self._give_up()
        self._flush()
        whose = {one for one, _ in self._parts}
        # What came before the first line that names a node is that node's where there is one only.
        alone = next(iter(whose - {NOBODY})) if len(whose - {NOBODY}) == 1 else NOBODY
        merged: dict[tuple[Whose, Layout], dict[str, tuple[list[Bytes], list[Bytes]]]] = {}
        for (one, layout), maps in self._parts.items():
            told = self._apart[one].layout if layout is Layout.V1_9 else layout
            into = merged.setdefault((one or alone, told), {})
            for name, (keys, values) in maps.items():
                before = into.setdefault(name, ([], []))
                before[0].extend(keys)
                before[1].extend(values)
        clocks: dict[Whose, TextClock] = {}
        for one, clock in self._clocks.items():
            clocks[one or alone] = clocks.get(one or alone, TextClock()).joined(clock)
        repeated = 0
        listings = []
        for (one, layout), maps in merged.items():
            found: _Maps = {}
            for name in sorted(maps, key=GLOBAL_MAPS.index):
                all_keys, all_values = (np.concatenate(part) for part in maps[name])
                if len(all_keys):
                    found[name], dropped = last_of_each(all_keys, all_values)
                    repeated += dropped
            if found:
                listings.append(CtListing(one, layout, found))
        lines = tuple(sorted(self._told, key=lambda one: one.offset))
        return CtText(source, tuple(listings), clocks, lines, self._untold, repeated, self._failed)


def last_of_each(keys: Bytes, values: Bytes) -> tuple[tuple[Bytes, Bytes], int]:
    """The rows whose key does not come again below, in their order, and how many others there are.

    Args:
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
    """
    hashes = hash_rows(keys)
    order = np.argsort(hashes, kind="stable")
    alike = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
    if not len(alike):
        return (keys, values), 0
    earlier, later = order[alike], order[alike + 1]
    again = earlier[(keys[earlier] == keys[later]).all(axis=1)]
    kept = np.ones(len(keys), np.bool_)
    kept[again] = False
    return (keys[kept], values[kept]), len(again)


def _joined(pieces: list[Line]) -> Iterable[str]:
    """What pieces of a line may have been: cut at the terminal's edge, or at blanks."""
    first = pieces[0].text
    head = _HEAD.search(first)
    prefix = first[: head.start()] if head else ""
    texts = [first, *(one.text.removeprefix(prefix) for one in pieces[1:])]
    width = len(first)
    last = len(texts) - 1
    yield "".join(
        text if number == last else text + " " * (width - len(line.text))
        for number, (text, line) in enumerate(zip(texts, pieces, strict=True))
    )
    yield " ".join(text.strip() for text in texts)


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _fill(keys: Records, values: Records, rows: list[_Fields], labels: tuple[str, ...]) -> None:
    """The fields of some lines into as many records.

    Raises:
        ValueError: an address is none, or a number does not fit.
        OverflowError: a number does not fit in 64 bits.
    """
    columns = list(zip(*rows, strict=True))
    protocol, direction, first, first_port, second, second_port, related, service, lifetime, _ = (
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
    for label, texts in zip(labels, columns[_FIXED:], strict=True):
        if label in _FIELDS:
            _put(values, _FIELDS[label], _numbers(texts, 16 if label in _BARE else 10))


def _numbers(texts: Iterable[str], base: int = 10) -> npt.NDArray[np.uint64]:
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


def _shape_of(body: str) -> _Shape | None:
    """The shape of a line that begins with its protocol; None where no release prints such."""
    _, _, tail = _IN_BRACKETS.sub("", body).partition("expires=")
    labels = tuple(label.lower().replace("_", "") for label in _LABEL.findall(tail))
    return next((shape for shape in _SHAPES if shape.labels == labels), None)


@dataclass
class _Apart:
    """What tells releases apart that print the same fields of the same bytes: 1.9 to 1.15.

    1.12 and 1.14 brought flags, and 1.15 the direction of service entries.
    """

    inverted: bool = False
    service: bool = False
    later: bool = False

    def see(self, text: str, fields: _Fields) -> None:
        """Take an entry."""
        self.inverted |= fields[1] == "SVC"
        self.service |= bool(fields[7])
        self.later |= "FromL7LB" in text or "FromTunnel" in text

    @property
    def layout(self) -> Layout:
        """The oldest that prints all of them."""
        if self.inverted or (self.later and not self.service):
            return Layout.V1_15
        return Layout.V1_14 if self.later else Layout.V1_9


@cache
def _pattern(shape: _Shape, blanks: str = _BLANKS) -> re.Pattern[str]:
    """A whole line of a shape; groups are those of `_TUPLE` and then one for each field.

    Args:
        shape: which.
        blanks: what may stand between two words; one blank, as tools print it, is fastest.
    """
    parts = [_TUPLE.replace(_BLANKS, blanks)]
    for label in shape.labels:
        name = "_?".join(re.escape(letter) for letter in label)
        if label == "flags":
            number = r"(?:0x)?([0-9a-f]{1,4})(?: \[ (?:[\w=]{1,20} ){0,16}\])?"
        elif label in _BARE:
            number = r"0x([0-9a-f]{1,2})"
        else:
            number = r"(\d{1,20})"
        written = _printed_labels().get(label) if blanks == " " else None
        parts.append(rf"{blanks}{written or f'(?i:{name})'}={number}")
    return re.compile("".join(parts))


@cache
def _printed_labels() -> dict[str, str]:
    """Labels as the releases known print them, by their small letters."""
    labels = (part.label.rstrip("=") for spec in LAYOUTS.values() for part in spec.text)
    return {label.lower(): label for label in labels}


@cache
def _protocol_numbers() -> dict[str, int]:
    names = {name: number for spec in LAYOUTS.values() for number, name in spec.protocols.items()}
    return names | {"TCP": int(IpProtocol.TCP)}
