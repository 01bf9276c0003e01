"""One text that holds listings of several kinds, one after the other, as a script's output does.

Each kind is read by its own reader. A reader is given the lines of its sections only; in the place
of the others it gets a `Gap`, so that it still counts lines and bytes as they stand in the file.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import IO, TYPE_CHECKING, Final

from ctconsole.model.readers import lines as reading
from ctconsole.model.readers.lines import Gap
from ctconsole.model.whose import NOBODY, Whose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LONGEST_LINE: Final = 1 << 20
"""Bytes; a line that is longer, as of a document, is taken in pieces."""

IN_MEMORY: Final = 1 << 22
"""Bytes of a section that are kept in memory; what is longer is kept in a file meanwhile."""

MOST_KNOWN: Final = 1 << 10
"""Lines of which what they tell is kept in mind."""

AHEAD: Final = 1 << 12
"""Bytes of a document that tell what it is."""

_OPENS: Final = re.compile(rb'[\[{]\s*(?:["{\[}\]]|\Z)')
_LIST: Final = re.compile(r"\[\s*[{\[]?")
_NEXT: Final = re.compile(r"\n(?=[\[{])")
_INNER: Final = (b" ", b"\t", b'"')
_INSIDE: Final = (*_INNER, b",", b"}", b"]", b"\n", b"\r")
_BORDERS: Final = (b"\n{", b"\n[", b"\n}", b"\n]")
"""What may stand between two documents, of whole lines."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of listing.

    Attributes:
        begins: whether a line, without what other tools put before it, can only be of this kind;
            of JSON whether a text that begins with a document does.
        every: what every line of it has, so that a whole block needs no closer look; None where
            lines differ.
        by_node: whether the sections of each node are read apart, since the reader itself does not
            tell them apart.
        document: whether it is JSON: a line that opens no document and closes none tells nothing.
        heads: how every line begins that may end it, of tables whose lines say nothing by
            themselves.
    """

    begins: Callable[[str], bool]
    every: bytes | None = None
    by_node: bool = False
    document: bool = False
    heads: bytes = b""


@dataclass
class _Kept:
    """The lines of one kind that stand behind those of another."""

    file: IO[bytes] = field(default_factory=lambda: tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - read and closed later
    runs: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Of each run: lines and bytes before it that are others', its own bytes, and the line above
    that names its node."""
    lines: int = 0
    size: int = 0


