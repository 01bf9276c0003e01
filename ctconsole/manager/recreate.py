"""Re-creating one map with another capacity: everything in it is lost, and the plan says so.

It is what Cilium does when its agent starts, here for one map and while the agent runs. The plan
is a value that states the cost, the report one that states what happened.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.memory import free_memory
from ctconsole.manager.bpfmap import REMOVING, create_map, map_event, pinned_id
from ctconsole.manager.interrupts import Interrupts
from ctconsole.manager.running import Running
from ctconsole.manager.swap import Swap, pin_over
from ctconsole.manager.users import left_on, users
from ctconsole.model.catalogue import RECREATABLE, check_size, classify
from ctconsole.model.ct.outcomes import Change
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.ct.risk import judge
from ctconsole.model.event import EventKind, Level
from ctconsole.model.memory import map_memory
from ctconsole.model.plan import Memory, Row, Verdict, outcome_rows
from ctconsole.model.spec import (
    Difference,
    MapInfo,
    MapSpec,
    differences,
    spec_of,
)
from ctconsole.model.units import count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.switch import Switch
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event


@dataclass(frozen=True, slots=True)
class RecreatePlan:
    """What re-creating a map would change and cost; a `ctconsole.model.plan.Plan`.

    Attributes:
        path: its pin.
        info: the map as it is.
        wish: what it is to become.
        differences: in what the two differ.
        entries: entries in it now, all of which will be lost.
        alive: of these, those not expired; None for a map that is not conntrack's.
        established: of these, connections with data both ways; None likewise.
        memory_old: bytes charged to the map as it is.
        memory_new: bytes the new one will be charged.
        memory_free: bytes that can be had now; old and new exist together for a while.
        memory_limit: the cgroup that allows no more, empty where it is the machine.
        users: ids of the programs that use the map; they keep the old one until replaced.
        warnings: sentences for whoever decides.
        verdicts: what becomes of the connections, the worst first; empty for a map that is not
            conntrack's.
        lasting: those of the warnings that are as true afterwards.
        guarded: whether a guard carries the entries over afterwards.
    """

    path: Path
    info: MapInfo
    wish: MapSpec
    differences: tuple[Difference, ...]
    entries: int
    alive: int | None
    established: int | None
    memory_old: int
    memory_new: int
    memory_free: int
    users: tuple[int, ...]
    warnings: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = ()
    lasting: tuple[str, ...] = ()
    memory_limit: str = ""
    guarded: bool = False

    @property
    def title(self) -> str:
        """What is to be done, to what."""
        return f"Re-create {self.path}"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pins of the maps whose entries it is about."""
        return (self.path,)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The sizes, what is lost, and who uses the map."""
        return (
            Row("size", self.resizing),
            Row("lost", self.losing),
            Row("programs", f"{len(self.users)} use the map"),
        )

    @property
    def resizing(self) -> str:
        """``65,536 -> 131,072 entries``."""
        return f"{count(self.info.max_entries)} -> {count(self.wish.max_entries)} entries"

    @property
    def losing(self) -> str:
        """``3,000 entries, 2,900 alive, 2,662 established``."""
        text = f"{count(self.entries)} entries"
        if self.alive is not None and self.established is not None:
            text += f", {count(self.alive)} alive, {count(self.established)} established"
        return text

    @property
    def memory(self) -> Memory:
        """Bytes of both maps."""
        return Memory(self.memory_old, self.memory_new, self.memory_free, self.memory_limit)

    @property
    def data_loss(self) -> int:
        """All entries."""
        return self.entries

    @property
    def confirm_name(self) -> str:
        """The map's."""
        return self.path.name

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "path": str(self.path),
            "id": self.info.id,
            "max_entries": self.info.max_entries,
            "new_max_entries": self.wish.max_entries,
            "differences": [
                {"property": one.property, "old": one.old, "new": one.new}
                for one in self.differences
            ],
            "entries": self.entries,
            "alive": self.alive,
            "established": self.established,
            "memory_old": self.memory_old,
            "memory_new": self.memory_new,
            "memory_free": self.memory_free,
            "memory_limit": self.memory_limit or None,
            "programs": list(self.users),
        }


