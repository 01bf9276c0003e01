"""Files written by ``bpftool map dump``: ``-j``, ``-jp`` and plain text.

Half a million entries are 250 MB of JSON, so the file is read in blocks and a block as a matrix:
entries of one map all have the same length, and only their hexadecimal digits differ. Whatever
is not exactly like the entry before it is read alone, and what is no entry at all is damage: it
is remembered with its offset, and reading goes on at the next thing that looks like an entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.readers.dump_forms import FLAVOURS, MARKERS, map_name_of
from ctconsole.model.readers.lines import LONGEST_TOLD, MOST_TOLD, Told, sort_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ctconsole.model.readers.dump_forms import Flavour

    Bytes: TypeAlias = npt.NDArray[np.uint8]

LARGEST_ENTRY: Final = 1 << 16
"""Bytes of text within which an entry must end; the longest in a Cilium map has some 2,000."""

_FEWEST_ALIKE: Final = 4
_FIRST_ALIKE: Final = 32
"""Rows that are tried at first: where lengths differ all the time, no more are decoded in vain."""

_LONGEST_START: Final = 1 << 20
"""Bytes within which the first entry must begin, behind whatever was written above it."""

MOST_DAMAGE: Final = 1000
"""Damaged places of a file that are remembered; there may be as many as there are bytes."""

_HEX: Final = re.compile(rb'"0x|"key"|"value"|^(?:[0-9a-f]{2} ){2}', re.MULTILINE)
_FOUND: Final = re.compile(r"Found \d+ elements?")
_NAMED: Final = re.compile(r"\bdump pinned \S*?/(cilium_[A-Za-z0-9_]+)")
_BRACES: Final = re.compile(rb"[{}]")


@dataclass(frozen=True, slots=True)
class Damage:
    """One place where a file is not what it should be.

    Attributes:
        offset: bytes from the start of the file.
        reason: what is wrong there, as half a sentence.
    """

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Dump:
    """The entries of one file, as many as could be read.

    Attributes:
        source: the file, for messages.
        map_name: the map its name speaks of (`map_name_of`).
        keys: u1 of shape (n, key size); (0, 0) for a file without entries.
        values: u1 of shape (n, value size).
        vanished: entries bpftool could not look up any more, left out.
        damage: what could not be read, in the file's order; the first `MOST_DAMAGE` places.
        told: lines before and after the entries that are none.
    """

    source: str
    map_name: str
    keys: Bytes
    values: Bytes
    vanished: int
    damage: tuple[Damage, ...]
    told: tuple[Told, ...] = ()

    def error(self) -> FormatError | None:
        """The damage as an error naming file and offset; None for a sound file."""
        if not self.damage:
            return None
        first, more = self.damage[0], len(self.damage) - 1
        also = f", and {more} more damaged places" if more else ""
        if len(self.damage) == MOST_DAMAGE:
            also = f", and at least {more} more damaged places"
        return FormatError(
            f"{self.source} is damaged at byte {first.offset}: {first.reason}{also}; "
            f"{len(self.keys)} entries could be read"
        )


def read_dump(blocks: Iterable[bytes], source: str) -> Dump:
    """Read a dump.

    Args:
        blocks: the file's bytes in order, in pieces of any size; some MB are fastest.
        source: the file's path, for messages and for the map's name.
    """
    reader = _Reader()
    for block in blocks:
        reader.feed(block)
        if reader.hopeless:
            break
    reader.finish()
    named = reader.named
    keys = np.concatenate(reader.keys) if reader.keys else np.empty((0, 0), np.uint8)
    values = np.concatenate(reader.values) if reader.values else np.empty((0, 0), np.uint8)
    name = map_name_of(source.rsplit("/", 1)[-1])
    if named and not name.startswith("cilium_"):
        name = named
    damage = tuple(reader.damage)
    return Dump(source, name, keys, values, reader.vanished, damage, tuple(reader.told))


class _Reader:
    """Takes blocks, keeps what is not yet a whole entry, collects rows and damage."""

    def __init__(self) -> None:
        self.keys: list[Bytes] = []
        self.values: list[Bytes] = []
        self.damage: list[Damage] = []
        self.vanished = 0
        self.told: list[Told] = []
        self.named = ""
        self._opened = True
        self._text = b""
        self._offset = 0
        self._lines = 0
        self._flavour: Flavour | None = None
        self._lost = False

    @property
    def hopeless(self) -> bool:
        """Whether no entry began where one must have begun."""
        return self._flavour is None and len(self._text) > _LONGEST_START

    def feed(self, block: bytes) -> None:
        self._text += block
        self._parse(final=False)

    def finish(self) -> None:
        self._parse(final=True)
        flavour = self._flavour
        if flavour is None:
            self._complain(0, "this is no output of bpftool map dump")
        elif not flavour.end.match(self._text) and not self._lost and not self._ended(flavour, 0):
            self._complain(len(self._text), "the dump is cut short")

    def _parse(self, *, final: bool) -> None:
        """Read every entry the text holds, and forget the text read."""
        position = self._start(final=final) if self._flavour is None else 0
        if self._flavour is None:
            return
        flavour = self._flavour
        while True:
            position = self._between(flavour, position)
            if flavour.end.match(self._text, position):
                break
            after = self._entry(flavour, position, final=final)
            if after is None:
                break
            position = after
        self._offset += position
        self._lines += self._text.count(b"\n", 0, position)
        self._text = self._text[position:]

    def _start(self, *, final: bool) -> int:
        """Find out the flavour once there is enough text; returns where the entries begin."""
        if len(self._text) < LARGEST_ENTRY and not final:
            return 0
        for flavour in FLAVOURS:
            begin = flavour.begin.match(self._text)
            if begin and (
                flavour.end.match(self._text, begin.end())
                or MARKERS[flavour.marker].match(self._text, begin.end())
            ):
                self._flavour = flavour
                self._say(0, self._text[: begin.end()])
                return begin.end()
        for flavour in FLAVOURS:
            if found := MARKERS[flavour.marker].search(self._text, 0, LARGEST_ENTRY):
                self._flavour = flavour
                before = self._text[: found.start()]
                if _HEX.search(before):
                    return 0
                self._opened = before.rstrip().endswith(b"[")
                self._say(0, before)
                return found.start()
        return 0

    def _say(self, position: int, text: bytes) -> None:
        """Keep the lines of a text that are no entries, and the map that one of them names."""
        number = 1 + self._lines + self._text.count(b"\n", 0, position)
        at = self._offset + position
        for line in text.split(b"\n"):
            words = line.strip().decode("utf-8", "replace")
            if words not in {"", "[", "]"} and not _FOUND.fullmatch(words):
                if found := _NAMED.search(words):
                    self.named = found[1]
                if len(self.told) < MOST_TOLD:
                    self.told.append(Told(number, at, sort_of(words), words[:LONGEST_TOLD]))
            number += 1
            at += len(line) + 1

    def _ended(self, flavour: Flavour, position: int) -> bool:
        """Whether nothing but other tools' lines follows the end of the entries here."""
        rest = self._text[position:]
        close = flavour.close.match(rest)
        if (close is None and self._opened) or _HEX.search(rest):
            return False
        self._say(position, rest)
        return True

    def _between(self, flavour: Flavour, position: int) -> int:
        found = flavour.between.match(self._text, position)
        return found.end() if found else position

    def _entry(self, flavour: Flavour, position: int, *, final: bool) -> int | None:
        """Read the entry here and all like it after it; None where more text is needed."""
        text = self._text
        found = flavour.entry.match(text, position)
        end = _end_of(found, text) if found else None
        if found and end is not None and (final or end < len(text)):
            self._lost = False
            return self._rows(flavour, found, end)
        gone = flavour.failed.match(text, position)
        if gone:
            self.vanished += 1
            return gone.end()
        if not final and len(text) - position < LARGEST_ENTRY:
            return None
        return self._resync(flavour, position, final=final)

    def _resync(self, flavour: Flavour, position: int, *, final: bool) -> int | None:
        """Note damage here and return where the next entry seems to begin."""
        marker = MARKERS[flavour.marker]
        found = marker.search(self._text, position + 1)
        if final and not found and self._ended(flavour, position):
            self._text = b""
            self._lost = True
            return None
        if final and not found and marker.match(self._text, position):
            self._complain(position, "the last entry is broken or cut short")
            self._lost = True
            return None
        if not self._lost and not (final and not self._text[position:].strip()):
            self._complain(position, "no entry where one should be")
            self._lost = True
        if found:
            return found.start()
        return None if final else max(position + 1, len(self._text) - LARGEST_ENTRY // 2)

    def _complain(self, position: int, reason: str) -> None:
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(Damage(self._offset + position, reason))

    def _rows(self, flavour: Flavour, found: re.Match[bytes], end: int) -> int:
        """Keep an entry and those after it that differ in their digits only."""
        start = found.start()
        key_at = _digit_columns(flavour, found, 1)
        value_at = _digit_columns(flavour, found, 2)
        if not self._fits(len(key_at), len(value_at), start):
            return end
        following = self._between(flavour, end)
        stride = following - start
        count = (len(self._text) - start) // stride
        if count < _FEWEST_ALIKE:
            stride, count = end - start, 1
        for tried in {min(count, _FIRST_ALIKE): None, count: None}:
            lines = np.frombuffer(self._text, np.uint8, tried * stride, start)
            keys, values, wrong = _alike(lines.reshape(tried, stride), key_at, value_at)
            if wrong.any():
                break
        sound = int(wrong.argmax()) if wrong.any() else tried
        # A view would keep all rows that were tried.
        self.keys.append(keys[:sound].copy() if sound < tried else keys)
        self.values.append(values[:sound].copy() if sound < tried else values)
        return start + sound * stride if sound > 1 else end

    def _fits(self, key: int, value: int, position: int) -> bool:
        """Whether an entry of these sizes belongs to the same map as the ones before."""
        if not self.keys:
            return True
        expected = (self.keys[0].shape[1], self.values[0].shape[1])
        if (key, value) == expected:
            return True
        self._complain(
            position,
            f"an entry of {key} and {value} bytes among entries of {expected[0]} and {expected[1]}",
        )
        return False


def _alike(
    lines: Bytes, key_at: npt.NDArray[np.intp], value_at: npt.NDArray[np.intp]
) -> tuple[Bytes, Bytes, npt.NDArray[np.bool_]]:
    """Keys and values of lines, and which lines are not like the first but for their digits."""
    keys, bad_keys = _decode(lines, key_at)
    values, bad_values = _decode(lines, value_at)
    alike = lines == lines[0]
    for columns in (key_at, value_at):
        alike[:, columns] = alike[:, columns + 1] = True
    return keys, values, ~alike.all(axis=1) | bad_keys | bad_values


def _end_of(found: re.Match[bytes], text: bytes) -> int | None:
    """Where an entry ends; behind bpftool's decoded copy of it (maps with BTF) if it has one."""
    if not found.group().rstrip().endswith(b":"):
        return found.end()
    depth = 1
    for brace in _BRACES.finditer(text, found.end()):
        depth += 1 if brace.group() == b"{" else -1
        if not depth:
            return brace.end()
    return None


def _digit_columns(flavour: Flavour, found: re.Match[bytes], group: int) -> npt.NDArray[np.intp]:
    """Where the first digits of a list's bytes stand, from the entry's start."""
    start, end = found.span(group)
    columns = [match.start() for match in flavour.digits.finditer(found.string, start, end)]
    return np.array(columns, np.intp) - found.start()


_NIBBLES: Final = np.full(256, 0xFF, np.uint8)
for _digits in (b"0123456789abcdef", b"0123456789ABCDEF"):
    _NIBBLES[np.frombuffer(_digits, np.uint8)] = np.arange(16)


def _decode(lines: Bytes, columns: npt.NDArray[np.intp]) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """Bytes from their two digits each, and which rows hold something else there."""
    high = _NIBBLES[lines[:, columns]]
    low = _NIBBLES[lines[:, columns + 1]]
    wrong = np.asarray(((high | low) > 0xF).any(axis=1))  # noqa: PLR2004 - more than a digit's value
    return np.asarray((high << 4) | low, np.uint8), wrong
