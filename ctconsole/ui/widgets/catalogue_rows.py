"""The catalogue's maps and the node's, as rows of a `LineTable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.compared import compared
from ctconsole.model.units import percent, short_size
from ctconsole.observe.alarms import full_of
from ctconsole.observe.sampler import without_entries
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column, FixedOrder

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from ctconsole.model.compared import Compared
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow

COLUMNS = (
    Column("group", "GROUP", 19, rank=3, sortable=False),
    Column("name", "MAP", 26, grow=1, most=32, sortable=False),
    Column("type", "TYPE", 14, rank=2, sortable=False),
    Column("id", "ID", 6, right=True, rank=4, sortable=False),
    Column("key", "KEY", 4, right=True, rank=1, sortable=False),
    Column("value", "VALUE", 5, right=True, rank=1, sortable=False),
    Column("flags", "FLAGS", 6, right=True, rank=5, sortable=False),
    Column("entries", "ENTRIES", 9, right=True, rank=2, sortable=False),
    Column("maximum", "MAX", 10, right=True, sortable=False),
    Column("fill", "FILL", 5, right=True, rank=1, sortable=False),
    Column("memory", "MEMORY", 8, right=True, rank=2, sortable=False),
    Column("programs", "PROGS", 5, right=True, rank=6, sortable=False),
    Column("spec", "AGAINST THE CATALOGUE", 22, grow=4, most=60, sortable=False),
    Column("note", "WHAT FOR", 24, grow=3, most=60, rank=7, sortable=False),
)


class CatalogueRows(FixedOrder):
    """Maps by group; the key is the map's, or its name where it is not on the node."""

    def __init__(self, sample: Sample) -> None:
        rows = sample.node.rows if sample.node else ()
        self._sample = without_entries(sample)
        self._live = {row.key: row for row in rows}
        self._rows = compared((row.key, row.info) for row in rows)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    @property
    def missing(self) -> int:
        """How many that the catalogue lists are not on the node."""
        return sum(not one.key for one in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, row: int) -> MapRow | None:
        """The live map of a row; None of one that is not on the node."""
        return self._live.get(self._rows[row].key)

    def key(self, row: int) -> Hashable:
        """Map, or name."""
        one = self._rows[row]
        return one.key or one.name

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return next((row for row in range(len(self)) if self.key(row) == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One map; its group is written where it changes."""
        del widths
        one = self._rows[row]
        first = row == 0 or self._rows[row - 1].group is not one.group
        live = self._live.get(one.key)
        odd = one.verdict not in {"as listed", "not on this node"}
        cells: dict[str, Cell] = {
            "group": ((one.group if first else "", "accent"),),
            "name": ((clean(one.name), "" if live else "dim"),),
            "spec": ((clean(one.verdict), "warn" if odd and one.entry else "dim"),),
            "note": ((one.entry.note if one.entry else "", "dim"),),
        }
        if live is None:
            return cells | _listed(one)
        full = full_of(self._sample, live) is not None
        return cells | _live(live) | ({"fill": (("FULL", "crit"),)} if full else {})

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""


def _live(row: MapRow) -> dict[str, Cell]:
    info = row.info
    return {
        "type": ((info.type.name.lower(), ""),),
        "id": ((str(info.id), "dim"),),
        "key": ((str(info.key_size), ""),),
        "value": ((str(info.value_size), ""),),
        "flags": ((f"{info.flags:#x}" if info.flags else "", "dim"),),
        "entries": (("-" if row.entries is None else f"{row.entries:,}", ""),),
        "maximum": ((f"{info.max_entries:,}" if info.max_entries else "-", ""),),
        "fill": (("" if row.fill is None else percent(row.fill), "dim"),),
        "memory": ((short_size(info.memlock) if info.memlock else "-", "dim"),),
        "programs": (("" if row.programs is None else str(row.programs), "dim"),),
    }


def _listed(one: Compared) -> dict[str, Cell]:
    """What the catalogue says of a map that is not there."""
    entry = one.entry
    if entry is None:
        return {}

    def number(value: int | None) -> Cell:
        return (("-" if value is None else f"{value:,}", "dim"),)

    return {
        "type": ((entry.type.name.lower(), "dim"),),
        "key": number(entry.key_size),
        "value": number(entry.value_size),
        "maximum": number(entry.max_entries),
    }