@dataclass(frozen=True, slots=True)
class RecreateReport:
    """What re-creating a map did; a `ctconsole.model.plan.Report`.

    Attributes:
        path: its pin.
        old_id: kernel id of the map that was pinned before.
        new_id: of the one made.
        pinned_id: of the one pinned now: ``new_id``, ``old_id`` after a roll back, or what
            somebody else pinned meanwhile (0 for nothing).
        max_entries: the capacity of the one made.
        lost: entries that were in the old map when it was unpinned.
        old_users: programs that still use the old map.
        failure: what went wrong and what state that left, empty where all went well; see
            `check`.
        events: in the order they happened.
        seconds: wall time of it all.
        interrupted: the signal that asked this process to end meanwhile, 0 for none.
        unrecorded: why the events are not in the history, empty where they are.
        verdicts: what the plan said would become of the connections, the worst first.
        back: entries of the old map that the new one had by the end; None where that was not
            looked at.
        running: what was seen of the programs at their hooks after they had been moved.
        guarded: whether a guard carries the entries over from then on.
    """

    path: Path
    old_id: int
    new_id: int
    pinned_id: int
    max_entries: int
    lost: int
    old_users: tuple[int, ...]
    failure: str
    events: tuple[Event, ...]
    seconds: float
    interrupted: int = 0
    unrecorded: str = ""
    verdicts: tuple[Verdict, ...] = ()
    back: int | None = None
    running: Running = field(default_factory=Running)
    guarded: bool = False

    @property
    def sentence(self) -> str:
        """What was done."""
        lost = "entries were in the old one, which the guard carries over"
        return (
            f"{self.path.name} was re-created with {count(self.max_entries)} entries in "
            f"{self.seconds:.2f} s: map {self.old_id} -> {self.new_id}, {count(self.lost)} "
            f"{lost if self.guarded else 'entries lost'}"
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        """The forecast and what has come of it, who was left behind, and the record."""
        told = (Row("history", self.unrecorded),) if self.unrecorded else ()
        # Of what a guard carries over nothing can be said in this moment.
        back = None if self.guarded else self.back
        told = (*outcome_rows(self.verdicts, self.lost, back), *told)
        if self.running.sentence and not self.failure:
            told = (Row("hooks", self.running.sentence), *told)
        if not self.old_users or self.failure:
            return told
        text = (
            f"{len(self.old_users)} programs still use map {self.old_id} and do not see the new "
            "one; restart whoever attached them"
        )
        return (Row("programs", text), *told)

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "path": str(self.path),
            "old_id": self.old_id,
            "new_id": self.new_id,
            "pinned_id": self.pinned_id,
            "lost": self.lost,
            "forecast": [
                {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
                for risk, reason, number in self.verdicts
            ],
            "back": self.back,
            "old_programs": list(self.old_users),
            "hooks": dict(self.running.facts),
            "seconds": round(self.seconds, 6),
        }

    def check(self) -> None:
        """Raise CtconsoleError with the failure, if there is one; store the events before."""
        if self.failure:
            raise CtconsoleError(self.failure)


def plan_recreate(path: Path, max_entries: int, reading: Reading = PLAIN) -> RecreatePlan:
    """Look at a pinned map and say what another capacity would change and cost.

    Args:
        path: its pin.
        max_entries: the capacity wished for.
        reading: how the entries of a conntrack map are read and judged.

    Raises:
        UsageError: the capacity is out of range, or this type of map has none to choose.
        GoneError: nothing is pinned at ``path``.
    """
    with BpfMap.open(path) as live:
        _check_limits(path, live.info, max_entries)
        plan = plan_replacement(
            live, path, spec_of(live.info, max_entries=max_entries), lambda: reading
        )
    return replace(plan, warnings=tuple(_warnings(plan)))


def plan_replacement(
    live: BpfMap, path: Path, wish: MapSpec, reading: Callable[[], Reading]
) -> RecreatePlan:
    """What it would cost to have an empty map of ``wish`` in the place of a pinned one.

    Args:
        live: the map pinned at ``path``.
        path: its pin.
        wish: what takes its place.
        reading: see `plan_recreate`; asked only where the map is conntrack's.

    Returns:
        The plan, without warnings.
    """
    info = live.info
    entry = classify(path.name, info)
    alive = established = None
    verdicts: tuple[Verdict, ...] = ()
    if entry is not None and entry.is_ct and entry.matches(info):
        table = live.read_conntrack(reading()).table()
        entries = len(table)
        alive = int(table.alive.sum())
        established = int((table.established & table.alive).sum())
        verdicts = tuple(judge(table, Change.RECREATE).reasons())
    else:
        entries = entries_in(live)
    free = free_memory()
    return RecreatePlan(
        path=path,
        info=info,
        wish=wish,
        differences=differences(info, wish),
        entries=entries,
        alive=alive,
        established=established,
        memory_old=info.memlock or map_memory(info, possible_cpus(), entries),
        memory_new=map_memory(wish, possible_cpus(), entries),
        memory_free=free.free,
        memory_limit=free.limit,
        users=users(info.id),
        warnings=(),
        verdicts=verdicts,
    )


def recreate(gate: Gate, plan: RecreatePlan, switch: Switch | None = None) -> RecreateReport:
    """Replace the pinned map by an empty one, then have ``switch`` move the programs to it.

    Cilium unpins, creates and pins; an agent that starts in between finds no map. Here the new
    map is pinned beside the old one and renamed over it: bpffs renames atomically, so that
    there is a map at every moment, and the end is the same.

    The old map is held until the switch is over. If the switch fails, or somebody asks this
    process to end meanwhile (Ctrl-C, SIGTERM, SIGHUP), it is cancelled, and the old map is
    pinned again if it is certain that nothing will be loaded any more and no program uses the
    new one. In every case there is a report, and it says in what state everything is.

    Args:
        gate: the write gate.
        plan: of `plan_recreate`.
        switch: begins the replacement of the attached programs; None leaves the programs, and
            they keep the old map.

    Raises:
        BpfError: the new map cannot be made or pinned; nothing was changed.
        UsageError: another map is pinned there than the one planned for; nothing was changed.
        KeyboardInterrupt: asked to end before the new map was pinned; nothing was changed.
    """
    started = time.perf_counter()
    path = plan.path
    with Interrupts() as heard, BpfMap.open(path) as old:
        if old.info.id != plan.info.id:
            raise UsageError(
                f"{path} is map {old.info.id} now, the plan was made for map {plan.info.id}",
                hint="Plan again",
            )
        with create_map(gate, plan.wish) as new:
            lost = old.count()
            heard.check()
            pin_over(gate, new, path, plan.info.id)
            events = _swap_events(plan, new.info, lost)
            failure = ""
            running = Running()
            if switch is not None:
                swap = Swap(gate, path, old, new, heard)
                failure, more = swap.finish(switch)
                running = swap.running
                events.extend(more)
            new_id = new.info.id
            pinned = pinned_id(path)
            back = came_back(old, new) if plan.verdicts else None
        return RecreateReport(
            path=path,
            old_id=old.info.id,
            new_id=new_id,
            pinned_id=pinned,
            max_entries=plan.wish.max_entries,
            lost=0 if pinned == old.info.id else lost,
            old_users=users(old.info.id) if switch is None or failure else left_on(old.info.id),
            failure=failure,
            events=tuple(events),
            seconds=time.perf_counter() - started,
            interrupted=heard.noted,
            verdicts=plan.verdicts,
            back=back,
            running=running,
        )


def entries_in(live: BpfMap) -> int:
    """Entries that go with a map; 0 of one whose entries are nothing without its programs."""
    return live.count() if live.info.type in RECREATABLE else 0


_MOST_LOOKUPS: Final = 10_000


def came_back(old: BpfMap, new: BpfMap) -> int | None:
    """How many entries of the old map the new one has; None where there are too many to look."""
    if new.count() > _MOST_LOOKUPS:
        return None
    return sum(old.lookup(key.tobytes()) is not None for key in new.read().keys)


def _swap_events(plan: RecreatePlan, new: MapInfo, lost: int) -> list[Event]:
    """What happened at the rename, in Cilium's words."""
    path = plan.path
    events = [
        map_event(
            EventKind.MAP_MISMATCH,
            path,
            f"{found.property} mismatch for BPF map",
            {"new": found.new, "old": found.old},
            Level.WARNING,
        )
        for found in plan.differences
    ]
    fields = {
        "max_entries": new.max_entries,
        "old_id": plan.info.id,
        "new_id": new.id,
        "lost": lost,
    }
    return [
        *events,
        map_event(EventKind.MAP_REMOVED, path, REMOVING, level=Level.WARNING),
        map_event(EventKind.MAP_RECREATED, path, "Re-created BPF map", fields),
    ]


def _check_limits(path: Path, info: MapInfo, max_entries: int) -> None:
    if info.type not in RECREATABLE:
        raise UsageError(
            f"{path.name} is a {info.type.name}, which cannot be re-created while in use",
            hint="Restart the agent instead",
        )
    check_size(path.name, max_entries)


def guarded(plan: RecreatePlan) -> RecreatePlan:
    """The same where a guard holds the map."""
    plan = replace(plan, guarded=True)
    return replace(plan, warnings=(*_warnings(plan), *plan.lasting))


def _warnings(plan: RecreatePlan) -> list[str]:
    found = []
    if plan.entries and plan.guarded:
        found.append(
            f"The guard is on: it carries the {plan.entries} entries over into the new map"
        )
    elif plan.entries:
        found.append(f"All {plan.entries} entries will be lost, and every statistic with them")
    if plan.users:
        found.append(
            f"{len(plan.users)} programs keep using map {plan.info.id} until they are replaced; "
            "entries they write meanwhile are lost as well"
        )
    if plan.entries > plan.wish.max_entries:
        found.append(
            f"{plan.entries} entries are in use, more than the {plan.wish.max_entries} wished for"
        )
    if not plan.differences:
        found.append("The size stays the same: this only empties the map")
    if lack := plan.memory.lack:
        found.append(lack)
    return found
