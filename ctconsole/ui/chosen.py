"""Which conntrack map is looked at, among those with a pin and the old generation of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from ctconsole.model.catalogue import group_of
from ctconsole.observe.source import MapRow, is_conntrack
from ctconsole.ui.naming import NamingApp

if TYPE_CHECKING:
    from ctconsole.observe.usage import MapGeneration


class ChosenMapApp(NamingApp):
    """Shows one conntrack map at a time.

    Attributes:
        chosen_map: the key of the map that was asked for; None before.
    """

    chosen_map: str | None = None
    _generation: MapRow | None = None

    def show_view(self, view: str) -> None:
        """Switch to a view; not from under a dialogue."""
        raise NotImplementedError

    def open_entries(self, row: MapRow) -> None:
        """Show the entries of a CT map."""
        self.chosen_map = row.key
        self.show_view("entries")

    @property
    def ct_maps(self) -> list[MapRow]:
        """The CT maps that can be shown, and the old generation that was asked for."""
        node = self.sample.node
        rows = [row for row in node.rows if row.is_conntrack] if node else []
        rows.sort(key=lambda row: row.info.label)
        return [*rows, self._generation] if self._generation else rows

    @property
    def ct_map(self) -> MapRow | None:
        """The CT map shown: the one chosen, else the first."""
        maps = self.ct_maps
        return next((row for row in maps if row.key == self.chosen_map), maps[0] if maps else None)

    def next_ct_map(self, by: int) -> None:
        """Choose the neighbouring CT map."""
        maps, now = self.ct_maps, self.ct_map
        if now is not None:
            place = [row.key for row in maps].index(now.key)
            self.chosen_map = maps[(place + by) % len(maps)].key

    def open_generation(self, name: str, generation: MapGeneration) -> None:
        """Show the entries of a map that has lost its pin, or of one that has it."""
        row = next((row for row in self.ct_maps if row.info.id == generation.map.id), None)
        if row is None:
            row = MapRow(generation.map, None, group=group_of(name))
            if not is_conntrack(replace(generation.map, pin=PurePath(name))):
                self.flash(f"{name} is no conntrack map: its entries are not shown here")
                return
            self._generation = row
        self.open_entries(row)
