"""One node's maps, and what became of them, as rows of a `LineTable`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ctconsole.fleet.stories import RESTARTED
from ctconsole.model.fill import in_columns
from ctconsole.model.units import day_and_time, duration, short_count, short_size
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.fill_graph import sparkline
from ctconsole.ui.widgets.fleet_rows import UNKNOWN, fill_cell, in_short
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from ctconsole.fleet.onenode import FleetMap, NodeLook
    from ctconsole.fleet.stories import FleetStory

MAP_COLUMNS: Final = (
    Column("name", "MAP", 16, grow=2, most=30, sortable=False),
    Column("note", "NOTE", 13, grow=1, most=32, rank=4, sortable=False),
    Column("fill", "FILL", 13, grow=1, most=20, sortable=False),
    Column("entries", "ENTRIES", 9, right=True, rank=1, sortable=False),
    Column("capacity", "ROOM", 9, right=True, rank=2, sortable=False),
    Column("living", "ALIVE", 8, right=True, rank=3, sortable=False),
    Column("expired", "EXPIRED", 8, right=True, rank=4, sortable=False),
    Column("came", "NEW/S", 7, right=True, rank=3, sortable=False),
    Column("evicted", "EVICT/S", 7, right=True, rank=2, sortable=False),
    Column("full_in", "FULL IN", 7, right=True, rank=1, sortable=False),
    Column("memory", "MEMORY", 8, right=True, rank=5, sortable=False),
    Column("generation", "GEN", 7, right=True, rank=6, sortable=False),
    Column("recreated_at", "OTHER MAP", 10, right=True, rank=4, sortable=False),
    Column("trend", "TREND", 12, grow=3, most=48, rank=2, sortable=False),
)


class NodeMapRows:
    """Maps of one node; the key is the map's name."""

    def __init__(self, look: NodeLook) -> None:
        self._look = look
        self._maps = look.maps

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Rows`; what needs a look stays in a narrow terminal, too."""
        if not any(note_on(one) for one in self._maps):
            return MAP_COLUMNS
        return tuple(replace(one, rank=0) if one.name == "note" else one for one in MAP_COLUMNS)

    def map(self, row: int) -> FleetMap:
        """The map of a row."""
        return self._maps[row]

    @property
    def sort(self) -> tuple[str, bool]:
        """The fullest are first."""
        return "fill", True

    def __len__(self) -> int:
        return len(self._maps)

    def key(self, row: int) -> Hashable:
        """Its name."""
        return self._maps[row].name

    def find(self, key: Hashable) -> int | None:
        """The row of a name."""
        return next((row for row, one in enumerate(self._maps) if one.name == key), None)

    def style(self, row: int) -> str:
        """What nothing is known of now is quiet."""
        return "dim" if self._maps[row].fill is None else ""

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One map."""
        one = self._maps[row]
        found: dict[str, Cell] = {
            "name": ((clean(one.name), "strong"),),
            "note": _mark(one),
            "trend": self._trend(one, widths.get("trend", 0)),
        }
        if one.fill is not None:
            found["fill"] = fill_cell(one.fill, widths.get("fill", 0), one.name)
        for name in ("entries", "capacity", "living", "expired"):
            value = getattr(one, name)
            if value is not None:
                found[name] = ((_counted(value, widths.get(name, 0)), ""),)
        for name in ("came", "evicted"):
            rate = getattr(one, name)
            if rate is not None:
                style = "crit" if name == "evicted" and rate > 0 else ""
                found[name] = ((f"{rate:,.1f}" if rate < _MANY else f"{rate:,.0f}", style),)
        if one.full_in is not None:
            found["full_in"] = ((in_short(one.full_in), ""),)
        if one.memory is not None:
            found["memory"] = ((short_size(one.memory), "dim"),)
        if one.generation is not None:
            found["generation"] = ((str(one.generation), "dim"),)
        if one.recreated_at is not None:
            ago = self._look.taken_at - one.recreated_at
            found["recreated_at"] = ((f"{in_short(max(0.0, ago))} ago", "dim"),)
        return {name: found.get(name, UNKNOWN) for name in widths}

    def _trend(self, one: FleetMap, width: int) -> Cell:
        if not one.trend:
            return UNKNOWN
        counts = in_columns(one.trend, self._look.taken_at, self._look.span, width)
        top = one.capacity or max(entries for _, entries in one.trend)
        line = sparkline([None if n is None else n / max(1, top) for n in counts])
        return ((line, "second"),)


_MANY: Final = 1000.0


def _mark(one: FleetMap) -> Cell:
    """What needs a look, in a few letters."""
    if one.split:
        return (("▲ split brain", "crit"),)
    if (following := _at_next_start(one)) is not None:
        return ((f"▲ {short_count(following)} at the next start", "warn"),)
    return (("", ""),)


def note_on(one: FleetMap) -> str:
    """The same in sentences; empty where nothing needs a look."""
    told = []
    if one.split:
        told.append("split brain: no program uses the pinned map while programs use an older one")
    if (following := _at_next_start(one)) is not None:
        told.append(f"the agent's next start gives it room for {following:,}")
    return " · ".join(told)


def _at_next_start(one: FleetMap) -> int | None:
    """The room that the agent's next start gives it; None where that is not known, or the same."""
    return None if one.capacity in {None, one.next_start} else one.next_start


def map_told(one: FleetMap) -> str:
    """A map in a line, which no narrow column cuts."""
    told = [clean(one.name)]
    if one.entries is None:
        told.append("nothing is known of it now")
    elif one.capacity is not None:
        told.append(f"{one.entries:,} of {plural(one.capacity, 'entry', 'entries')}")
    if one.living is not None:
        told.append(f"{one.living:,} alive")
    if one.expired is not None:
        told.append(f"{one.expired:,} expired")
    if note := note_on(one):
        told.append(f"▲ {note}")
    return " · ".join(told)


def _counted(value: int, width: int) -> str:
    text = f"{value:,}"
    return text if len(text) <= width else short_count(value)


STORY_COLUMNS: Final = (
    Column("when", "WHEN", 19, sortable=False),
    Column("map", "MAP", 14, grow=1, most=28, sortable=False),
    Column("what", "WHAT", 38, grow=3, most=160, sortable=False),
)


class StoryRows:
    """What happened, the newest first; the key is when and to what."""

    def __init__(self, stories: Sequence[FleetStory]) -> None:
        self._stories = stories

    def story(self, row: int) -> FleetStory:
        """That of a row."""
        return self._stories[row]

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Rows`."""
        return STORY_COLUMNS

    @property
    def sort(self) -> tuple[str, bool]:
        """The newest are first."""
        return "when", True

    def __len__(self) -> int:
        return len(self._stories)

    def key(self, row: int) -> Hashable:
        """When, and to what."""
        one = self._stories[row]
        return one.by, one.map, one.what

    def find(self, key: Hashable) -> int | None:
        """The row of a story."""
        return next((row for row in range(len(self)) if self.key(row) == key), None)

    def style(self, row: int) -> str:
        """What lost something stands out."""
        one = self._stories[row]
        return "warn" if one.lost or one.dropped else ""

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One story."""
        del widths
        one = self._stories[row]
        return {
            "when": ((day_and_time(one.by), "dim"),),
            "map": ((clean(one.map), ""),),
            "what": ((story_told(one), ""),),
        }


def story_told(one: FleetStory) -> str:
    """``resized 262,144 -> 524,288: 12,031 carried, 0 lost (within 5m)``."""
    within = duration(round(one.by - one.after))
    if one.what == RESTARTED:
        return f"agent restarted (within {within})" if one.by > one.after else "agent restarted"
    words = one.what if one.times == 1 else f"{one.what} {one.times} times"
    if one.before is not None and one.capacity is not None and one.before != one.capacity:
        words += f" {one.before:,} -> {one.capacity:,}"
    told = []
    if one.carried is not None:
        told.append(f"{one.carried:,} carried")
    if one.dropped is not None:
        told.append(f"{one.dropped:,} left behind")
    if one.lost is not None:
        told.append(f"{one.lost:,} not in the new map when that was seen")
    if not told:
        told.append("what was lost is not known: its exporter did not see it")
    return f"{words}: {', '.join(told)} (within {within})"
