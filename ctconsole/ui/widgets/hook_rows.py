"""Interfaces and other hooks, the programs that packets meet there, and whose maps these use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.model.hooked import Hooked, hooked
from ctconsole.model.units import short_count
from ctconsole.ui.text import clean
from ctconsole.ui.widgets.rows import Cell, Column, FixedOrder

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from ctconsole.model.runs import ProgramRuns
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.inventory import User
    from ctconsole.observe.sampler import Sample

COLUMNS = (
    Column("interface", "INTERFACE", 12, grow=1, most=16, sortable=False),
    Column("of", "OF", 12, grow=3, most=40, rank=2, sortable=False),
    Column("hook", "HOOK", 12, grow=1, most=30, sortable=False),
    Column("name", "PROGRAM", 16, grow=2, most=32, sortable=False),
    Column("id", "ID", 6, right=True, rank=4, sortable=False),
    Column("rate", "RUNS/S", 7, right=True, sortable=False),
    Column("time", "NS/RUN", 7, right=True, sortable=False),
    Column("cpu", "CPU", 6, right=True, rank=3, sortable=False),
    Column("maps", "MAPS", 18, grow=2, rank=1, sortable=False),
    Column("calls", "CALLS", 6, right=True, rank=4, sortable=False),
)

_ENDPOINTS: Final = re.compile(r"cilium_(?:calls|policy|policy_v2)_0*(\d+)")
"""Maps that an endpoint has for itself, with its id."""

CALLED, LOADED = "  called", "not attached"
ATTACHED: Final = "attached"


@dataclass(frozen=True, slots=True)
class MapUsed:
    """A map that a program uses.

    Attributes:
        pin: the name of the pin of which it is a generation.
        id: the map's.
        pinned: whether the pin holds it now.
    """

    pin: str
    id: int
    pinned: bool


class ProgramsSeen:
    """What a sample tells of each program that uses one of the node's maps, by its kernel id.

    Attributes:
        users: each program, with its hooks.
        maps: what it uses.
        runs: how often it ran, where that was counted.
        arrays: the program arrays through which it calls.
    """

    def __init__(self, sample: Sample) -> None:
        self.users: dict[int, User] = {}
        self.maps: dict[int, list[MapUsed]] = {}
        self.runs: Mapping[int, ProgramRuns] = {run.id: run for run in sample.runs.programs}
        self.arrays: dict[int, list[CallArray]] = {}
        for one in sample.usage:
            for generation in (one.pinned, *one.others):
                used = MapUsed(one.path.name, generation.map.id, generation.pinned)
                for user in generation.users:
                    self.users[user.program.id] = user
                    self.maps.setdefault(user.program.id, []).append(used)
        for array in sample.calls:
            for caller in array.callers:
                self.arrays.setdefault(caller.program.id, []).append(array)

    def cpu(self, number: int) -> float:
        """Share of one CPU; 0 where it was not counted."""
        run = self.runs.get(number)
        return run.cpu if run is not None else 0.0

    def endpoint(self, *programs: int) -> str:
        """Which endpoint these programs are for; empty where they are for none, or for several."""
        found = {
            match[1]
            for number in programs
            for one in self.maps.get(number, ())
            if (match := _ENDPOINTS.fullmatch(one.pin))
        }
        return f"endpoint {found.pop()}" if len(found) == 1 else ""

    def endpoints(self) -> dict[tuple[str, str], str]:
        """Whose each interface is, by its name and namespace, told by what is attached there."""
        found: dict[tuple[str, str], list[int]] = {}
        for number, user in self.users.items():
            if user.how == ATTACHED:
                for where in user.where:
                    found.setdefault(_interface(where), []).append(number)
        return {name: self.endpoint(*programs) for name, programs in found.items()}


@dataclass(frozen=True, slots=True)
class HookLine:
    """A program at a hook, or one that is called from there.

    Attributes:
        program: its id.
        at: the hook.
        where: the same as it was told.
        called: whether it is reached by tail calls from there.
        again: whether it stands at an earlier line, too, which has its figures.
    """

    program: int
    at: Hooked
    where: str
    called: bool = False
    again: bool = False


class HookRows(FixedOrder):
    """A line for each program at each hook, and below it those called from there.

    Interfaces that cost most come first; what nothing reaches comes last.
    """

    def __init__(self, sample: Sample) -> None:
        self.seen = ProgramsSeen(sample)
        self._whose = self.seen.endpoints()
        self._lines = tuple(self._told())
        self._keys: list[Hashable] = [(one.program, one.where) for one in self._lines]

    def _told(self) -> Iterator[HookLine]:
        hooks, called = self._attached(), self._called()
        interfaces: dict[tuple[str, str], list[str]] = {}
        for where in dict.fromkeys((*hooks, *called)):
            interfaces.setdefault(_interface(where), []).append(where)
        costs = {
            where: sum(map(self.seen.cpu, (*hooks.get(where, ()), *called.get(where, ()))))
            for where in dict.fromkeys((*hooks, *called))
        }
        # Of those that cost the same, as where nothing was counted, those without interface last.
        order = sorted(
            interfaces,
            key=lambda one: (-sum(costs[where] for where in interfaces[one]), not one[0], one),
        )
        told: set[int] = set()
        for name in order:
            for where in sorted(interfaces[name], key=lambda one: (-costs[one], one)):
                for number in hooks.get(where, ()):
                    yield HookLine(number, hooked(where), where, again=number in told)
                    told.add(number)
                for number in called.get(where, ()):
                    yield HookLine(number, hooked(where), where, called=True)
        for number in self._dearest(one for one, user in self.seen.users.items() if not user.where):
            yield HookLine(number, Hooked("", "", self.seen.users[number].how), "")

    def _attached(self) -> dict[str, list[int]]:
        """The programs at each hook, those that cost most first."""
        found: dict[str, list[int]] = {}
        for number in self._dearest(self.seen.users):
            user = self.seen.users[number]
            if user.how == ATTACHED:
                for where in user.where:
                    found.setdefault(where, []).append(number)
        return found

    def _called(self) -> dict[str, list[int]]:
        """Those that are called from a hook, each at one: of its own endpoint where it has one."""
        found: dict[str, list[int]] = {}
        for number in self._dearest(self.seen.users):
            user = self.seen.users[number]
            if user.how != ATTACHED and user.where:
                mine = self.seen.endpoint(number)
                its = (one for one in user.where if self._whose.get(_interface(one)) == mine)
                found.setdefault(next(its, user.where[0]), []).append(number)
        return found

    def _dearest(self, programs: Iterable[int]) -> list[int]:
        return sorted(programs, key=lambda one: (-self.seen.cpu(one), one))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return COLUMNS

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, row: int) -> HookLine:
        """What stands in a row."""
        return self._lines[row]

    def key(self, row: int) -> Hashable:
        """The program's id and its hook."""
        return self._keys[row]

    def find(self, key: Hashable) -> int | None:
        """The row of a key."""
        return self._keys.index(key) if key in self._keys else None

    def cells(self, row: int, widths: Mapping[str, int]) -> Mapping[str, Cell]:
        """One program at one hook; its interface is written where it changes."""
        del widths
        line = self._lines[row]
        first = row == 0 or _interface(self._lines[row - 1].where) != _interface(line.where)
        name, of, hook = self._place(line)
        own = self._whose.get(_interface(line.where), "")
        other = self.seen.endpoint(line.program) if line.called else own
        calls = sum(len(array.callees) for array in self.seen.arrays.get(line.program, ()))
        return {
            "interface": ((clean(name) if first else "", "strong"),),
            "of": ((clean(of if first else other if other != own else ""), "dim"),),
            "hook": ((clean(hook), "dim" if line.called else ""),),
            "name": ((clean(self.seen.users[line.program].program.called), ""),),
            "id": ((str(line.program), "dim"),),
            **_cost(self.seen.runs.get(line.program), again=line.again),
            "maps": (self._maps(line.program),),
            "calls": ((str(calls) if calls else "", "dim"),),
        }

    def _place(self, line: HookLine) -> tuple[str, str, str]:
        """Interface, whose it is, and hook."""
        if not line.where:
            return "none", "", LOADED if line.at.hook == "loaded" else line.at.hook
        hook = CALLED if line.called else line.at.hook
        if not line.at.interface:
            return "no interface", "", hook
        endpoint = self._whose.get(_interface(line.where), "")
        namespace = f"in {line.at.namespace}" if line.at.namespace else ""
        return line.at.interface, ", ".join(filter(None, (endpoint, namespace))), hook

    def _maps(self, number: int) -> tuple[str, str]:
        used = self.seen.maps.get(number, ())
        older = ", ".join(f"{one.pin} ({one.id})" for one in used if not one.pinned)
        pinned = sum(one.pinned for one in used)
        if older:
            return clean(f"older {older}; {pinned} pinned"), "warn"
        return f"{pinned} pinned", "dim"

    def style(self, row: int) -> str:
        """Rows are told apart by their cells."""
        del row
        return ""


def _interface(where: str) -> tuple[str, str]:
    at = hooked(where)
    return (at.interface, at.namespace) if at.interface else ("", where and "elsewhere")


def _cost(run: ProgramRuns | None, *, again: bool) -> dict[str, Cell]:
    names = ("rate", "time", "cpu")
    if run is None:
        return dict.fromkeys(names, (("", ""),))
    if again:
        return dict.fromkeys(names, (('"', "dim"),))
    time = "" if run.nanoseconds is None else f"{run.nanoseconds:,.0f}"
    return {
        "rate": ((short_count(round(run.rate)), "strong" if run.rate else "dim"),),
        "time": ((time, ""),),
        "cpu": ((f"{run.cpu:.1%}" if run.rate else "", "dim"),),
    }
