"""Who has the most entries, or moves most, as rows of a `LineTable`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.groupings import Grouping
from ctconsole.model.talkers import EntryGroup, Ranking
from ctconsole.model.units import percent, short_count, short_size
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

TOGETHER = (Grouping.SOURCE, Grouping.DESTINATION, Grouping.SERVICE)
"""What is shown at once, until somebody asks for one of them."""

_TITLES = {
    Grouping.SOURCE: "source",
    Grouping.ADDRESS: "to address",
    Grouping.DESTINATION: "destination",
    Grouping.SERVICE: "service",
    Grouping.POD: "pod",
    Grouping.NAMESPACE: "namespace",
    Grouping.IDENTITY: "identity",
    Grouping.PROTOCOL: "protocol",
}

COLUMNS = (
    Column("what", "LARGEST BY", 11, sortable=False),
    Column("who", "WHO", 22, grow=3, most=60, sortable=False),
    Column("entries", "ENTRIES", 9, right=True),
    Column("share", "SHARE", 5, right=True, sortable=False),
    Column("new", "NEW/S", 6, right=True, rank=1),
    Column("evicted", "EVICT/S", 7, right=True, rank=1),
    Column("alive", "ALIVE", 9, right=True, rank=3, sortable=False),
    Column("unanswered", "UNANSWERED", 10, right=True, rank=4, sortable=False),
    Column("packets", "PKTS/S", 7, right=True, rank=2),
    Column("bytes", "BYTES/S", 9, right=True, rank=2),
    Column("volume", "BYTES", 9, right=True, rank=5, sortable=False),
)

RANKED = {
    Ranking.ENTRIES: "entries",
    Ranking.NEW: "new",
    Ranking.PACKETS: "packets",
    Ranking.BYTES: "bytes",
    Ranking.EVICTED: "evicted",
}
"""The column of each ranking."""


@dataclass(frozen=True, slots=True)
class TopLine:
    """One row: what it was put together by, and its numbers."""

    grouping: Grouping
    talker: EntryGroup


class TopRows:
    """Rows of `TopLine`.

    Args:
        lines: in the order shown.
        entries: how many there are in all, for the shares.
        ranking: what they are ranked by.
    """

    def __init__(self, lines: Sequence[TopLine], entries: int, ranking: Ranking) -> None:
        self._lines = lines
        self._entries = max(1, entries)
        self._ranking = ranking

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    @property
    def sort(self) -> tuple[str, bool]:
        """The column ranked by."""
        return RANKED[self._ranking], True

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, row: int) -> TopLine:
        """What a row shows."""
        return self._lines[row]

    def key(self, row: int) -> Hashable:
        """What it is put together by, and its hash."""
        return self._lines[row].grouping, self._lines[row].talker.key

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return next((row for row in range(len(self)) if self.key(row) == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One row; its kind is written where it changes."""
        del widths
        line = self._lines[row]
        first = row == 0 or self._lines[row - 1].grouping is not line.grouping
        one = line.talker
        evicting = "crit" if one.evicted else "dim"
        return {
            "what": ((_TITLES[line.grouping] if first else "", "accent"),),
            "who": ((clean(one.who), ""),),
            "entries": ((f"{one.entries:,}", "strong"),),
            "share": ((percent(one.entries / self._entries), "dim"),),
            "alive": ((f"{one.alive:,}", ""),),
            "unanswered": ((f"{one.unanswered:,}", "warn" if one.unanswered else "dim"),),
            "new": ((_rate(one.new), ""),),
            "evicted": ((_rate(one.evicted), evicting),),
            "packets": ((_rate(one.packets), "dim"),),
            "volume": (("" if one.volume is None else short_size(one.volume), "dim"),),
            "bytes": (("" if one.bytes is None else short_size(round(one.bytes)), "dim"),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""


def _rate(rate: float | None) -> str:
    return "" if rate is None else short_count(round(rate))
