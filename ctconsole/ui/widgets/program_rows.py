"""The programs of a datapath: where packets meet them, what they cost, and whose maps they use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.units import short_count
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.rows import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from ctconsole.model.runs import ProgramRuns
    from ctconsole.observe.inventory import User
    from ctconsole.observe.sampler import Sample

COLUMNS = (
    Column("where", "HOOK", 22, grow=3, most=48, sortable=False),
    Column("name", "PROGRAM", 18, grow=2, most=32, sortable=False),
    Column("id", "ID", 6, right=True, rank=2, sortable=False),
    Column("how", "REACHED", 9, rank=2, sortable=False),
    Column("rate", "RUNS/S", 7, right=True, sortable=False),
    Column("time", "NS/RUN", 7, right=True, sortable=False),
    Column("cpu", "CPU", 6, right=True, rank=1, sortable=False),
    Column("calls", "CALLS", 6, right=True, rank=3, sortable=False),
    Column("maps", "MAPS", 18, grow=2, rank=1, sortable=False),
)


class ProgramRows:
    """Every program that uses a pinned map, those that cost most first; keys are their ids."""

    def __init__(self, sample: Sample) -> None:
        self._users: dict[int, User] = {}
        self._maps: dict[int, int] = {}
        self._older: dict[int, list[str]] = {}
        for one in sample.usage:
            for generation in (one.pinned, *one.others):
                for user in generation.users:
                    number = user.program.id
                    self._users[number] = user
                    self._maps[number] = self._maps.get(number, 0) + generation.pinned
                    if not generation.pinned:
                        self._older.setdefault(number, []).append(one.path.name)
        self._runs = {run.id: run for run in sample.runs.programs}
        self._calls: dict[int, int] = {}
        for array in sample.calls:
            for caller in array.callers:
                number = caller.program.id
                self._calls[number] = self._calls.get(number, 0) + len(array.callees)
        self._order = sorted(self._users, key=self._place)

    def _place(self, number: int) -> tuple[float, bool, tuple[str, ...], int]:
        run = self._runs.get(number)
        user = self._users[number]
        return (-run.cpu if run else 0.0, not user.live, user.where, number)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    @property
    def sort(self) -> tuple[str, bool]:
        """The order is fixed."""
        return "", False

    def __len__(self) -> int:
        return len(self._order)

    def key(self, row: int) -> Hashable:
        """The program's id."""
        return self._order[row]

    def find(self, key: Hashable) -> int | None:
        """The row of a program."""
        return next((row for row, one in enumerate(self._order) if one == key), None)

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One program."""
        del widths
        number = self._order[row]
        user, older = self._users[number], self._older.get(number, [])
        where = user.where[0] if user.where else ""
        others = f" +{len(user.where) - 1}" if len(user.where) > 1 else ""
        maps = f"{self._maps.get(number, 0)} pinned"
        told = f"{maps}, older {', '.join(older)}" if older else maps
        calls = self._calls.get(number, 0)
        return {
            "where": ((clean(where + others) or "none", "" if where else "dim"),),
            "name": ((clean(user.program.called), ""),),
            "id": ((str(number), "dim"),),
            "how": ((user.how, "dim"),),
            **_cost(self._runs.get(number)),
            "calls": ((str(calls) if calls else "", "dim"),),
            "maps": ((clean(told), "warn" if older else "dim"),),
        }

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""

    @property
    def told(self) -> str:
        """How many there are."""
        return plural(len(self), "program")


def _cost(run: ProgramRuns | None) -> dict[str, Cell]:
    if run is None:
        return dict.fromkeys(("rate", "time", "cpu"), (("", "dim"),))
    time = "" if run.nanoseconds is None else f"{run.nanoseconds:,.0f}"
    return {
        "rate": ((short_count(round(run.rate)), "strong" if run.rate else "dim"),),
        "time": ((time, ""),),
        "cpu": ((f"{run.cpu:.1%}" if run.rate else "", "dim"),),
    }
