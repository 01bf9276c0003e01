"""The node's maps as rows of a `LineTable`."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

from ctconsole.model.catalogue import NOT_USED, Group
from ctconsole.model.fill import in_columns
from ctconsole.model.units import duration, percent, short_count, short_size
from ctconsole.observe.alarms import advice_of, full_of
from ctconsole.observe.sampler import standing, without_entries
from ctconsole.ui.levels import bar, level_of
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.fill_graph import sparkline
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ctconsole.model.advice import Advice
    from ctconsole.model.fullness import Fullness
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.observe.usage import MapUsage
    from ctconsole.ui.widgets.ct_rows import Sorting

COLUMNS = (
    Column("name", "MAP", 26, grow=1, most=32),
    Column("group", "GROUP", 19, rank=9),
    Column("type", "TYPE", 12, rank=8),
    Column("id", "ID", 6, right=True, rank=8),
    Column("fill", "FILL", 16, grow=3, most=32),
    Column("entries", "ENTRIES", 10, right=True),
    Column("maximum", "MAX", 10, right=True),
    Column("free", "FREE", 9, right=True, rank=7),
    Column("alive", "ALIVE", 9, right=True, rank=1),
    Column("dead", "DEAD", 8, right=True, rank=1),
    Column("read", "AGE", 4, right=True, rank=1),
    Column("new", "NEW/S", 6, right=True, rank=3),
    Column("gone", "GONE/S", 6, right=True, rank=5),
    Column("evicted", "EVICT/S", 7, right=True, rank=4),
    Column("full_in", "FULL IN", 7, right=True, rank=2),
    Column("memory", "MEMORY", 8, right=True),
    Column("trend", "LAST 10 MIN", 12, right=True, grow=1, most=16, rank=6, sortable=False),
)

TREND_SECONDS = 600.0
"""What the column of that name shows; it is scaled from empty to full."""

_FIRST = (Group.CONNTRACK, Group.NAT, Group.LOAD_BALANCING, Group.POLICY)
"""The groups a person looks for first; the others follow in the catalogue's order."""

_PLACES = {group: place for place, group in enumerate(dict.fromkeys((*_FIRST, *Group)))}

_OLD = 10.0
"""Seconds after which ALIVE and DEAD are dimmed: they were counted so long ago."""

_SOON, _LATE = 3600.0, 9 * 86400.0
"""Seconds: to be full so soon is told louder; what takes longer than the other is not near."""

_BAR_TEXT = 7
"""Cells of a fill column behind the bar: blank, glyph, percentage with sign, blank."""


def _group_order(row: MapRow) -> tuple[int, str]:
    return _PLACES[row.group], row.info.label


_SORT_KEYS: dict[str, Callable[[MapRow], object]] = {
    "name": lambda row: row.name,
    "group": _group_order,
    "type": lambda row: row.info.type.name,
    "id": lambda row: row.info.id,
    "fill": lambda row: row.fill if row.fill is not None else -1.0,
    "entries": lambda row: row.entries if row.entries is not None else -1,
    "maximum": lambda row: row.info.max_entries,
    "free": lambda row: row.info.max_entries - (row.entries or 0) if row.fill is not None else -1,
    "memory": lambda row: row.info.memlock or 0,
}


