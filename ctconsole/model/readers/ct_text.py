"""Text that ``cilium bpf ct list global`` printed, read back into entries.

Bugtool archives often hold no dump of the maps but this text. Every line tells by its own fields
which releases print it so (`SHAPES`), so that listings of several releases may stand in one file.
The text does not print every field (1.9 leaves out nothing, later ones the reserved words); what
it leaves out is zero.

What another tool put before a line is taken off, lines that a terminal wrapped are joined, and a
line that is no entry is told with its number: entries and lines told are the lines of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from ctconsole.model.catalogue import GLOBAL_MAPS
from ctconsole.model.ct.layout import KEY4, KEY6, IpProtocol, Layout, value_dtype
from ctconsole.model.readers import lines as reading
from ctconsole.model.readers.ct_bulk import alike
from ctconsole.model.readers.ct_entries import CtListing, fill_records, last_of_each, store
from ctconsole.model.readers.ct_shapes import (
    HEAD,
    SHAPES,
    Apart,
    Shape,
    pattern,
    protocol_numbers,
    shape_of,
)
from ctconsole.model.readers.dump import Damage
from ctconsole.model.readers.lines import Gap, Line, Sort, Told
from ctconsole.model.readers.text_clock import TextClock
from ctconsole.model.whose import NOBODY, Named, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.readers.ct_entries import Bytes, Maps, Records
    from ctconsole.model.readers.ct_shapes import Fields

    _Parts: TypeAlias = dict[tuple[Whose, Layout], dict[str, tuple[list[Bytes], list[Bytes]]]]

_BUNDLE: Final = 1 << 20
"""Bytes of a text that are looked at together."""

_FEW: Final = 1 << 14
"""Bytes from which on they are read line by line where some are no entries."""

_CHUNK: Final = 16384
_TELLING: Final = 512
"""Lines of a chunk that are asked for the clock."""

_MOST_PIECES: Final = 16
"""Lines that a terminal makes of one entry: a tall and narrow one."""

_LONGEST_PREFIX: Final = 600
_AFTER: Final = frozenset("\"',;|\\")
"""What stands behind a line beside blanks, in quotes, tables and programs."""
_FIELD: Final = re.compile(r"\s*\w{0,20}=?\d{0,20}(?:\s+\w{1,20}=\d{1,20}){0,2}\s*")
"""What a terminal may have cut off an entry that looks whole without it."""

_PART: Final = re.compile(
    r"expires=\d|\bLast[RT]xReport=|\b[RT]x(?:Packets|FlagsSeen)=|\bSourceSecurityID=|"
    r"\bRevNAT=\d|\d -> \S+:\d"
)
_EXPIRES: Final = re.compile(r"\bexpires=\d")


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
    def maps(self) -> Maps:
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
        for found in HEAD.finditer(text)
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
    for bundle in reading.bundles(blocks, _BUNDLE):
        reader.take(bundle)
    return reader.finish(source)


class _Entry(NamedTuple):
    line: Line
    fields: Fields


class _Reader:
    """Collects matched lines and turns them into records a chunk at a time."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._untold = 0
        self._failed = False
        self._parts: _Parts = {}
        self._waiting: dict[tuple[Whose, Shape, bool, bool], list[_Entry]] = {}
        self._apart: dict[Whose, Apart] = {}
        self._count = 0
        self._clocks: dict[Whose, TextClock] = {}
        self._shape = SHAPES[0]
        self._whose = NOBODY
        self._pieces: list[Line] = []
        self._named = Named()
        self._cutter = reading.Cutter()

    def take(self, block: bytes) -> None:
        """Take a block: at once where all its lines look alike, else in halves or by lines."""
        if isinstance(block, Gap):
            self._give_up()
            for line in self._cutter.gap(block):
                self.line(line)
            return
        if self._at_once(block):
            return
        end = block.rfind(b"\n", 0, len(block) // 2) + 1
        if end and len(block) > _FEW:
            self.take(block[:end])
            self.take(block[end:])
            return
        for line in self._cutter.feed(block):
            self.line(line)

    def _at_once(self, block: bytes) -> bool:
        """Take entries as the line before was one, which all lines of a block are."""
        whole = self._cutter.at_start and not self._pieces and block.endswith(b"\n")
        columns = alike(block, self._shape) if whole else None
        if columns is None:
            return False
        count = len(columns.lifetime)
        keys, values = np.zeros(count, KEY4), np.zeros(count, value_dtype(self._shape.layout))
        try:
            store(keys, values, columns)
        except ValueError:
            return False
        self._flush()
        self._cutter.skip(block, count)
        self._count += count
        whose = self._named.one(self._whose)
        if self._shape.layout in {Layout.V1_9, Layout.V1_19}:
            self._apart.setdefault(whose, Apart()).see_all(
                block, columns.direction, columns.service
            )
        tcp = columns.protocol == int(IpProtocol.TCP)
        for name, rows in (("cilium_ct4_global", tcp), ("cilium_ct_any4_global", ~tcp)):
            if rows.any():
                place = whose, self._shape.layout
                self._add(place, name, keys[rows], values[rows])
        clock = self._clocks.setdefault(whose, TextClock())
        if columns.remaining is not None:
            step = max(1, count // _TELLING)
            pairs = zip(columns.lifetime[::step], columns.remaining[::step], strict=True)
            clock.add((int(expires), int(left)) for expires, left in pairs)
        return True

    def line(self, line: Line) -> None:
        """Take one line."""
        if self._pieces and self._continued(line):
            return
        if self._entry(line, line.text):
            return
        if HEAD.search(line.text) and line.ended and not _is_blank(line.text):
            self._pieces = [line]
            return
        self._no_entry(line)

    def _entry(self, line: Line, text: str, whose: Whose = NOBODY) -> bool:
        """Take a line that is an entry; False where it is none."""
        found = pattern(self._shape, " ").fullmatch(text.rstrip())
        if found is None:
            head = HEAD.search(text)
            if head is None or head.start() > _LONGEST_PREFIX:
                return False
            prefix, body = text[: head.start()], text[head.start() :]
            if "->" in prefix or "expires=" in prefix:
                return False
            shape = shape_of(body)
            found = pattern(shape).fullmatch(_without_tail(body)) if shape else None
            if found is None or shape is None:
                return False
            if not line.ended and shape != self._shape and self._count:
                # Cut in the middle, a line of 1.9 looks like one of 1.7.
                return False
            self._shape = shape
            whose = whose or reading.whose_prefix(prefix)
        numbers = protocol_numbers()
        if found[1] not in numbers and not found[1].isdigit():
            return False
        fields = found.groups(default="")
        family = 6 if ":" in found[3] else 4
        whose = self._named.one(whose or self._whose)
        if self._shape.layout in {Layout.V1_9, Layout.V1_19}:
            self._apart.setdefault(whose, Apart()).see(found[0], fields)
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
        goes_on = not HEAD.search(line.text) and not _is_blank(line.text)
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

    def _goes_on(self, line: Line) -> bool:
        """Whether the entry of the line before has its end here.

        Cut before its last field, a line looks like one of a release that had no such field.
        """
        if not _FIELD.fullmatch(line.text):
            return False
        for entries in self._waiting.values():
            if entries and entries[-1].line.number == line.number - 1:
                before = entries.pop()
                self._count -= 1
                if any(self._entry(before.line, text) for text in _joined([before.line, line])):
                    return True
                entries.append(before)
                self._count += 1
                return False
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
        if _is_blank(text) or self._goes_on(line):
            return
        if HEAD.search(text) or _PART.search(text):
            self._tell(line, Sort.DAMAGE, "a line that is no conntrack entry")
            return
        whose = reading.whose_section(text)
        if whose and whose != self._whose:
            self._whose = whose
        sort = reading.sort_of(text)
        self._failed |= sort is Sort.FAILURE
        self._tell(line, sort)

    def _tell(self, line: Line, sort: Sort, reason: str = "") -> None:
        if not line.number:
            return
        if len(self._told) < reading.MOST_TOLD:
            text = line.text.strip()[: reading.LONGEST_TOLD]
            self._told.append(Told(line.number, line.offset, sort, text, reason))
        else:
            self._untold += 1

    def _flush(self) -> None:
        """Turn the lines waiting into records."""
        for (whose, shape, tcp, ipv6), entries in self._waiting.items():
            if not entries:
                continue
            keys, values = self._records(entries, shape, ipv6=ipv6)
            name = f"cilium_ct{'' if tcp else '_any'}{6 if ipv6 else 4}_global"
            self._add((whose, shape.layout), name, keys, values)
            clock = self._clocks.setdefault(whose, TextClock())
            # A listing has one moment, which some of its lines tell as well as all.
            some = entries[:: max(1, len(entries) // _TELLING)]
            clock.add((one.fields[8], one.fields[9]) for one in some if one.fields[9])
        self._waiting = {}

    def _add(self, place: tuple[Whose, Layout], name: str, keys: Records, values: Records) -> None:
        into = self._parts.setdefault(place, {}).setdefault(name, ([], []))
        # Bytes, because joining records would turn their numbers into the host's order.
        into[0].append(keys.view(np.uint8).reshape(-1, keys.dtype.itemsize))
        into[1].append(values.view(np.uint8).reshape(-1, values.dtype.itemsize))

    def _records(
        self, entries: list[_Entry], shape: Shape, *, ipv6: bool
    ) -> tuple[Records, Records]:
        keys = np.zeros(len(entries), KEY6 if ipv6 else KEY4)
        values = np.zeros(len(entries), value_dtype(shape.layout))
        good = np.ones(len(entries), np.bool_)

        def fill(start: int, stop: int) -> None:
            """Fill some rows at once; where one of them is broken, halve them until it is alone."""
            rows = [one.fields for one in entries[start:stop]]
            try:
                fill_records(keys[start:stop], values[start:stop], rows, shape.labels)
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
        for line in self._cutter.finish():
            self.line(line)
        self._give_up()
        self._flush()
        whose = {one for one, _ in self._parts}
        # What came before the first line that names a node is that node's where there is one only.
        alone = next(iter(whose - {NOBODY})) if len(whose - {NOBODY}) == 1 else NOBODY
        merged: _Parts = {}
        for (one, layout), maps in self._parts.items():
            told = self._apart.get(one, Apart()).of(layout)
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
            found: Maps = {}
            for name in sorted(maps, key=GLOBAL_MAPS.index):
                all_keys, all_values = (np.concatenate(part) for part in maps[name])
                if len(all_keys):
                    found[name], dropped = last_of_each(all_keys, all_values)
                    repeated += dropped
            if found:
                listings.append(CtListing(one, layout, found))
        lines = tuple(sorted(self._told, key=lambda one: one.offset))
        return CtText(source, tuple(listings), clocks, lines, self._untold, repeated, self._failed)


def _joined(pieces: list[Line]) -> Iterable[str]:
    """What pieces of a line may have been: cut at the terminal's edge, or at blanks."""
    first = pieces[0].text
    head = HEAD.search(first)
    prefix = first[: head.start()] if head else ""
    texts = [first, *(one.text.removeprefix(prefix) for one in pieces[1:])]
    last = len(texts) - 1
    longest = max(len(one.text) for one in pieces)
    # What fills a terminal to its edge may have lost blanks there.
    for width in sorted({len(first), longest, longest + 1}):
        yield "".join(
            text if number == last else text + " " * (width - len(line.text))
            for number, (text, line) in enumerate(zip(texts, pieces, strict=True))
        )
    yield " ".join(text.strip() for text in texts)


def _without_tail(text: str) -> str:
    """A line without what stands behind it: blanks, `_AFTER`, one newline spelt out.

    Character by character, because an expression for it would try each run of blanks from each
    of its places.
    """
    text = _ended_before(text)
    return _ended_before(text.removesuffix("\\n")) if text.endswith("\\n") else text


def _ended_before(text: str) -> str:
    end = len(text)
    while end and (text[end - 1].isspace() or text[end - 1] in _AFTER):
        end -= 1
    return text[:end]


def _is_blank(text: str) -> bool:
    return not text or text.isspace()
