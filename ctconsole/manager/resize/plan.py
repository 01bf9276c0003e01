"""What a resize would change, what it needs, and whom a table too small would cost.

Whatever the table's size, it is read in parts: a plan takes no more memory for sixteen million
entries than for a thousand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BusyError, FormatError, MissingFeatureError, UsageError
from ctconsole.kernel.maps import BpfMap, possible_cpus
from ctconsole.kernel.memory import free_memory
from ctconsole.kernel.passes import passes_memory
from ctconsole.manager.changing import require_unchanged
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.look import Look
from ctconsole.manager.resize.pace import NO_PAST
from ctconsole.manager.users import users
from ctconsole.model.catalogue import LIMIT_TABLE_MAX, RESIZABLE, check_size, classify
from ctconsole.model.ct.joining import MAX_KEY, MAX_VALUE, joining_of
from ctconsole.model.ct.outcomes import Change
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.memory import LRU_BATCH, map_memory, room, rounded_entries, smallest
from ctconsole.model.plan import Memory, Row, ways_counts, ways_rows
from ctconsole.model.spec import differences, spec_of
from ctconsole.model.units import count, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.manager.resize.pace import Estimate, Past
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.outcomes import Reason, Risk
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.plan import Verdict
    from ctconsole.model.spec import Difference, MapInfo, MapSpec

_GROWTH: Final = 16
"""A table may grow by a sixteenth while it is resized."""


@dataclass(frozen=True, slots=True)
class MapPlan:
    """What becomes of one map.

    Attributes:
        path: its pin.
        info: the map as it is.
        wish: what it is to become, its capacity as the kernel will round it.
        layout: of its entries, None where they are no conntrack entries.
        differences: in what the two differ.
        entries: entries in it now.
        alive: of these, not expired; None where entries have no lifetime, likewise below.
        expired: the others.
        closing: of the living, those of which a side has closed.
        room: entries the new map takes before it throws one out.
        growth: how many may come while the resize runs; part of what has to fit.
        smallest: the smallest capacity in which nothing is lost.
        dropped: entries for which there is no room, by ``expired``, ``closing``, ``alive``.
        memory_old: bytes charged to the map as it is.
        memory_new: bytes the new one will be charged.
        memory_passes: bytes that carrying takes beside both.
        forecasts: what each way does to its connections, the worst first; empty for a map
            that is not conntrack's.
    """

    path: Path
    info: MapInfo
    wish: MapSpec
    layout: Layout | None
    differences: tuple[Difference, ...]
    entries: int
    alive: int | None
    expired: int | None
    closing: int | None
    room: int
    growth: int
    smallest: int
    dropped: Mapping[str, int]
    memory_old: int
    memory_new: int
    memory_passes: int
    forecasts: Mapping[Change, tuple[Verdict, ...]]

    @property
    def resizing(self) -> str:
        """``65,536 -> 131,072 entries``."""
        text = f"{count(self.info.max_entries)} -> {count(self.wish.max_entries)} entries"
        if self.info.flags != self.wish.flags:
            text += f", flags {self.info.flags:#x} -> {self.wish.flags:#x}"
        return text

    @property
    def holding(self) -> str:
        """``50,000 entries, 40,000 alive, 10,000 expired, 100 closing; room for 65,280``."""
        text = f"{count(self.entries)} entries"
        if self.alive is not None:
            text += (
                f", {count(self.alive)} alive, {count(self.expired or 0)} expired, "
                f"{count(self.closing or 0)} closing"
            )
        return f"{text}; room for {count(self.room)}, {count(self.growth)} of it in reserve"

    @property
    def drops_living(self) -> int:
        """Entries that have not expired and will not be carried over."""
        return sum(number for what, number in self.dropped.items() if what != "expired")

    @property
    def is_possible(self) -> bool:
        """Whether there is a size in which nothing is lost."""
        return self.smallest <= LIMIT_TABLE_MAX

    @property
    def keeping(self) -> str:
        """The size in which nothing is lost, or that there is none, to be said of the entries."""
        if self.is_possible:
            return f"{self.smallest} is the smallest size that keeps them all"
        return (
            f"no size keeps them all: {self.smallest} would, and {LIMIT_TABLE_MAX} is the largest"
        )


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """What a resize would change and cost; a `ctconsole.model.plan.Plan`.

    Attributes:
        maps: the maps that change together, because one option sizes them.
        memory_free: bytes that can be had now; old and new maps exist together.
        memory_limit: the cgroup that allows no more, empty where it is the machine.
        estimate: about how long it takes.
        users: ids of the programs that use one of the maps.
        clock: what the entries' lifetimes are counted in.
        warnings: sentences for whoever decides.
        undoes: whether it gives back the sizes that a resize has changed.
        advice: the size that the first map should have, in a sentence; empty where nobody asked.
        changed_by: who changes maps there just now, in a sentence; empty where nobody does.
        cut_off: whether a resize there was, so that whoever comes next ends it first.
    """

    maps: tuple[MapPlan, ...]
    memory_free: int
    estimate: Estimate
    users: tuple[int, ...]
    clock: ClockSource
    warnings: tuple[str, ...] = ()
    undoes: bool = False
    memory_limit: str = ""
    advice: str = ""
    changed_by: str = ""
    cut_off: bool = False

    @property
    def title(self) -> str:
        """What is to be done, to what."""
        deed = "Undo the resize of" if self.undoes else "Resize"
        return f"{deed} {self.maps[0].path.name}"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pins of the maps whose entries it is about."""
        return tuple(one.path for one in self.maps)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Sizes, entries and room of each map, how long it takes, and the other ways."""
        found = [Row("sizes", self.maps[0].resizing)]
        for one in self.maps:
            if one is not self.maps[0]:
                found.append(Row("with it", f"{one.path.name}: {one.resizing}"))
            found.append(Row("entries", one.holding))
            if one.dropped:
                what = ", ".join(f"{count(number)} {kind}" for kind, number in one.dropped.items())
                from_on = f"none from {count(one.smallest)} on" if one.is_possible else one.keeping
                found.append(Row("dropped", f"{what}; {from_on}"))
        about = f"about {duration(self.estimate.seconds)} {self.estimate.by}"
        found.append(Row("time", f"{about}, and the programs' owner's"))
        found.append(Row("programs", f"{len(self.users)} use it and are replaced"))
        found += ways_rows({change: self.forecast(change) for change in Change})
        if self.advice:
            found.append(Row("advice", self.advice))
        return tuple(found)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What becomes of the connections."""
        return self.forecast(Change.RESIZE)

    def forecast(self, change: Change) -> tuple[Verdict, ...]:
        """What another way would do to the connections, of all maps, the worst first."""
        told: Counter[tuple[Risk, Reason]] = Counter()
        for one in self.maps:
            for risk, reason, number in one.forecasts.get(change, ()):
                told[risk, reason] += number
        found = [(risk, reason, number) for (risk, reason), number in told.items()]
        return tuple(sorted(found, key=lambda one: (-one[0], -one[2])))

    @property
    def memory(self) -> Memory:
        """Bytes of all maps."""
        return Memory(
            old=sum(one.memory_old for one in self.maps),
            new=sum(one.memory_new for one in self.maps),
            free=self.memory_free,
            limit=self.memory_limit,
            passes=sum(one.memory_passes for one in self.maps),
        )

    @property
    def lasting(self) -> tuple[str, ...]:
        """None: whatever is warned of is over when it is done."""
        return ()

    @property
    def data_loss(self) -> int:
        """Living entries that will be lost."""
        return self.drops_living

    @property
    def confirm_name(self) -> str:
        """The first map's where something will be lost."""
        return self.maps[0].path.name if self.drops_living else ""

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "maps": [_map_facts(one) for one in self.maps],
            "memory_old": self.memory.old,
            "memory_new": self.memory.new,
            "memory_passes": self.memory.passes,
            "memory_free": self.memory.free,
            "memory_limit": self.memory_limit or None,
            "advice": self.advice or None,
            "changed_by": self.changed_by or None,
            "cut_off": self.cut_off,
            "ways": {
                change.value: {
                    risk.name.lower(): number
                    for risk, number in ways_counts(self.forecast(change)).items()
                }
                for change in Change
            },
            "seconds": round(self.estimate.seconds, 3),
            "past_resizes": self.estimate.past,
            "programs": list(self.users),
            "forecasts": {
                change.value: [
                    {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
                    for risk, reason, number in self.forecast(change)
                ]
                for change in Change
            },
        }

    @property
    def drops_living(self) -> int:
        """Entries that have not expired and will not be carried over."""
        return sum(one.drops_living for one in self.maps)

    @property
    def enough(self) -> int | None:
        """The smallest size of the first map with which none is dropped; None if there is none.

        Maps that have its size have it then, too. Those that have another follow other sizes as
        well, and where one of them lacks room it is not known what would be enough.
        """
        first = self.maps[0].wish.max_entries
        short = [one for one in self.maps if one.drops_living]
        if any(one.wish.max_entries != first or not one.is_possible for one in short):
            return None
        return max((one.smallest for one in short), default=first)


