"""What a start of the agent would re-create, told before anybody starts or restarts it.

The start itself compares every map it wants with what is pinned (`init_maps`); the same wishes
are compared here, so that each option's effect is told for every map it reaches: both IP
versions' tables, and translation tables that follow the size of the conntrack ones.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import first_inside, pinned_id
from ctconsole.manager.init_maps import wishes
from ctconsole.manager.recreate import came_back, entries_in, plan_replacement
from ctconsole.manager.running import Running
from ctconsole.model.plan import Memory, Row, outcome_rows
from ctconsole.model.spec import Difference, MapType, differences
from ctconsole.model.units import count
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from ctconsole.config import AgentConfig
    from ctconsole.manager.bpfmap import ManagedMap
    from ctconsole.manager.recreate import RecreatePlan
    from ctconsole.model.ct.outcomes import Reason, Risk
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event
    from ctconsole.model.plan import Verdict
    from ctconsole.model.plane.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Lossless:
    """A resize that does for some maps what a restart would do by emptying them.

    Attributes:
        names: the maps that get another size, the one to be named first.
        max_entries: the size of the first.
        fits: whether each has a place for every entry.
        start: options, each with its value, that an agent has to be started with first, because
            programs use these maps and nobody else would move them; none where it has not.
    """

    names: tuple[str, ...]
    max_entries: int
    fits: bool = True
    start: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What does it."""
        resize = f"ctconsole map resize {self.names[0]} {self.max_entries}"
        if not self.start:
            return resize
        options = " ".join(f"--option {option}" for option in self.start)
        return f"ctconsole agent start {options} && {resize}"

    @property
    def sentence(self) -> str:
        """What does it, and for which maps."""
        far = "" if self.fits else ", as far as they fit"
        return f"{self.command} carries the entries over{far}: of {', '.join(self.names)}"


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """What starting or restarting the agent changes and costs; a `ctconsole.model.plan.Plan`.

    Attributes:
        agent: its state folder.
        changes: the options that get another value.
        maps: those that will be re-created, each with what is in it; all others are opened as
            they are.
        lossless: resizes that would give some of these maps the same sizes with all that is in
            them.
        is_start: whether none runs yet, and one is to be started.
        anew: names of pinned maps that every start makes anew, since their entries are worthless
            then.
        guarded: names of those of ``maps`` whose entries a guard carries over afterwards.
    """

    agent: Path
    changes: Mapping[str, str]
    maps: tuple[RecreatePlan, ...]
    lossless: tuple[Lossless, ...] = ()
    is_start: bool = False
    anew: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Which agent."""
        return f"{'Start' if self.is_start else 'Restart'} the agent on {self.agent}"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The pins of the maps whose entries it is about."""
        return tuple(one.path for one in self.maps)

    @property
    def rows(self) -> tuple[Row, ...]:
        """How many maps, the options, and a line for each map."""
        but = f" but {', '.join(self.anew)}" if self.anew else ""
        if not self.maps:
            told = f"every map{but} is opened as it is and keeps its entries"
        elif len(self.maps) == 1:
            told = f"one map is re-created empty, every other{but} keeps its entries"
        else:
            told = f"{len(self.maps)} maps are re-created empty, every other{but} keeps its entries"
        options = (Row("option", f"{name}={value}") for name, value in self.changes.items())
        maps = (
            Row("re-created", f"{one.path.name}: {_change(one)}; lost: {one.losing}")
            for one in self.maps
        )
        anew = (Row("made anew", f"{name}, as at every start") for name in self.anew)
        without = (Row("without loss", one.sentence) for one in self.lossless)
        kept = f"on: what is in {', '.join(self.guarded)} is carried over afterwards"
        guard = (Row("guard", kept),) if self.guarded else ()
        return (Row("maps", told), *options, *maps, *anew, *guard, *without)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of all maps together."""
        return together(self.maps)

    @property
    def memory(self) -> Memory | None:
        """Of all maps together: the old ones live until their programs are replaced."""
        if not self.maps:
            return None
        return Memory(
            sum(one.memory_old for one in self.maps),
            sum(one.memory_new for one in self.maps),
            self.maps[0].memory_free,
            self.maps[0].memory_limit,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for whoever decides."""
        found = []
        lost = sum(one.entries for one in self.maps if one.path.name not in self.guarded)
        if lost:
            which = "the maps that no guard holds" if self.guarded else "these maps"
            found.append(
                f"All {count(lost)} entries of {which} will be lost, and every statistic with them"
            )
        memory = self.memory
        if memory is not None and memory.lack:
            found.append(memory.lack)
        return tuple(found)

    @property
    def lasting(self) -> tuple[str, ...]:
        """None: all of it is about what will be."""
        return ()

    @property
    def data_loss(self) -> int:
        """Entries of all maps that are re-created."""
        return sum(one.entries for one in self.maps)

    @property
    def confirm_name(self) -> str:
        """That of the map with the most to lose; empty where no map is re-created."""
        worst = max(self.maps, key=lambda one: one.entries, default=None)
        return worst.path.name if worst else ""

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "state_dir": str(self.agent),
            "options": dict(self.changes),
            "maps": [one.facts for one in self.maps],
            "made_anew": list(self.anew),
            "guarded": list(self.guarded),
            "entries": self.data_loss,
            "lossless": [
                {"command": one.command, "maps": list(one.names)} for one in self.lossless
            ],
        }


