"""The node's maps as rows of a `LineTable`."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.model.catalogue import NOT_USED, Group
from ctconsole.model.units import short_size
from ctconsole.ui.levels import bar, level_of, percent
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.fill_graph import sparkline
from ctconsole.ui.widgets.rows import Cell, Column, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from ctconsole.model.ct.stats import Stats
    from ctconsole.model.fill import Trend
    from ctconsole.observe.source import MapRow
    from ctconsole.observe.usage import MapUsage
    from ctconsole.ui.widgets.ct_rows import Sorting

COLUMNS = (
    Column("name", "MAP", 26, grow=1, most=32),
    Column("group", "GROUP", 19, rank=4),
    Column("type", "TYPE", 12, rank=3),
    Column("id", "ID", 6, right=True, rank=2),
    Column("fill", "FILL", 14, grow=3, most=32),
    Column("entries", "ENTRIES", 10, right=True),
    Column("alive", "ALIVE", 9, right=True, rank=1),
    Column("dead", "DEAD", 8, right=True, rank=1),
    Column("read", "AGE", 4, right=True, rank=1),
    Column("maximum", "MAX", 10, right=True),
    Column("memory", "MEMORY", 8, right=True),
    Column("trend", "TREND", 12, right=True, grow=1, most=16, rank=1, sortable=False),
)

_FIRST = (Group.CONNTRACK, Group.NAT, Group.LOAD_BALANCING, Group.POLICY)
"""The groups a person looks for first; the others follow in the catalogue's order."""

_PLACES = {group: place for place, group in enumerate(dict.fromkeys((*_FIRST, *Group)))}

_OLD = 10.0
"""Seconds after which ALIVE and DEAD are dimmed: they were counted so long ago."""

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
    "memory": lambda row: row.info.memlock or 0,
}


class MapRows:
    """Maps, sorted; keys are `MapRow.key`."""

    def __init__(
        self,
        rows: Sequence[MapRow],
        trends: Mapping[str, Trend],
        sorting: Sorting,
        stats: Mapping[str, Stats] = MappingProxyType({}),
        ages: Mapping[str, float] = MappingProxyType({}),
        *,
        usage: Mapping[str, MapUsage] = MappingProxyType({}),
    ) -> None:
        self._sorting = sorting
        self._usage = usage
        self._stats = stats
        self._ages = ages
        ordered = sorted(rows, key=_group_order)
        counted = {"alive": self._alive, "dead": self._dead, "read": self._age}
        key = {**_SORT_KEYS, **counted}[sorting.column]
        self._rows = sorted(
            ordered,
            key=key,  # type: ignore[arg-type] # one column's keys compare
            reverse=sorting.descending,
        )
        self._trends = trends

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
        stats = self._stats.get(found.key)
        alive, dead = self._alive(found), self._dead(found)
        age = self._age(found)
        old = age >= _OLD
        # Counted at another moment than the entries: beside them they need their age.
        if "read" not in widths and stats and alive + dead != found.entries:
            alive = dead = -1
        cells["alive"] = ((f"{alive:,}" if alive >= 0 else "", "dim" if old else ""),)
        cells["dead"] = ((f"{dead:,}" if dead >= 0 else "", "dim" if old else "expired"),)
        cells["read"] = ((_short(age) if stats and age >= 0 else "", "dim"),)
        if "fill" in widths:
            idle = found.is_idle
            gone = stats.kinds.expired / max(1, stats.kinds.entries) if stats else 0.0
            width = widths["fill"]
            usage = self._usage.get(found.key)
            said = _use_cell(usage, width) if usage and usage.older and not found.programs else None
            if said is None and idle:
                said = _idle_cell(width, known=usage is not None)
            cells["fill"] = said or fill_cell(found.fill, width, gone)
        if "trend" in widths:
            cells["trend"] = self._trend(found, widths["trend"])
        return cells

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""

    def _alive(self, row: MapRow) -> int:
        """Living entries; -1 for a map that is not conntrack's, or not read yet."""
        stats = self._stats.get(row.key)
        return stats.kinds.alive if stats and stats.clock else -1

    def _age(self, row: MapRow) -> float:
        """Seconds since these two were counted; -1 likewise."""
        return self._ages.get(row.key, -1.0)

    def _dead(self, row: MapRow) -> int:
        """Expired entries; -1 likewise."""
        stats = self._stats.get(row.key)
        return stats.kinds.expired if stats and stats.clock else -1

    def _trend(self, row: MapRow, width: int) -> Cell:
        counts = [count for _, count in self._trends.get(row.key, ())][-width:]
        if not counts:
            return (("", ""),)
        # Scaled to what changed: the bar tells how full, the trend only which way it goes.
        top = max(counts)
        span = max(top - min(counts), top / 20, 8)
        line = sparkline([(count - min(counts)) / span for count in counts], width)
        return ((line, "second" if top else "dim"),)


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


def fill_cell(fill: float | None, width: int, dead: float = 0.0) -> Cell:
    """A bar with glyph and percentage; a dash for a map without a count.

    The share of the entries that is ``dead`` (0 to 1) is drawn apart at the bar's end.
    """
    if fill is None:
        return (("-", "dim"),)
    level = level_of(fill)
    full, track = bar(fill, max(4, width - _BAR_TEXT))
    cut = len(full[0]) - round(len(full[0]) * dead)
    pieces: tuple[Piece, ...] = ((full[0][:cut], full[1]), (full[0][cut:], "expired"), track)
    style = level.value if fill > 0 else "dim"
    return (*pieces, (f" {level.glyph}{percent(fill):>4}", style))