def plan_resize(
    wishes: Mapping[Path, MapWish], reading: Reading = PLAIN, past: Past | None = None
) -> ResizePlan:
    """Look at pinned maps and say what other capacities would change and need.

    Args:
        wishes: by pin what the map is to become.
        reading: how the entries of conntrack maps are read and judged.
        past: how long resizes took before; None knows of none.

    Raises:
        UsageError: a capacity is out of range, or a map's entries cannot be carried over.
        GoneError: nothing is pinned there.
    """
    maps = tuple(_plan_map(path, wish, reading) for path, wish in wishes.items())
    free = free_memory()
    changed_by, cut_off = _under_way(next(iter(wishes)).parent)
    plan = ResizePlan(
        maps=maps,
        memory_free=free.free,
        memory_limit=free.limit,
        estimate=(past or NO_PAST).estimate(sum(one.entries for one in maps)),
        users=users(*(one.info.id for one in maps)),
        clock=reading.clock,
        changed_by=changed_by,
        cut_off=cut_off,
    )
    return replace(plan, warnings=tuple(_warnings(plan)))


def _under_way(folder: Path) -> tuple[str, bool]:
    """Who changes maps there now, and whether a resize was cut off."""
    try:
        require_unchanged(folder)
        return "", journal_of(folder).read() is not None
    except BusyError as error:
        return error.message, False
    except (MissingFeatureError, FormatError, OSError):
        # Where it cannot be journaled none was begun; a journal that is none is told by a resize.
        return "", False