@dataclass(frozen=True, slots=True)
class RestartReport:
    """What a restart did; a `ctconsole.model.plan.Report`.

    Attributes:
        pid: process id of the agent that runs now.
        seconds: wall time from the stop to being ready.
        renewed: kernel id by pin name of the maps that are others now.
        known: whether the ids before are known, without which nothing can be said of the rest.
        running: what was seen of the programs at their hooks, where a map is another one now.
        lost: entries that the plan had counted in maps that were re-created.
        verdicts: what it had said would become of their connections, the worst first.
        back: of the entries of conntrack maps, those that were there again in the end; None where
            that was not looked at.
        guarded: names of the maps whose entries a guard carries over from then on.
    """

    pid: int | None
    seconds: float
    renewed: Mapping[str, int]
    known: bool
    running: Running = field(default_factory=Running)
    lost: int = 0
    verdicts: tuple[Verdict, ...] = ()
    back: int | None = None
    guarded: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What was done."""
        text = f"The agent is ready again after {self.seconds:.1f} s, process {self.pid}"
        if self.renewed:
            maps = (f"{name} (map {number})" for name, number in self.renewed.items())
            lost = f"; {count(self.lost)} entries lost" if self.lost else ""
            if self.lost and self.guarded:
                lost = (
                    f"; {count(self.lost)} entries were in them, and the guard carries over what "
                    f"was in {', '.join(self.guarded)}"
                )
            return f"{text}; re-created: {', '.join(maps)}{lost}"
        return f"{text}; every map kept its entries" if self.known else text

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was seen of the programs, the forecast, and what has come of it."""
        hooks = (Row("hooks", self.running.sentence),) if self.running.sentence else ()
        of = sum(number for _, _, number in self.verdicts)
        # Of what a guard carries over nothing can be said in this moment.
        back = None if self.guarded else self.back
        return (*hooks, *outcome_rows(self.verdicts, of, back))

    @property
    def failure(self) -> str:
        """A restart that fails is an error; this is that a program never runs."""
        try:
            self.running.check()
        except CtconsoleError as error:
            return f"{self.sentence}, but {str(error)[0].lower()}{str(error)[1:]}"
        return ""

    @property
    def events(self) -> tuple[Event, ...]:
        """The agent writes its own."""
        return ()

    @property
    def facts(self) -> Mapping[str, object]:
        """For JSON."""
        return {
            "pid": self.pid,
            "seconds": round(self.seconds, 6),
            "renewed": dict(self.renewed),
            "lost": self.lost,
            "forecast": [
                {"risk": risk.name.lower(), "reason": reason.name.lower(), "entries": number}
                for risk, reason, number in self.verdicts
            ],
            "back": self.back,
            "hooks": dict(self.running.facts),
        }


