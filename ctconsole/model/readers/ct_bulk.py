"""Many printed conntrack entries at once: lines that all look alike, read as columns of bytes.

A listing of half a million entries is lines of one shape, one after the other. Where every line
of a piece of text is such a line, in the very form in which the tool prints it and with IPv4
addresses, its numbers are found by where the ``=``, ``:`` and ``.`` stand. Anything else is left
to whoever reads line by line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.readers.ct_entries import Columns
from ctconsole.model.readers.ct_shapes import BARE, printed_labels, protocol_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.readers.ct_shapes import Shape

    _Places: TypeAlias = npt.NDArray[np.int64]
    _Numbers: TypeAlias = npt.NDArray[np.uint64]

_NONE: Final = 255
_DIGITS: Final = np.full(256, _NONE, np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_MOST_DIGITS: Final = 19
"""Of a number that fits in 64 bits for certain."""

_FLAGS: Final = re.compile(rb"(?:0x)?([0-9a-f]{1,4})(?: \[ (?:\w{1,20} ){0,16}\])?", re.ASCII)
_LONGEST_FLAGS: Final = 360
_LONGEST_WORD: Final = 8
_REMARKS: Final = (b"", b" related", b" service", b" related service")
_REMAINING: Final = b" (remaining: ", b" sec(s))"
_SINGLE: Final = b"=", b":", b"."
_COLONS, _DOTS, _BLANKS = 2, 6, 5
_OCTET: Final = 0xFF
_EIGHT: Final = 8
_TEN: Final = 10
_BEFORE: Final = 3 * _EIGHT
"""Bytes in front of the first line, into which the longest number at its begin would reach."""

_ZEROS, _HIGH, _LOW, _SIX = (
    np.uint64(int.from_bytes(bytes([byte] * _EIGHT))) for byte in (0x30, 0xF0, 0x0F, 6)
)
"""Eight digits 0; what all digits have in common; the rest; what is too much from ten on."""

_PAIRS, _FOURS, _ALL = (np.uint64((_TEN**digits << 8 * digits) + 1) for digits in (1, 2, 4))
_OF_PAIRS, _OF_FOURS = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
"""Products that join neighbours, and where each of the joined numbers is."""


class NotAlikeError(Exception):
    """Some line is not as the others; not for people."""


def alike(text: bytes, shape: Shape) -> Columns | None:
    """The columns of a text all of whose lines are entries of a shape; else None.

    Args:
        text: whole lines, each with its end.
        shape: what they are to look like.
    """
    try:
        return _Text(text).columns(shape)
    except NotAlikeError:
        return None


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of each line: from where to before where."""

    start: _Places
    end: _Places


