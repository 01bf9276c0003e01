"""The nodes of a fleet as rows of a `LineTable`: what is known of each, or each of its maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ctconsole.fleet.nodes import PREFIX
from ctconsole.model.units import duration, percent, short_count
from ctconsole.ui.levels import bar, level_of
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from ctconsole.fleet.nodes import FleetNode
    from ctconsole.ui.widgets.ct_rows import Sorting

COLUMNS: Final = (
    Column("node", "NODE", 14, grow=3, most=40),
    Column("up", "STATE", 6, rank=1),
    Column("fill", "FILL", 13, grow=1, most=24),
    Column("fullest", "FULLEST", 12, grow=2, most=24, rank=2),
    Column("full_in", "FULL IN", 7, right=True, rank=2),
    Column("alerts", "ALERTS", 6, right=True, rank=2),
    Column("split", "SPLIT", 5, right=True, rank=3),
    Column("lost", "LOST/H", 7, right=True, rank=3),
    Column("evicted", "EVICT/H", 7, right=True, rank=3),
    Column("refused", "REFUS/H", 7, right=True, rank=5),
    Column("entries", "ENTRIES", 8, right=True, rank=4),
    Column("living", "LIVING", 8, right=True, rank=5),
    Column("age", "SAMPLE", 6, right=True, rank=6),
    Column("agent_up_for", "AGENT UP", 8, right=True, rank=7),
    Column("release", "RELEASE", 8, rank=8),
)

STALE: Final = 120.0
"""Seconds after which a sample is old, as CtconsoleExporterStale has it."""

UNKNOWN: Final[Cell] = (("-", "dim"),)

_SHARE: Final = 6
"""Cells of a share."""

_MOST_MAPS: Final = 60
"""Columns of maps at most; a node has a score of them."""


def in_order(nodes: Sequence[FleetNode], sorting: Sorting) -> list[FleetNode]:
    """Nodes sorted by a column; those of which it is not known are last, whichever way."""

    def value(node: FleetNode) -> Any:  # noqa: ANN401 - any field's
        if sorting.column in _NAMES:
            return getattr(node, sorting.column)
        return node.fills.get(sorting.column)

    known = [node for node in nodes if value(node) is not None]
    known.sort(key=value, reverse=sorting.descending)
    return known + [node for node in nodes if value(node) is None]


_NAMES: Final = frozenset(column.name for column in COLUMNS)


class _NodeRows:
    """Rows of nodes in their order; the key is the node's name."""

    def __init__(self, nodes: Sequence[FleetNode], sorting: Sorting) -> None:
        self.nodes = nodes
        self._sorting = sorting
        self._places: Mapping[str, int] | None = None

    @property
    def sort(self) -> tuple[str, bool]:
        """See `Rows`."""
        return self._sorting.column, self._sorting.descending

    def __len__(self) -> int:
        return len(self.nodes)

    def key(self, row: int) -> Hashable:
        """The node's name."""
        return self.nodes[row].node

    def find(self, key: Hashable) -> int | None:
        """The row of a node."""
        if self._places is None:
            self._places = {node.node: place for place, node in enumerate(self.nodes)}
        return self._places.get(str(key))

    def style(self, row: int) -> str:
        """A node that does not answer is quiet but for its state."""
        return "dim" if self.nodes[row].up is False else ""


class FleetRows(_NodeRows):
    """What is known of each node."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Rows`."""
        return COLUMNS

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One node."""
        node = self.nodes[row]
        return {name: _cell(node, name, widths[name]) for name in widths}


def _cell(node: FleetNode, name: str, width: int) -> Cell:
    if name == "node":
        return ((clean(node.node), "strong"),)
    if name == "up":
        return state_cell(node)
    value = getattr(node, name)
    if value is None:
        return UNKNOWN
    if name == "fill":
        return fill_cell(value, width, node.fullest or "")
    return _CELLS[name](value, width)


def state_cell(node: FleetNode) -> Cell:
    """Whether its exporter answers, and whether what it tells is of now."""
    if node.up is False:
        return (("▲ DOWN", "crit"),)
    if node.up is None:
        return (("?", "dim"),)
    if node.age is not None and node.age > STALE:
        return (("▲ old", "warn"),)
    return (("up", "ok"),)


def fill_cell(fill: float, width: int, name: str) -> Cell:
    """A bar, the percent, and a sign where it is high for the map of such a ``map_name``."""
    level = level_of(fill, f"{PREFIX}{name}")
    return (
        *bar(fill, max(1, width - 7), name=f"{PREFIX}{name}"),
        (f" {percent(fill):>4}", level.value),
        (f" {level.glyph}", level.value),
    )


def _bad(style: str) -> Callable[[int, int], Cell]:
    """A number that should be 0."""

    def cell(value: int, width: int) -> Cell:
        text = f"{value:,}"
        return ((text if len(text) <= width else short_count(value), style if value else "dim"),)

    return cell


def _number(value: int, width: int) -> Cell:
    text = f"{value:,}"
    return ((text if len(text) <= width else short_count(value), ""),)


def _full_in(value: float, width: int) -> Cell:
    del width
    style = "crit" if value < _HOUR else "warn" if value < 4 * _HOUR else ""
    return ((in_short(value), style),)


_HOUR: Final = 3600.0

_YEAR: Final = 365 * 86_400.0


def in_short(seconds: float) -> str:
    """A duration in at most seven cells."""
    if seconds >= _YEAR:
        return ">1 year"
    return duration(round(seconds)).replace(" ", "")[:7]


_CELLS: Final[Mapping[str, Callable[[Any, int], Cell]]] = {
    "fullest": lambda value, _: ((clean(value), ""),),
    "full_in": _full_in,
    "alerts": _bad("crit"),
    "split": _bad("crit"),
    "lost": _bad("warn"),
    "evicted": _bad("crit"),
    "refused": _bad("crit"),
    "entries": _number,
    "living": _number,
    "age": lambda value, _: ((in_short(max(0.0, value)), "warn" if value > STALE else "dim"),),
    "agent_up_for": lambda value, _: ((in_short(max(0.0, value)), "dim"),),
    "release": lambda value, _: ((clean(value), "dim"),),
}


class FillRows(_NodeRows):
    """Nodes by their maps: how full each is; the maps that are fullest anywhere come first."""

    def __init__(self, nodes: Sequence[FleetNode], sorting: Sorting) -> None:
        super().__init__(nodes, sorting)
        most: dict[str, float] = {}
        for node in nodes:
            for name, fill in node.fills.items():
                most[name] = max(fill, most.get(name, 0.0))
        names = sorted(most, key=lambda name: (-most[name], name))[:_MOST_MAPS]
        # A map may be called as one of our own columns is.
        self._maps = {f"map {name}": name for name in names}
        self._columns = (
            *COLUMNS[:2],
            *(
                Column(
                    column,
                    clean(name),
                    max(_SHARE, min(12, len(name))),
                    right=True,
                    rank=min(9, 1 + place),
                    sortable=False,
                )
                for place, (column, name) in enumerate(self._maps.items())
            ),
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """See `Rows`."""
        return self._columns

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One node."""
        node = self.nodes[row]
        found: dict[str, Cell] = {"node": ((clean(node.node), "strong"),), "up": state_cell(node)}
        for column in widths:
            if column in self._maps:
                found[column] = _share(self._maps[column], node)
        return found


def _share(name: str, node: FleetNode) -> Cell:
    fill = node.fills.get(name)
    if fill is None:
        return UNKNOWN
    level = level_of(fill, f"{PREFIX}{name}")
    return ((f"{level.glyph}{percent(fill):>4}", level.value),)