class Aftermath:
    """What becomes of the maps that a start was planned to re-create. A context manager.

    The old maps are held as long as it lasts.

    Args:
        maps: of the plan.

    Attributes:
        lost: entries that were planned to be lost with maps that are others now.
        verdicts: what had been forecast of the connections of these, the worst first.
        back: entries of the old conntrack maps that the new ones have; None if not looked at.
    """

    def __init__(self, maps: Sequence[RecreatePlan]) -> None:
        self._maps = maps
        self._held: dict[Path, BpfMap] = {}
        self._stack = ExitStack()
        self.lost = 0
        self.verdicts: tuple[Verdict, ...] = ()
        self.back: int | None = None

    def __enter__(self) -> Self:
        """Hold the old maps, as far as they are still there."""
        for one in self._maps:
            with suppress(GoneError):
                self._held[one.path] = self._stack.enter_context(BpfMap.open(one.path))
        return self

    def look(self) -> None:
        """See what is pinned by now, and what is in it again."""
        gone = [one for one in self._maps if pinned_id(one.path) != one.info.id]
        self.lost = sum(one.entries for one in gone)
        self.verdicts = together(gone)
        found = [self._back(one) for one in gone if one.verdicts]
        known = [number for number in found if number is not None]
        self.back = sum(known) if known and len(known) == len(found) else None

    def _back(self, plan: RecreatePlan) -> int | None:
        old = self._held.get(plan.path)
        try:
            with BpfMap.open(plan.path) as new:
                return came_back(old, new) if old else None
        except GoneError:
            return None

    def __exit__(self, *_: object) -> None:
        """Let go of the old maps."""
        self._stack.close()


def together(maps: Sequence[RecreatePlan]) -> tuple[Verdict, ...]:
    """The verdicts of several maps added up, the worst first."""
    found: Counter[tuple[Risk, Reason]] = Counter()
    for one in maps:
        for risk, reason, number in one.verdicts:
            found[risk, reason] += number
    verdicts = [(risk, reason, number) for (risk, reason), number in found.items()]
    return tuple(sorted(verdicts, key=lambda one: (-one[0], -one[2])))


def plan_restart(
    agent: Path,
    config: AgentConfig,
    root: Path,
    endpoints: Sequence[Endpoint],
    *,
    changes: Mapping[str, str],
    reading: Callable[[], Reading],
) -> RestartPlan:
    """Say which maps a start with this configuration would re-create; changes nothing.

    A map that is made anew at every start, whatever it holds, is named beside them.

    Args:
        agent: state folder of the agent.
        config: what it will run with.
        root: the bpffs it pins its maps on.
        endpoints: of which it has maps.
        changes: the options that differ from what it ran with, for whoever reads the plan.
        reading: how conntrack entries are read; asked only if such a map would be re-created.

    Raises:
        BpfError: a map cannot be looked at.
    """
    found = []
    for managed, live, differing in _remade(config, root, endpoints):
        plan = plan_replacement(live, managed.path, managed.wish, reading)
        found.append(replace(plan, differences=differing))
    anew = (
        managed.path.name
        for managed in wishes(config, root / GLOBALS, endpoints)
        if managed.non_persistent and managed.path.exists()
    )
    return RestartPlan(agent, changes, tuple(found), anew=tuple(anew))


def at_stake(config: AgentConfig, root: Path, endpoints: Sequence[Endpoint]) -> dict[str, int]:
    """How many entries a start with this configuration would lose, by pin name, where any.

    They are counted and not read; see `plan_restart` for the rest.

    Raises:
        BpfError: a map cannot be looked at.
    """
    maps = _remade(config, root, endpoints)
    found = {managed.path.name: entries_in(live) for managed, live, _ in maps}
    return {name: entries for name, entries in found.items() if entries}


def _remade(
    config: AgentConfig, root: Path, endpoints: Sequence[Endpoint]
) -> Iterator[tuple[ManagedMap, BpfMap, tuple[Difference, ...]]]:
    """The pinned maps that are not as wished, open, and in what they differ."""
    for managed in wishes(config, root / GLOBALS, endpoints):
        if managed.non_persistent:
            continue
        try:
            live = BpfMap.open(managed.path)
        except GoneError:
            continue
        with live:
            # As `obj_check` does: its programs would go with its last pin.
            if live.info.type is MapType.PROG_ARRAY:
                continue
            differing = differences(live.info, managed.wish) or _inner(live, managed)
            if differing:
                yield managed, live, differing


def _inner(live: BpfMap, managed: ManagedMap) -> tuple[Difference, ...]:
    """How the maps inside differ; those that are not there yet have nothing to lose."""
    wish = managed.spec.inner
    inside = first_inside(live) if wish is not None and live.info.type.holds_maps else None
    if wish is None or inside is None:
        return ()
    return tuple(
        replace(one, property=f"Inner map {one.property}") for one in differences(inside, wish)
    )


def _change(one: RecreatePlan) -> str:
    """What is other: ``65,536 -> 131,072 entries``, ``Value size 56 -> 64``."""
    if one.info.max_entries != one.wish.max_entries:
        return one.resizing
    return ", ".join(f"{diff.property} {diff.old} -> {diff.new}" for diff in one.differences)
