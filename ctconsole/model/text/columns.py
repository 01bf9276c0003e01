"""Text of many rows at once: columns of short tokens joined into one buffer.

Formatting half a million lines one by one takes seconds; here every column is rendered for all
rows by one table lookup and copied to its place in the output by one strided assignment.

A token is a few bytes in a slot of fixed width with its length beside it. `join` writes whole
slots, left to right; what a slot holds beyond its token is overwritten by the columns after it.
The last columns of a row reach into the next row that way, so the columns are not written from
the first on but from one that follows a column of constant length, and round to it; where there
is no such column, rows are written with gaps that are taken out again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    Tokens: TypeAlias = npt.NDArray[np.void]
    Integers: TypeAlias = npt.NDArray[np.integer[Any]]
    Bytes: TypeAlias = npt.NDArray[np.uint8]

LIMB: Final = 100_000
"""Decimal numbers are cut into limbs of five digits, each one lookup."""

_LIMB_DIGITS: Final = 5

_SMALL: Final = 512
"""Tokens of a table that is cheap to copy."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One token for every row, or one for all.

    Attributes:
        tokens: void records of the slot's width, shape (n,) or () for a literal.
        lengths: bytes of each token that count, or one number for all rows.
    """

    tokens: Tokens | np.void
    lengths: Integers | int

    @property
    def width(self) -> int:
        """Bytes of a slot."""
        return self.tokens.dtype.itemsize

    @property
    def shortest(self) -> int:
        """Bytes of the shortest token."""
        return self.lengths if isinstance(self.lengths, int) else int(self.lengths.min())


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Tokens to choose from by number.

    Attributes:
        tokens: void records, shape (m,).
        lengths: u1, shape (m,).
    """

    tokens: Tokens
    lengths: Bytes

    def column(self, codes: Integers) -> TextColumn:
        """The tokens with these numbers, one for each row."""
        if len(self.tokens) > _SMALL or not len(codes):
            return TextColumn(self.tokens.take(codes), self.lengths.take(codes))
        first = int(codes.min())
        if first == codes.max():
            # What is the same in every row is no more than a literal.
            return literal(self.tokens[first].tobytes()[: self.lengths[first]])
        lengths = self.lengths.take(codes)
        # The longest tokens are rare ones, and every byte of a slot is copied in every row.
        tokens = _narrowed(self.tokens, max(1, int(lengths.max())))
        return TextColumn(tokens.take(codes), lengths)


def _narrowed(tokens: Tokens, width: int) -> Tokens:
    """The tokens in slots of so many bytes."""
    whole = tokens.dtype.itemsize
    if width >= whole:
        return tokens
    return tokens.view(np.uint8).reshape(-1, whole)[:, :width].copy().view(f"V{width}").reshape(-1)


def token_table(strings: Iterable[bytes]) -> TokenTable:
    """A table of given strings, numbered from 0, each at most 255 bytes."""
    listed = list(strings)
    width = max(1, *map(len, listed))
    padded = b"".join(text.ljust(width, b"\0") for text in listed)
    return TokenTable(np.frombuffer(padded, f"V{width}"), np.array([*map(len, listed)], np.uint8))


@cache
def literal(text: bytes) -> TextColumn:
    """The same text in every row."""
    return TextColumn(np.frombuffer(text or b"\0", f"V{len(text) or 1}")[0], len(text))


@cache
def _decimals() -> TokenTable:
    """Limbs: 0 to 99999 without leading zeros, then (from `LIMB` on) with them."""
    values = np.arange(LIMB, dtype=np.uint32)
    digits = np.empty((LIMB, _LIMB_DIGITS), np.uint8)
    for place in range(_LIMB_DIGITS - 1, -1, -1):
        values, digits[:, place] = np.divmod(values, np.uint32(10))
    digits += ord("0")
    # Slots of eight bytes: numpy copies them as one word.
    slots = np.zeros((2 * LIMB, 8), np.uint8)
    lengths = np.full(2 * LIMB, _LIMB_DIGITS, np.uint8)
    slots[LIMB:, :_LIMB_DIGITS] = digits
    for size in range(1, _LIMB_DIGITS + 1):
        first = 10 ** (size - 1) if size > 1 else 0
        slots[first : 10**size, :size] = digits[first : 10**size, _LIMB_DIGITS - size :]
        lengths[first : 10**size] = size
    return TokenTable(slots.view("V8").reshape(-1), lengths)