@dataclass(frozen=True, slots=True)
class MapWish:
    """What a map is to become.

    Attributes:
        max_entries: the capacity.
        flags: ``map_flags``; None keeps those it has.
    """

    max_entries: int
    flags: int | None = None


def _plan_map(path: Path, wished: MapWish, reading: Reading) -> MapPlan:
    with BpfMap.open(path) as live:
        info, cpus = live.info, possible_cpus()
        _check(path, info, wished.max_entries)
        wish = spec_of(info, max_entries=wished.max_entries)
        if wished.flags is not None:
            wish = replace(wish, flags=wished.flags)
        wish = replace(wish, max_entries=rounded_entries(wish, wish.max_entries, cpus))
        entry = classify(path.name, info)
        look = Look(live, reading) if entry and entry.is_ct and entry.matches(info) else None
        entries = look.entries if look else live.count()
        growth = max(LRU_BATCH, entries // _GROWTH)
        space = room(wish, cpus)
        missing = max(0, entries + growth - space)
        dropped = look.dropped(missing) if look else _plain_drop(missing, entries)
        return MapPlan(
            path=path,
            info=info,
            wish=wish,
            layout=look.layout if look else None,
            differences=differences(info, wish),
            entries=entries,
            alive=look.alive if look else None,
            expired=look.expired if look else None,
            closing=look.closing if look else None,
            room=space,
            growth=growth,
            smallest=smallest(wish, entries + growth, cpus),
            dropped=dropped,
            memory_old=info.memlock or map_memory(info, cpus, entries),
            memory_new=map_memory(wish, cpus, entries),
            memory_passes=passes_memory(info, wish, _counters(info, look)),
            forecasts=look.forecasts(missing) if look else {},
        )


def _counters(info: MapInfo, look: Look | None) -> int:
    """How many counters an entry has."""
    return joining_of(info, look.layout if look else None).counters.bit_count()


def _plain_drop(missing: int, entries: int) -> dict[str, int]:
    return {"alive": min(missing, entries)} if missing and entries else {}


def _map_facts(one: MapPlan) -> dict[str, object]:
    return {
        "path": str(one.path),
        "id": one.info.id,
        "max_entries": one.info.max_entries,
        "new_max_entries": one.wish.max_entries,
        "layout": one.layout,
        "differences": [
            {"property": found.property, "old": found.old, "new": found.new}
            for found in one.differences
        ],
        "entries": one.entries,
        "alive": one.alive,
        "expired": one.expired,
        "closing": one.closing,
        "room": one.room,
        "growth": one.growth,
        "smallest": one.smallest,
        "dropped": dict(one.dropped),
        "memory_old": one.memory_old,
        "memory_new": one.memory_new,
        "memory_passes": one.memory_passes,
    }


def _check(path: Path, info: MapInfo, max_entries: int) -> None:
    if info.type not in RESIZABLE or info.key_size > MAX_KEY or info.value_size > MAX_VALUE:
        raise UsageError(
            f"{path.name} is a {info.type.name} with keys of {info.key_size} and values of "
            f"{info.value_size} bytes, whose entries cannot be carried over",
            hint="Re-create it, or restart its agent with another size",
        )
    check_size(path.name, max_entries)


def _warnings(plan: ResizePlan) -> Iterator[str]:
    if plan.changed_by:
        yield plan.changed_by
    if plan.cut_off:
        yield "A resize was cut off here; it is ended, forward or back, before this one begins"
    for one in plan.maps:
        name = one.path.name
        if one.drops_living:
            yield (f"{one.drops_living} living entries of {name} do not fit; {one.keeping}")
        if not one.differences:
            yield f"{name} is as wished already: nothing would change but the kernel's map"
    if lack := plan.memory.lack:
        yield lack