class _Text:
    """Lines as one array of bytes."""

    def __init__(self, text: bytes) -> None:
        # What is looked at behind the last line is there.
        padded = np.frombuffer(bytes(_BEFORE) + text + bytes(_LONGEST_FLAGS), np.uint8)
        self._bytes = padded[_BEFORE:]
        # Eight bytes from each place on, so that one look takes in a short word.
        self._eights: _Numbers = np.ndarray(
            (len(padded) - _EIGHT + 1,), "<u8", buffer=padded, strides=(1,)
        )
        ends = np.flatnonzero(self._bytes == ord("\n"))
        self._start = np.concatenate([[0], ends[:-1] + 1])
        self._end = ends - (self._bytes[ends - 1] == ord(" "))
        self._lines = len(ends)

    def columns(self, shape: Shape) -> Columns:
        """See `alike`.

        Raises:
            NotAlikeError: some line is another.
        """
        names = ("expires", *(_printed(label) for label in shape.labels))
        equals = self._each(b"=", len(names))
        labels = [f" {name}".encode() for name in names]
        for column, label in enumerate(labels):
            self._stands(equals[:, column] - len(label), label)
        begins = [equals[:, column] - len(label) for column, label in enumerate(labels)]
        ends = [*begins[1:], self._end]
        spans = [_Span(equals[:, c] + 1, end) for c, end in enumerate(ends)]
        lifetime, remaining = self._expires(spans[0])
        colons = _COLONS + (remaining is not None)
        values = {
            label: self._field(label, span)
            for label, span in zip(shape.labels, spans[1:], strict=True)
        }
        head = self._head(begins[0], colons)
        return head._replace(lifetime=lifetime, values=values, remaining=remaining)

    def _head(self, end: _Places, colons: int) -> Columns:
        """What stands before ``expires``, and nothing behind it."""
        colon = self._each(b":", colons)
        dot = self._each(b".", _DOTS)
        blanks = np.flatnonzero(self._bytes == ord(" "))
        first = np.searchsorted(blanks, self._start)
        blank = [blanks[np.minimum(first + number, len(blanks) - 1)] for number in range(_BLANKS)]
        _check(blank[1] < dot[:, 0])
        _check(dot[:, 2] < colon[:, 0])
        _check(colon[:, 0] < blank[2])
        self._stands(blank[2], b" -> ")
        _check(blank[3] == blank[2] + len(" ->"))
        _check(blank[3] < dot[:, 3])
        _check(dot[:, 5] < colon[:, 1])
        _check(colon[:, 1] < blank[4])
        _check(blank[4] <= end)
        names = protocol_numbers()

        def number(word: bytes) -> int:
            text = word.decode("latin-1")
            if text in names:
                return names[text]
            # Every release has a name for TCP, whose entries have a map of their own.
            if not word.isdigit() or int(word) > _OCTET or int(word) == IpProtocol.TCP:
                raise NotAlikeError
            return int(word)

        def direction(word: bytes) -> bytes:
            if word not in {b"IN", b"OUT", b"SVC"}:
                raise NotAlikeError
            return word

        def remark(word: bytes) -> int:
            if word not in _REMARKS:
                raise NotAlikeError
            return _REMARKS.index(word)

        remarks = self._words(_Span(blank[4], end), len(_REMARKS[-1]), remark)
        return Columns(
            self._words(_Span(self._start, blank[0]), _LONGEST_WORD, number).astype(np.uint64),
            self._words(_Span(blank[0] + 1, blank[1]), _LONGEST_WORD, direction),
            self._address(blank[1], dot[:, :3], colon[:, 0]),
            self._address(blank[3], dot[:, 3:], colon[:, 1]),
            self._number(_Span(colon[:, 0] + 1, blank[2]), most=5),
            self._number(_Span(colon[:, 1] + 1, blank[4]), most=5),
            (remarks & 1) > 0,
            (remarks & 2) > 0,
            lifetime=np.empty(0, np.uint64),
            values={},
        )

    def _address(self, before: _Places, dots: _Places, end: _Places) -> _Numbers:
        starts = [before, *dots.T]
        ends = [*dots.T, end]
        octets = [self._number(_Span(s + 1, e), most=3) for s, e in zip(starts, ends, strict=True)]
        found = np.stack(octets, axis=1)
        _check(found <= _OCTET)
        return found

    def _expires(self, span: _Span) -> tuple[_Numbers, npt.NDArray[np.int64] | None]:
        before, after = _REMAINING
        told = self._bytes[span.end - 1] == ord(")")
        if not told.any():
            return self._number(span, most=10), None
        _check(told)
        opened = self._each(b"(", 2)[:, 0] - 1
        self._stands(opened, before)
        self._stands(span.end - len(after), after)
        start, end = opened + len(before), span.end - len(after)
        minus = self._bytes[start] == ord("-")
        left = self._number(_Span(start + minus, end), most=12).astype(np.int64)
        return self._number(_Span(span.start, opened), most=10), np.where(minus, -left, left)

    def _field(self, label: str, span: _Span) -> _Numbers:
        if label == "flags":

            def bits(word: bytes) -> int:
                found = _FLAGS.fullmatch(word)
                if found is None:
                    raise NotAlikeError
                return int(found[1], 16)

            return self._words(span, _LONGEST_FLAGS, bits).astype(np.uint64)
        if label in BARE:
            self._stands(span.start, b"0x")
            return self._number(_Span(span.start + 2, span.end), most=2, base=16)
        return self._number(span, most=_MOST_DIGITS)

    def _each(self, byte: bytes, count: int) -> _Places:
        """Where a byte stands, i8 of shape (lines, count): as often as that in each line."""
        found = np.flatnonzero(self._bytes == byte[0])
        if len(found) != count * self._lines:
            raise NotAlikeError
        places = found.reshape(self._lines, count)
        _check(places[:, 0] >= self._start)
        _check(places[:, -1] < self._end)
        return places

    def _stands(self, places: _Places, text: bytes) -> None:
        """See that a text stands at each place."""
        _check(places >= 0)
        for offset in range(0, len(text), _EIGHT):
            part = text[offset : offset + _EIGHT]
            there = self._eights[places + (_BEFORE + offset)]
            _check(there & _first(len(part)) == np.uint64(int.from_bytes(part, "little")))

    def _words(self, span: _Span, longest: int, meant: Callable[[bytes], Any]) -> npt.NDArray[Any]:
        """What each line's word means, of which there are a few different ones."""
        width = span.end - span.start
        _check(width >= 0)
        _check(width <= longest)
        most = max(1, int(width.max()))
        if most <= _EIGHT:
            short = self._eights[span.start + _BEFORE] & _FIRST[width]
            some, where = np.unique(short, return_inverse=True)
            read = [meant(word.to_bytes(_EIGHT, "little").rstrip(b"\0")) for word in some.tolist()]
            return np.asarray(np.array(read)[where])
        letters = np.arange(most)
        cells = self._bytes[span.start[:, np.newaxis] + letters]
        cells = np.where(letters < width[:, np.newaxis], cells, 0).astype(np.uint8)
        words = np.ascontiguousarray(cells).view(f"S{most}").ravel()
        each, of = np.unique(words, return_inverse=True)
        return np.array([meant(bytes(word)) for word in each])[of]

    def _number(self, span: _Span, *, most: int, base: int = 10) -> _Numbers:
        """The number that is all of each line's span."""
        width = span.end - span.start
        _check(width >= 1)
        _check(width <= most)
        if base == _TEN:
            return self._decimal(span.end, width)
        total = np.zeros(self._lines, np.uint64)
        least = int(width.min())
        for place in range(int(width.max())):
            digit = _DIGITS[self._bytes[span.start + place]]
            if place < least:
                _check(digit < base)
                total = total * np.uint64(base) + digit
            else:
                there = place < width
                _check((digit < base) | ~there)
                total = np.where(there, total * np.uint64(base) + digit, total)
        return total

    def _decimal(self, end: _Places, width: _Places) -> _Numbers:
        """The numbers that end there, eight digits at a time from the last ones on."""
        total = self._eight_digits(end, np.minimum(width, _EIGHT))
        for done in range(_EIGHT, int(width.max()), _EIGHT):
            more = self._eight_digits(end - done, (width - done).clip(0, _EIGHT))
            total = total + more * np.uint64(_TEN**done)
        return total

    def _eight_digits(self, end: _Places, width: _Places) -> _Numbers:
        """The numbers of up to eight digits that end there."""
        # What stands in front of a number is moved out; its last digit is the highest byte.
        moved = ((_EIGHT - width) * 8).astype(np.uint64)
        digits = self._eights[end + (_BEFORE - _EIGHT)] >> moved << moved
        _check(digits & _HIGH == _ZEROS >> moved << moved)
        digits = digits & _LOW
        _check((digits + _SIX) & _HIGH == 0)
        # Neighbours are joined: eight digits, four pairs, two fours, one number.
        digits = digits * _PAIRS >> np.uint64(8) & _OF_PAIRS
        digits = digits * _FOURS >> np.uint64(16) & _OF_FOURS
        return digits * _ALL >> np.uint64(32)


def _first(count: int) -> np.uint64:
    """Bits of the first so many of eight bytes."""
    return np.uint64((1 << 8 * count) - 1)


_FIRST: Final = np.array([_first(count) for count in range(_EIGHT + 1)])


def _check(holds: npt.NDArray[np.bool_]) -> None:
    if not holds.all():
        raise NotAlikeError


@cache
def _printed(label: str) -> str:
    """A label as the tools print it; one that none prints is in no line."""
    return printed_labels().get(label, "\0")