class MapRows:
    """Maps, sorted; keys are `MapRow.key`."""

    def __init__(self, sample: Sample, sorting: Sorting) -> None:
        self._sorting = sorting
        self._sample = without_entries(sample)
        self._usage = standing(sample)
        self._full: dict[str, Fullness | None] = {}
        self._advice: dict[str, Advice | None] = {}
        rows = sample.node.rows if sample.node else ()
        ordered = sorted(rows, key=_group_order)
        counted: dict[str, Callable[[MapRow], object]] = {
            "alive": self._alive,
            "dead": self._dead,
            "read": self._age,
            "full_in": self._full_in,
            **{name: partial(self._rate, name) for name in ("new", "gone", "evicted")},
        }
        key = {**_SORT_KEYS, **counted}[sorting.column]
        self._rows = sorted(
            ordered,
            key=key,  # type: ignore[arg-type] # one column's keys compare
            reverse=sorting.descending,
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    @property
    def sort(self) -> tuple[str, bool]:
        """What the rows are sorted by."""
        return self._sorting.column, self._sorting.descending

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, row: int) -> MapRow:
        """The map of a row."""
        return self._rows[row]

    def key(self, row: int) -> str:
        """The map's key."""
        return self._rows[row].key

    def find(self, key: Hashable) -> int | None:
        """The row of a map's key."""
        return next((i for i, row in enumerate(self._rows) if row.key == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """The cells of one map."""
        found = self._rows[row]
        info = found.info
        entries = "-" if found.entries is None else f"{found.entries:,}"
        cells: dict[str, Cell] = {
            "name": ((clean(found.name), "strong" if found.is_conntrack else ""),),
            "group": ((found.group, "dim"),),
            "type": ((info.type.name.lower(), "dim"),),
            "id": ((str(info.id), "dim"),),
            "entries": (
                (entries if found.exact else f"~{entries}", "" if found.entries else "dim"),
            ),
            "maximum": ((f"{info.max_entries:,}" if info.max_entries else "-", "dim"),),
            "memory": ((short_size(info.memlock) if info.memlock else "-", "dim"),),
        }
        cells |= self._lives(found)
        cells |= self._moves(found)
        if "fill" in widths:
            cells["fill"] = self._fill(found, widths["fill"])
        if "trend" in widths:
            cells["trend"] = self._trend(found, widths["trend"])
        return cells

    def _lives(self, found: MapRow) -> dict[str, Cell]:
        """How much of it lives, and when that was counted."""
        stats = self._sample.stats.get(found.key)
        alive, dead = self._alive(found), self._dead(found)
        age = self._age(found)
        old = age >= _OLD
        # Counted at another moment than the entries, which nothing but AGE tells otherwise, and
        # that column may stand outside of a narrow screen.
        sign = "~" if alive + dead != found.entries else ""
        return {
            "alive": ((f"{sign}{alive:,}" if alive >= 0 else "", "dim" if old else ""),),
            "dead": ((f"{sign}{dead:,}" if dead >= 0 else "", "dim" if old else "expired"),),
            "read": ((_short(age) if stats and age >= 0 else "", "dim"),),
        }

    def _moves(self, found: MapRow) -> dict[str, Cell]:
        """What comes and goes, and where that leads."""
        cells: dict[str, Cell] = {}
        free = found.info.max_entries - (found.entries or 0)
        cells["free"] = ((f"{max(0, free):,}" if found.fill is not None else "", "dim"),)
        for name in ("new", "gone", "evicted"):
            rate = self._rate(name, found)
            loud = "crit" if name == "evicted" and rate >= 1 else ""
            cells[name] = ((short_count(round(rate)) if rate >= 0 else "", loud),)
        advice = self._advised(found)
        if self._fullness(found) is not None:
            cells["full_in"] = (("FULL", "crit"),)
        elif found.fill and advice is not None and advice.full_in is not None:
            soon = "warn" if advice.full_in < _SOON else "dim"
            text = duration(round(advice.full_in)) if advice.full_in < _LATE else "> 9d"
            cells["full_in"] = ((text, soon),)
        return cells

    def _fill(self, found: MapRow, width: int) -> Cell:
        stats = self._sample.stats.get(found.key)
        gone = stats.kinds.expired / max(1, stats.kinds.entries) if stats else 0.0
        usage = self._usage.get(found.key)
        said = _use_cell(usage, width) if usage and usage.older and not found.programs else None
        if said is None and found.is_idle:
            said = _idle_cell(width, known=usage is not None)
        full, name = self._fullness(found) is not None, found.info.label
        return said or fill_cell(found.fill, width, gone, full=full, name=name)

    def _fullness(self, row: MapRow) -> Fullness | None:
        if row.key not in self._full:
            self._full[row.key] = full_of(self._sample, row)
        return self._full[row.key]

    def _advised(self, row: MapRow) -> Advice | None:
        if row.key not in self._advice:
            self._advice[row.key] = advice_of(self._sample, row)
        return self._advice[row.key]

    def _full_in(self, row: MapRow) -> float:
        """Seconds until it is full, 0 where it is; more than any where it does not get there."""
        if self._fullness(row) is not None:
            return 0.0
        advice = self._advised(row) if row.fill else None
        return math.inf if advice is None or advice.full_in is None else advice.full_in

    def _rate(self, name: str, row: MapRow) -> float:
        """One of the numbers of a `Turnover`; -1 where it is not known."""
        turnover = self._sample.turnovers.get(row.key)
        rate: float | None = getattr(turnover, name, None)
        return -1.0 if rate is None else rate

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""

    def _alive(self, row: MapRow) -> int:
        """Living entries; -1 for a map that is not conntrack's, or not read yet."""
        stats = self._sample.stats.get(row.key)
        return stats.kinds.alive if stats and stats.clock else -1

    def _age(self, row: MapRow) -> float:
        """Seconds since these two were counted; -1 likewise."""
        at = self._sample.read_at.get(row.key, 0.0)
        return max(0.0, self._sample.taken_at - at) if at else -1.0

    def _dead(self, row: MapRow) -> int:
        """Expired entries; -1 likewise."""
        stats = self._sample.stats.get(row.key)
        return stats.kinds.expired if stats and stats.clock else -1

    def _trend(self, row: MapRow, width: int) -> Cell:
        trend = self._sample.trends.get(row.key, ())
        if not trend:
            return (("", ""),)
        counts = in_columns(trend, trend[-1][0], TREND_SECONDS, width)
        # From empty to full, as the bar: a table full all the time is high all the time.
        top = row.info.max_entries if row.fill is not None else 0
        top = top or max(count for count in counts if count is not None)
        line = sparkline([None if n is None else n / max(1, top) for n in counts])
        return ((line, "second" if trend[-1][1] else "dim"),)


def _short(seconds: float) -> str:
    """An age in at most four cells."""
    if seconds < 1:
        return "now"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _idle_cell(width: int, *, known: bool) -> Cell:
    """Why a map is empty; shorter where the column is narrow.

    Args:
        width: of the column.
        known: whether it was asked if programs use an older generation of it.
    """
    text, short = (NOT_USED, "not used") if known else ("no program uses it", "no program")
    return ((text if width >= len(text) else short, "dim"),)


def _use_cell(usage: MapUsage, width: int) -> Cell:
    """Which older generation is in use in a map's stead; as much of it as there is room for."""
    older = usage.older
    if older is None:
        return ()
    since = ""
    if usage.since is not None:
        since = time.strftime(" since %H:%M", time.localtime(usage.since))
    told = (
        f"older map {older.map.id} in use{since}",
        f"map {older.map.id} in use{since}",
        f"{older.map.id} in use{since}",
        f"older {older.map.id} in use",
        f"older {older.map.id}",
    )
    return ((next((text for text in told if len(text) <= width), told[-1]), "warn"),)


def fill_cell(
    fill: float | None, width: int, dead: float = 0.0, *, full: bool = False, name: str = ""
) -> Cell:
    """A bar with glyph and percentage; a dash for a map without a count.

    Args:
        fill: entries over maximum.
        width: of the cell.
        dead: the share of the entries that has expired, 0 to 1; drawn apart.
        full: whether it takes nothing more, which it does a little below its maximum.
        name: of the map.
    """
    if fill is None:
        return (("-", "dim"),)
    level = level_of(fill, name)
    style = level.value if fill > 0 else "dim"
    said = "FULL" if full else f"{percent(fill):>4}"
    return (*bar(fill, max(4, width - _BAR_TEXT), dead, name), (f" {level.glyph}{said}", style))
