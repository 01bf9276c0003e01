"""Whether the programs that were moved to a map really run at their hooks.

A datapath is many programs joined by tail calls, of which only the first stands at a hook, and
the kernel counts a run of that one alone: so it is the one that is watched for all it calls.

A filter can be replaced and never run: a tcx program that ends the matter, a filter of a lower
priority, or a newer one of the same priority stands before it and lets nothing through. What
stands where is asked of the kernel, and for a moment it counts every program's runs; that one
never runs is said only where what stands before it ran often and it not once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BpfError, CtconsoleError, GoneError
from ctconsole.kernel.attachments import in_namespace, namespaces
from ctconsole.kernel.hooks import Asker
from ctconsole.kernel.maps import all_programs, map_of
from ctconsole.kernel.programs import ProgramType, counting_runs, program_by_id
from ctconsole.kernel.slots import SlotReader
from ctconsole.manager.users import users
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.hooks import Attachment
    from ctconsole.kernel.programs import ProgramInfo

_OF_PACKETS: Final = frozenset({ProgramType.SCHED_CLS, ProgramType.XDP})

_WATCH: Final = 0.5
"""Seconds in which a packet may come by."""

_DOUBT: Final = 2.0
"""Seconds that a program is given which has another before it that runs."""

_PAUSE: Final = 0.02

ENOUGH: Final = 20
"""Runs of what stands before a program that does not run once, until it never will."""

_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class HookRuns:
    """One hook and what ran there while it was watched.

    Attributes:
        where: the hook, for a person.
        prog_id: the program that uses the map, or calls one that does.
        runs: how often it ran.
        before: programs that run before it at the same hook, the first first.
        before_runs: the most that one of them ran.
    """

    where: str
    prog_id: int
    runs: int
    before: tuple[int, ...]
    before_runs: int

    @property
    def is_hidden(self) -> bool:
        """Whether what stands before it lets nothing through."""
        return not self.runs and self.before_runs >= ENOUGH

    def __str__(self) -> str:
        if not self.before:
            return self.where
        return f"{self.where} (behind program {', '.join(map(str, self.before))})"


@dataclass(frozen=True, slots=True)
class Running:
    """What was seen of the programs that use a map.

    Attributes:
        hooks: their hooks that were found.
        unknown: why there may be others, or none could be watched; empty where neither is so.
    """

    hooks: tuple[HookRuns, ...] = ()
    unknown: str = ""

    @property
    def unseen(self) -> tuple[HookRuns, ...]:
        """Those at which the program did not run while it was watched."""
        return tuple(one for one in self.hooks if not one.runs)

    @property
    def sentence(self) -> str:
        """``7 of 8 seen running; not seen running: ingress of lxc1, to which no packet came``."""
        if not self.hooks:
            return self.unknown
        unseen = self.unseen
        text = f"{len(self.hooks) - len(unseen)} of {len(self.hooks)} seen running"
        if unseen:
            more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
            names = ", ".join(map(str, unseen[:_NAMED]))
            text += f"; not seen running, because no packet came that far: {names}{more}"
        return f"{text}; {self.unknown}" if self.unknown else text

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "seen": [one.where for one in self.hooks if one.runs],
            "not_seen": [
                {"where": one.where, "program": one.prog_id, "before": list(one.before)}
                for one in self.unseen
            ],
            "not_known": self.unknown,
        }

    def check(self) -> None:
        """Raise CtconsoleError if a program never runs."""
        for one in self.hooks:
            if one.is_hidden:
                raise CtconsoleError(
                    f"Program {one.prog_id} never runs on {one.where}: program "
                    f"{', '.join(map(str, one.before))} stands before it and let none of "
                    f"{one.before_runs} packets through"
                )


def watch(gate: Gate, map_ids: Iterable[int]) -> Running:
    """Watch the programs that use one of the maps until each has run, for a moment at most.

    Of those that are reached by tail calls the programs at the hooks from which they are.

    Args:
        gate: the write gate: the kernel counts runs meanwhile, which costs it some time.
        map_ids: the maps. Programs that run at no hook of packets are no matter here, as are the
            passes of a resize.
    """
    programs = {one.id: one for one in all_programs() if one.type in _OF_PACKETS}
    mine = programs.keys() & users(*map_ids)
    if not mine:
        return Running()
    mine = _with_callers(mine, programs)
    places, unknown = _placed()
    hooks = [
        (one, tuple(dict.fromkeys(before)))
        for one, before in _with_before(places)
        if one.prog_id in mine
    ]
    if not hooks:
        return Running(unknown=unknown or "no hook of the programs was found")
    try:
        with counting_runs(gate):
            return Running(tuple(_watched(hooks)), unknown)
    except BpfError as error:
        return Running(unknown=f"runs cannot be counted: {error.message}")


def _with_callers(mine: AbstractSet[int], programs: Mapping[int, ProgramInfo]) -> set[int]:
    """Programs, and those that get to them by tail calls, one or several."""
    callers: dict[int, list[int]] = {}
    for one in programs.values():
        for number in one.map_ids:
            callers.setdefault(number, []).append(one.id)
    arrays: dict[int, list[int]] = {}
    with SlotReader() as reader:
        for number in callers:
            # What went meanwhile calls nobody; what cannot be read is not followed.
            with suppress(BpfError):
                info = map_of(number)
                if info.type is MapType.PROG_ARRAY:
                    for _, called in reader.read(info):
                        arrays.setdefault(called, []).append(number)
    found, waiting = set(mine), list(mine)
    while waiting:
        for number in arrays.get(waiting.pop(), ()):
            # Each array once: the programs of all endpoints may stand in the same.
            new = set(callers.pop(number, ())) - found
            found |= new
            waiting += new
    return found


def _placed() -> tuple[list[Attachment], str]:
    """Everything on the interfaces of every namespace in the order it runs; what is not known."""
    found, unknown = [], []
    asker = Asker(_OF_PACKETS)
    for space in namespaces():
        try:
            found += in_namespace(space, asker)
        except BpfError as error:
            unknown.append(f"{space.name or 'the own network namespace'}: {error.message}")
    return found, "; ".join(unknown)


def _with_before(places: Sequence[Attachment]) -> Iterator[tuple[Attachment, list[int]]]:
    """Each program with those that run before it at its hook: tcx first, then tc."""
    there: dict[str, list[int]] = {}
    for one in sorted(places, key=lambda one: one.kind == "tc"):
        before = there.setdefault(f"xdp {one.where}" if one.kind == "xdp" else one.where, [])
        yield one, list(before)
        before.append(one.prog_id)


def _watched(hooks: Sequence[tuple[Attachment, tuple[int, ...]]]) -> list[HookRuns]:
    """Count until every program has run, or there is no use in waiting."""
    watched = {number for one, before in hooks for number in (one.prog_id, *before)}
    first = {number: _runs(number) for number in watched}
    started = time.monotonic()
    while True:
        time.sleep(_PAUSE)
        since = {number: _runs(number) - first[number] for number in watched}
        told = [
            HookRuns(
                str(one),
                one.prog_id,
                since[one.prog_id],
                before,
                max((since[number] for number in before), default=0),
            )
            for one, before in hooks
        ]
        took = time.monotonic() - started
        open_ones = [one for one in told if not one.runs and not one.is_hidden]
        if took >= _WATCH:
            open_ones = [one for one in open_ones if one.before_runs]
        if not open_ones or took >= _DOUBT:
            return told


def _runs(number: int) -> int:
    try:
        return program_by_id(number).run_cnt
    except GoneError:
        return 0
