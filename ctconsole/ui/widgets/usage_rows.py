"""Pins, the generations of the map behind each, and who uses them, as rows of a `LineTable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.event import Level
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.rows import Cell, Column, FixedOrder

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from ctconsole.observe.usage import MapGeneration, MapUsage

COLUMNS = (
    Column("mark", "", 1, sortable=False),
    Column("name", "MAP", 26, grow=1, most=32, sortable=False),
    Column("id", "ID", 6, right=True, sortable=False),
    Column("what", "WHICH", 12, sortable=False),
    Column("live", "IN USE BY", 12, sortable=False),
    Column("programs", "PROGRAMS", 14, grow=2, rank=1, sortable=False),
    Column("where", "WHERE", 26, grow=3, rank=2, sortable=False),
)

_RANKS = {Level.ERROR: 0, Level.WARNING: 1, Level.INFO: 2, Level.DEBUG: 2}
_STYLES = {Level.ERROR: "crit", Level.WARNING: "warn"}


class UsageRows(FixedOrder):
    """One row for each generation of each map; those in trouble first."""

    def __init__(self, usage: Sequence[MapUsage]) -> None:
        ordered = sorted(
            usage,
            key=lambda one: (_RANKS[one.level], not one.pinned.users, one.path.name),
        )
        self._rows: list[tuple[MapUsage, MapGeneration]] = []
        for one in ordered:
            self._rows += [(one, one.pinned), *((one, other) for other in one.others)]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, row: int) -> tuple[MapUsage, MapGeneration]:
        """The pin and the generation of a row."""
        return self._rows[row]

    def key(self, row: int) -> Hashable:
        """Pin and map id."""
        one, generation = self._rows[row]
        return one.path, generation.map.id

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return next((row for row in range(len(self)) if self.key(row) == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One generation."""
        del widths
        one, generation = self._rows[row]
        live = generation.live_users
        style = _STYLES.get(one.level, "") if one.level is Level.ERROR or live else ""
        nobody = "nobody" if not generation.users else f"{len(generation.users)} not attached"
        names = dict.fromkeys(user.program.called for user in (live or generation.users))
        where = list(dict.fromkeys(place for user in live for place in user.where))
        # The first place with its interface in full says more than the starts of several.
        others = f" +{len(where) - 1}" if len(where) > 1 else ""
        how = "pinned now" if generation.pinned else "no pin"
        return {
            "mark": (("▲" if one.verdict else "", _STYLES.get(one.level, "")),),
            "name": ((clean(one.path.name) if generation.pinned else "  older", style),),
            "id": ((str(generation.map.id), "dim"),),
            "what": ((how, "dim" if generation.pinned else "warn"),),
            "live": ((plural(len(live), "program") if live else nobody, style or _quiet(live)),),
            "programs": ((clean(", ".join(names)), "second"),),
            "where": ((clean("".join(where[:1]) + others), "dim"),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""


def _quiet(live: object) -> str:
    return "" if live else "dim"