class Sections:
    """Takes a text apart.

    Args:
        blocks: the text's bytes in order.
        kinds: the kinds there may be.
        first: the kind of the lines before any that tell.
    """

    def __init__(self, blocks: Iterable[bytes], kinds: Sequence[Kind], first: int) -> None:
        self._blocks = iter(blocks)
        self._kinds = kinds
        # What a line tells is asked of many kinds, and damage repeats itself.
        self._tells = lru_cache(MOST_KNOWN)(partial(_told, tuple(enumerate(kinds))))
        self._first = first
        self._now = first
        self._is_cut = False
        self._whose = NOBODY
        self._named = ""
        self._kept: dict[tuple[int, Whose], _Kept] = {}
        self._lines = 0
        self._size = 0

    def main(self) -> Iterator[bytes]:
        """The lines of the first kind; what is behind it is kept for `others`."""
        rest = b""
        for block in self._blocks:
            rest += block
            # What a document is may be told by lines below its first one.
            end = rest.rfind(b"\n", 0, max(0, len(rest) - AHEAD)) + 1
            if end:
                yield from self._part(rest[:end], rest[end:])
                rest = rest[end:]
            if len(rest) > LONGEST_LINE:
                yield from self._part(rest)
                rest = b""
        if rest:
            yield from self._part(rest)

    def others(self) -> Iterator[tuple[int, Whose, Iterator[bytes]]]:
        """The other kinds, each with its lines; the node is told of kinds that are read by node."""
        for _ in self.main():
            pass
        for (kind, whose), kept in self._kept.items():
            with kept.file:
                kept.file.seek(0)
                yield kind, whose, _again(kept)

    def _part(self, block: bytes, behind: bytes = b"") -> Iterator[bytes]:
        """Whole lines: those of the first kind, and gaps for the others.

        Args:
            block: the lines.
            behind: some of the text that follows.
        """
        if self._now == self._first and _is_all(self._kinds[self._now], block):
            self._is_cut = not block.endswith(b"\n")
            self._lines += block.count(b"\n")
            self._size += len(block)
            yield block
            return
        own: list[bytes] = []
        lines = size = at = 0
        text = block + behind
        for line in _ends_kept(block):
            here = self._is(line, text, at)
            at += len(line)
            # The first kind's reader does not tell nodes apart either, where no reader of it does.
            apart = self._kinds[here].by_node and bool(self._whose)
            if here == self._first and not apart:
                if lines:
                    yield Gap(lines, size, self._named)
                    lines = size = 0
                own.append(line)
            else:
                if own:
                    yield b"".join(own)
                    own = []
                self._keep(here, line)
                lines += line.endswith(b"\n")
                size += len(line)
            self._lines += line.endswith(b"\n")
            self._size += len(line)
        if own:
            yield b"".join(own)
        if lines:
            yield Gap(lines, size, self._named)

    def _is(self, line: bytes, whole: bytes, at: int) -> int:
        """The kind of a line, which stands in a text."""
        goes_on, self._is_cut = self._is_cut, not line.endswith(b"\n")
        if goes_on:
            return self._now
        if _OPENS.match(line):
            self._open(_document(whole, at))
            return self._now
        now = self._kinds[self._now]
        if (now.document and line[:1] in _INSIDE) or not line.startswith(now.heads):
            return self._now
        text = reading.unprefixed(line.decode("utf-8", "replace").rstrip("\r\n"))
        if not now.begins(text):
            told, whose = self._tells(text)
            if told is not None:
                self._now = told
            if whose:
                self._whose, self._named = whose, text
        return self._now

    def _open(self, text: str) -> None:
        """Take the kind of a document; one that does not tell is of the kind before it."""
        now = self._kinds[self._now]
        if now.document and now.begins(text):
            return
        for number, kind in enumerate(self._kinds):
            if kind.document and kind.begins(text):
                self._now = number
                return

    def _keep(self, kind: int, line: bytes) -> None:
        whose = self._whose if self._kinds[kind].by_node else NOBODY
        kept = self._kept.get((kind, whose))
        if kept is None:
            kept = self._kept[kind, whose] = _Kept()
        kept.file.write(line)
        gap = self._lines - kept.lines, self._size - kept.size
        if kept.runs and gap == (0, 0):
            before = kept.runs[-1]
            kept.runs[-1] = (*before[:2], before[2] + len(line), before[3])
        else:
            kept.runs.append((*gap, len(line), self._named))
        kept.lines = self._lines + line.endswith(b"\n")
        kept.size = self._size + len(line)


def _told(kinds: Iterable[tuple[int, Kind]], text: str) -> tuple[int | None, Whose]:
    """The kind that a line begins, and whose lines follow it; None and nobody where it tells none.

    A document can only begin where one is opened.
    """
    opens = text.startswith(("[", "{"))
    begun = (number for number, kind in kinds if (opens or not kind.document) and kind.begins(text))
    return next(begun, None), reading.whose_section(text)


def _is_all(kind: Kind, block: bytes) -> bool:
    """Whether nothing in a block can be of another kind than the one before it."""
    if kind.every is not None and block.count(kind.every) == block.count(b"\n"):
        return True
    if kind.heads and not block.startswith(kind.heads):
        return b"\n" + kind.heads not in block
    return kind.document and block[:1] in _INNER and not any(mark in block for mark in _BORDERS)


def _document(whole: bytes, at: int) -> str:
    """The beginning of the document that is opened here, up to where the next one may begin."""
    text = whole[at : at + AHEAD].decode("utf-8", "replace")
    # A list may stand alone in its line, and its first object below it.
    first = _LIST.match(text)
    following = _NEXT.search(text, first.end() if first else 1)
    return text[: following.start() + 1] if following else text


def _ends_kept(block: bytes) -> Iterator[bytes]:
    """Lines with their ends; the last one may have none."""
    *whole, last = block.split(b"\n")
    for line in whole:
        yield line + b"\n"
    if last:
        yield last


def _again(kept: _Kept) -> Iterator[bytes]:
    """What was kept, with gaps for what stood between."""
    for lines, size, length, named in kept.runs:
        yield Gap(lines, size, named)
        yield kept.file.read(length)