def decimal(values: Integers) -> list[TextColumn]:
    """Unsigned numbers as decimal text; as many columns as the largest one has limbs."""
    table = _decimals()
    if not len(values) or (largest := int(values.max())) < LIMB:
        return [table.column(values)]
    limbs: list[Integers] = []
    rest = values
    while largest >= LIMB:
        quotient = rest // rest.dtype.type(LIMB)
        limbs.append((rest - quotient * rest.dtype.type(LIMB)).astype(np.intp))
        rest, largest = quotient, largest // LIMB
    return _spell(table, rest.astype(np.intp), limbs)


def _spell(table: TokenTable, leading: Integers, limbs: list[Integers]) -> list[TextColumn]:
    """Columns for numbers given as limbs, the ones in ``limbs`` least significant first."""
    started = leading > 0
    first = table.column(leading)
    columns = [TextColumn(first.tokens, first.lengths * started)]
    for position in range(len(limbs) - 1, -1, -1):
        limb = limbs[position]
        column = table.column(limb + started * LIMB)
        started = started | (limb > 0)
        # The last limb of 0 is the digit 0; any other is nothing while no digit came before it.
        columns.append(
            column if position == 0 else TextColumn(column.tokens, column.lengths * started)
        )
    return columns


_MINUS: Final = token_table([b"", b"-"])


def signed(values: npt.NDArray[np.int64]) -> list[TextColumn]:
    """Signed numbers as decimal text."""
    minus = _MINUS.column((values < 0).astype(np.intp))
    return [minus, *decimal(np.abs(values))]


@cache
def hex_bytes(before: bytes, after: bytes = b"") -> TokenTable:
    """All bytes as two hexadecimal digits, between two given texts."""
    return token_table(before + b"%02x" % value + after for value in range(256))


def rows_of(table: Callable[[int], bytes], count: int = 256) -> TokenTable:
    """A table of ``count`` tokens given by a function of their number."""
    return token_table(table(number) for number in range(count))


def join(columns: Sequence[TextColumn], rows: int) -> Bytes:
    """The text of all rows, each its columns one after the other.

    Args:
        columns: tokens of ``rows`` rows each, or literals.
        rows: how many.

    Returns:
        The text, u1.
    """
    if not rows:
        return np.empty(0, np.uint8)
    columns = _merged(columns)
    begin = _first_to_write(columns)
    gap = 0 if begin is not None else max(column.width for column in columns)
    first = begin or 0
    before = np.zeros(rows, np.intp)
    for column in columns[:first]:
        before += column.lengths
    sizes = before.copy()
    for column in columns[first:]:
        sizes += column.lengths
    ends = np.cumsum(sizes + gap)
    starts = ends - sizes - gap
    out = np.empty(int(ends[-1]) + max(column.width for column in columns), np.uint8)
    _write(out, columns[first:], before + starts)
    _write(out, columns[:first], starts.copy())
    return out[: ends[-1]] if not gap else _without_gaps(out, starts, starts + sizes)


def _merged(columns: Sequence[TextColumn]) -> list[TextColumn]:
    """The columns with neighbouring literals made one: each column costs a pass over the rows."""
    merged: list[TextColumn] = []
    text = b""
    for column in columns:
        if isinstance(column.lengths, int):
            text += column.tokens.tobytes()[: column.lengths]
            continue
        if text:
            merged.append(literal(text))
            text = b""
        merged.append(column)
    return [*merged, literal(text)] if text else merged


def _write(out: Bytes, columns: Sequence[TextColumn], cursor: npt.NDArray[np.intp]) -> None:
    """Copy columns to their places, the first at ``cursor``, which moves along."""
    for column in columns:
        tokens = column.tokens
        # Slots that start at any byte: a view of overlapping items, one byte apart.
        slots = np.ndarray((len(out) - column.width + 1,), tokens.dtype, out, 0, (1,))
        slots[cursor] = tokens
        cursor += column.lengths


def _first_to_write(columns: Sequence[TextColumn]) -> int | None:
    """The column to begin with, so that every slot's excess is overwritten (see the module).

    None where there is no such column: too many of them may be short.
    """
    shortest = [column.shortest for column in columns]
    excess = [column.width - short for column, short in zip(columns, shortest, strict=True)]
    for start in range(len(columns)):
        order = [*range(start, len(columns)), *range(start)]
        covered = 0
        for index in reversed(order):
            if excess[index] > covered:
                break
            covered += shortest[index]
        else:
            return start
    return None


def _without_gaps(out: Bytes, starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> Bytes:
    """The bytes of the rows alone, where room was left behind each for the excess."""
    edges = np.zeros(len(out) + 1, np.int8)
    edges[starts] += 1
    edges[ends] -= 1
    return out[np.cumsum(edges[:-1], dtype=np.int8).view(np.bool_)]
