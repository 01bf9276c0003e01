"""Building blocks of our own listings: times, lists of names, optional and padded values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.text.columns import TextColumn, TokenTable, literal, token_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Integers: TypeAlias = npt.NDArray[np.integer[Any]]

_DAY: Final = 86400
_DAYS_AT_ONCE: Final = 64
_PAD: Final = 8


@dataclass(frozen=True, slots=True)
class Style:
    """How a format writes what is not a number.

    Attributes:
        quote: around texts.
        null: in place of what is unknown.
        opening: before a list.
        closing: behind a list.
        separator: between a list's items.
    """

    quote: bytes
    null: bytes
    opening: bytes
    closing: bytes
    separator: bytes

    def text(self, value: str) -> bytes:
        """One of our own words; they hold nothing that must be escaped."""
        return self.quote + value.encode() + self.quote

    def listed(self, items: Sequence[str]) -> bytes:
        """A list of our own words."""
        return self.opening + self.separator.join(map(self.text, items)) + self.closing


JSON: Final = Style(b'"', b"null", b"[", b"]", b",")
CSV: Final = Style(b"", b"", b"", b"", b"|")


def optional(columns: Sequence[TextColumn], present: Bools, null: bytes) -> list[TextColumn]:
    """The columns where ``present``, else ``null``."""
    if present.all():
        return list(columns)
    if not present.any():
        return [literal(null)] if null else []
    shown = [TextColumn(column.tokens, column.lengths * present) for column in columns]
    if null:
        missing = literal(null)
        shown.append(TextColumn(missing.tokens, len(null) * ~present))
    return shown


def moment(seconds: npt.NDArray[np.int64], present: Bools, style: Style) -> list[TextColumn]:
    """Seconds since the Unix epoch as RFC 3339 in UTC, ``2026-11-23T09:37:33Z``, else null."""
    days = seconds // _DAY
    first, last = (int(days.min()), int(days.max())) if len(days) else (0, 0)
    start = first // _DAYS_AT_ONCE * _DAYS_AT_ONCE
    stop = (last // _DAYS_AT_ONCE + 1) * _DAYS_AT_ONCE
    dates, clock = _dates(start, stop, style), _clock(style)
    # Behind the days is what is written where there is no time.
    date = np.where(present, days - start, stop - start)
    return [dates.column(date), clock.column(np.where(present, seconds - days * _DAY, _DAY))]


@lru_cache(maxsize=16)
def _dates(start: int, stop: int, style: Style) -> TokenTable:
    """``YYYY-MM-DDT`` for days since the epoch with the quote before; null behind the last."""
    days = np.datetime_as_string(np.arange(start, stop).astype("datetime64[D]"))
    return token_table([*(style.quote + f"{day}T".encode() for day in days), style.null])


@cache
def _clock(style: Style) -> TokenTable:
    """``HH:MM:SSZ`` for the seconds of a day with the quote behind; nothing after the last."""
    times = np.arange(_DAY, dtype=np.uint32)
    whole = np.frombuffer(b"00:00:00Z" + style.quote, np.uint8)
    text = np.zeros((_DAY + 1, len(whole)), np.uint8)
    text[:_DAY] = whole
    for column, unit, base in ((0, 36000, 3), (1, 3600, 10), (3, 600, 6), (4, 60, 10)):
        text[:_DAY, column] += (times // unit % base).astype(np.uint8)
    text[:_DAY, 6] += (times // 10 % 6).astype(np.uint8)
    text[:_DAY, 7] += (times % 10).astype(np.uint8)
    lengths = np.full(_DAY + 1, len(whole), np.uint8)
    lengths[_DAY] = 0
    return TokenTable(text.view(f"V{len(whole)}").reshape(-1), lengths)


@cache
def words(names: tuple[str, ...], style: Style) -> TokenTable:
    """Some words to choose from."""
    return token_table(style.text(name) for name in names)


BOOLEANS: Final = token_table([b"false", b"true"])


def padding(columns: Sequence[TextColumn], width: int, rows: int) -> list[TextColumn]:
    """Blanks that fill the columns up to ``width``, in slices so that no slot is wide."""
    missing = np.full(rows, width, np.intp)
    for column in columns:
        missing -= column.lengths
    blanks = literal(b" " * _PAD)
    slices = range(0, width, _PAD)
    return [TextColumn(blanks.tokens, np.clip(missing - done, 0, _PAD)) for done in slices]
