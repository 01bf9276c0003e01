"""Samples of a node for the exporter: cheap, in little memory, and never a whole table.

What the kernel counts is asked in every sample. What lives in a conntrack table is counted inside
the kernel (`kernel.census`), as seldom as its share of a core wants it.
"""

from __future__ import annotations

import time
from copy import copy
from typing import TYPE_CHECKING, Final

from ctconsole.agent.state import StateDir
from ctconsole.errors import (
    BpfError,
    CtconsoleError,
    DatapathError,
    DeniedError,
    MissingFeatureError,
)
from ctconsole.exporter.figures import PREFIX, MapFigures, NodeFigures, Totals
from ctconsole.handles import Closing
from ctconsole.history import History
from ctconsole.kernel import procs
from ctconsole.kernel.bpffs import pin_numbers
from ctconsole.kernel.census import open_census
from ctconsole.kernel.clock import moment
from ctconsole.kernel.counts import ElementCounter
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.event import EventKind
from ctconsole.model.memory import room
from ctconsole.model.packets.monitor import INSERT_FAILED
from ctconsole.model.records.structs import METRICS
from ctconsole.model.sizing import told
from ctconsole.model.spec import MapType
from ctconsole.node.advising import sizing_of
from ctconsole.node.owner import agent_of
from ctconsole.observe.agents import find_globals
from ctconsole.observe.agentwatch import AgentWatch
from ctconsole.observe.facts import FactsKeeper
from ctconsole.observe.pins import Pins
from ctconsole.observe.source import is_conntrack
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.kernel.census import CensusTaker
    from ctconsole.kernel.procs import Process
    from ctconsole.model.ct.census import Census
    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.event import Event
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.discovery import NodeFacts

CENSUS_SHARE: Final = 0.0002
"""Of one core, for each conntrack table: a census of 500,000 entries takes 40 ms, and is taken
again after some three minutes."""

SPLIT_SECONDS: Final = 300.0
"""Between two looks at which programs use which maps. A brain splits where a pin changes, and then
they are looked at in every sample until it is whole again."""

LOOK_SECONDS: Final = 600.0
"""Between two looks at pins of which none has changed, for the memory of their maps."""

AGENT_SECONDS: Final = 30.0
"""Between two searches for an agent where none was found."""

_FACTS_SECONDS: Final = 120.0
"""Between two looks at the agent's release, clock and options, which change with its restart."""

_FIRST_ANSWER: Final = 3.0
"""Seconds the first sample waits for them: the clock decides over what is alive."""

_TOLD: Final = (EventKind.MAP_RESIZED, EventKind.MAP_CARRIED)
_METRICS: Final = "cilium_metrics"


class Counted(Closing):
    """One conntrack map and its censuses.

    Args:
        info: the map.
    """

    def __init__(self, info: MapInfo) -> None:
        self.info = info
        self.newest: Census | None = None
        self._taker: CensusTaker | None = open_census(info)
        self._due = 0.0
        self._full = False
        self._room = room(info, possible_cpus())

    def sample(self, entries: int | None, clock: ClockSource, totals: Totals) -> None:
        """Count it if that is due, and add up what came and went.

        Args:
            entries: in it just now.
            clock: what its lifetimes are stamped with.
            totals: added to.
        """
        # A common LRU throws entries out only when its room is used up.
        self._full |= entries is not None and entries >= self._room
        if self._taker is None or time.monotonic() < self._due:
            return
        found = self._taker.take(moment(clock))
        if found is None:
            return
        self._due = time.monotonic() + found.cpu_seconds / CENSUS_SHARE
        self.newest = found
        totals.census_cpu = (totals.census_cpu or 0.0) + found.cpu_seconds
        full, self._full = self._full, False
        if found.came is None or found.gone is None or found.early is None:
            return
        totals.came = (totals.came or 0) + found.came
        totals.gone = (totals.gone or 0) + found.gone
        totals.evicted = (totals.evicted or 0) + (found.early if full else 0)

    def close(self) -> None:
        """Unload what counts."""
        if self._taker is not None:
            self._taker.close()
            self._taker = None


class NodeSampler(Closing):
    """Takes samples of a node. A context manager; for one thread at a time.

    Args:
        bpf_root: the bpffs; may come into being later.
        history: the history that tells of resizes; need not exist.

    Attributes:
        notes: a sentence of each thing that is not known of this node, and why.
    """

    def __init__(self, bpf_root: Path, history: Path) -> None:
        self._root = bpf_root
        self._history_path = history
        self._history: History | None = None
        self._last_event = 0
        self._pins = Pins(bpf_root)
        self._agents = AgentWatch(lambda: find_globals(bpf_root))
        self._splits = SplitWatch(bpf_root, history)
        self._splits_known = True
        self._seen: frozenset[tuple[str, int]] = frozenset()
        self._look_due = self._split_due = self._agent_due = 0.0
        self._facts = FactsKeeper(bpf_root, interval=_FACTS_SECONDS)
        self._sized: tuple[NodeFacts, dict[str, int]] | None = None
        self.notes: list[str] = []
        self._counter = self._opened_counter()
        self._counted: dict[Path, Counted] = {}
        self._totals: dict[Path, Totals] = {}
        self._agent: Process | None = None
        self._up = False
        self._restarts = 0
        self._newest = NodeFigures()

    def sample(self) -> NodeFigures:
        """What the node is like now; of a node that cannot be read all but its maps is told."""
        began, taken_at = time.monotonic(), time.time()
        before = self._newest
        try:
            maps = self._maps()
        except BaseException:
            self._newest = NodeFigures(
                taken_at=before.taken_at,
                samples=before.samples + 1,
                failures=before.failures + 1,
                cpu_seconds=time.process_time(),
                resident=procs.resident(),
            )
            raise
        facts, agent = self._facts.latest, self._agent if self._up else None
        version = facts.version if facts else None
        self._newest = NodeFigures(
            maps=maps,
            taken_at=taken_at,
            seconds=time.monotonic() - began,
            samples=before.samples + 1,
            failures=before.failures,
            agent_up=self._up,
            agent_started=agent.started if agent else None,
            agent_release=str(version.value) if version and agent else None,
            agent_restarts=self._restarts,
            insert_failures=_insert_failures(find_globals(self._root) / _METRICS),
            cpu_seconds=time.process_time(),
            resident=procs.resident(),
        )
        return self._newest

    @property
    def newest(self) -> NodeFigures:
        """The last sample, also where it failed."""
        return self._newest

    def close(self) -> None:
        """Let go of every map."""
        self._facts.stop()
        self._pins.close()
        for one in self._counted.values():
            one.close()
        self._counted.clear()
        for opened in (self._counter, self._history):
            if opened is not None:
                opened.close()
        self._counter = self._history = None

    def _opened_counter(self) -> ElementCounter | None:
        try:
            return ElementCounter()
        except (MissingFeatureError, DatapathError) as error:
            self.notes.append(f"How full maps are is not known: {error}")
            return None

    def _maps(self) -> tuple[MapFigures, ...]:
        if self._facts.start():
            self._facts.wait(_FIRST_ANSWER)
        self._look_at_agent()
        if self._look_at_pins():
            self._look_for_splits()
        self._read_history()
        folder = find_globals(self._root)
        infos = {
            path: info
            for path, info in self._pins.infos.items()
            if path.parent == folder and path.name.startswith(PREFIX) and _has_entries(info)
        }
        counts = self._counter.counts() if self._counter else {}
        for gone in self._counted.keys() - infos.keys():
            self._counted.pop(gone).close()
        # One that is away for a sample, as between unpinning and pinning anew, goes on counting.
        for gone in self._totals.keys() - infos.keys() - self._pins.awaited:
            del self._totals[gone]
        sizes = self._sizes(infos)
        found = [self._figures(path, info, counts, sizes) for path, info in infos.items()]
        return tuple(sorted(found, key=lambda one: one.label))

    def _figures(
        self, path: Path, info: MapInfo, counts: Mapping[int, int], sizes: Mapping[str, int]
    ) -> MapFigures:
        totals = self._totals.setdefault(path, Totals())
        entries = counts.get(info.id)
        census = self._count(path, info, entries, totals) if is_conntrack(info) else None
        if entries is None and census is not None:
            entries = census.kinds.entries
        split = path in self._splits.alarmed if self._splits_known else None
        return MapFigures(info, entries, copy(totals), census, split, sizes.get(info.label))

    def _count(
        self, path: Path, info: MapInfo, entries: int | None, totals: Totals
    ) -> Census | None:
        counted = self._counted.get(path)
        if counted is None or counted.info.id != info.id:
            if counted is not None:
                counted.close()
            counted = self._counted[path] = Counted(info)
        counted.sample(entries, self._facts.reading.clock, totals)
        return counted.newest

    def _look_at_pins(self) -> bool:
        """Open every pin only where one has changed: each pin ever made has a number of its own.

        Returns:
            Whether it is time to look at the programs, too.
        """
        now, seen = time.monotonic(), frozenset(pin_numbers(self._root))
        changed = seen != self._seen
        due = changed or bool(self._splits.alarmed) or now >= self._split_due
        if due:
            self._split_due = now + SPLIT_SECONDS
        if not changed and now < self._look_due:
            return due
        _, replaced = self._pins.look()
        for one in replaced:
            one.close()
            totals = self._totals.setdefault(one.path, Totals())
            totals.recreations += 1
            totals.lost += one.lost or 0
            totals.recreated_at = one.at
        self._seen, self._look_due = seen, now + LOOK_SECONDS
        return due

    def _look_at_agent(self) -> None:
        """Find Cilium's agent, else ours, and whether it is another process than before."""
        if not self._up and time.monotonic() < self._agent_due:
            return
        self._agent_due = time.monotonic() + AGENT_SECONDS
        self._agents.step()
        agent, before = self._agents.agent, self._agent
        process = agent.process if agent is not None else self._own_agent()
        self._up = process is not None
        if process is None or process == before:
            return
        self._agent = process
        if before is not None:
            self._restarts += 1
            self._facts.hurry()

    def _own_agent(self) -> Process | None:
        if self._up and self._agent is not None and procs.is_same(self._agent):
            return self._agent
        settings = agent_of(self._root / GLOBALS / "any")
        pid = StateDir(settings.state_dir).running_pid() if settings else None
        return procs.find(pid) if pid is not None else None

    def _look_for_splits(self) -> None:
        """Programs are listed only by who may do anything; else nobody knows."""
        try:
            self._splits.step(self._pins.infos)
        except DeniedError as error:
            if self._splits_known:
                self.notes.append(f"Whether pins show what programs use is not known: {error}")
            self._splits_known = False

    def _read_history(self) -> None:
        """Add up what came to the history; where it cannot be read, all else is still told."""
        try:
            self._take_resizes()
        except CtconsoleError as error:
            note = f"What resizes carried over is not known: {error}"
            if note not in self.notes:
                self.notes.append(note)

    def _take_resizes(self) -> None:
        """Those before the exporter do not count.

        Raises:
            CtconsoleError: the history cannot be read.
        """
        if self._history is None:
            if not self._history_path.exists():
                return
            self._history = History(self._history_path, create=False)
            self._last_event = max(
                (number for number, _ in self._history.read(limit=1, newest=True)), default=0
            )
        for number, event in self._history.read(self._last_event, kinds=_TOLD):
            self._last_event = number
            self._add_resize(event)
        for path in self._pins.infos:
            totals = self._totals.setdefault(path, Totals())
            totals.resizes, totals.carried, totals.dropped = (
                one or 0 for one in (totals.resizes, totals.carried, totals.dropped)
            )

    def _add_resize(self, event: Event) -> None:
        path = next((one for one in self._pins.infos if str(one) == event.subject), None)
        if path is None:
            return
        totals, fields = self._totals.setdefault(path, Totals()), event.fields
        totals.resizes = (totals.resizes or 0) + 1
        totals.carried = (totals.carried or 0) + _number(fields.get("carried"))
        lost = sum(_number(fields.get(name)) for name in ("left_behind", "dropped", "missing"))
        totals.dropped = (totals.dropped or 0) + lost

    def _sizes(self, infos: Mapping[Path, MapInfo]) -> Mapping[str, int]:
        """The capacity of each map after the agent's next start, as far as its rule is known."""
        facts = self._facts.latest
        if facts is None:
            return {}
        if self._sized is None or self._sized[0] is not facts:
            own = agent_of(self._root / GLOBALS / "any") is not None
            sizing, found = sizing_of(facts, own=own), {}
            for info in infos.values():
                one = told(sizing, info)
                if one is not None and one.gives is not None and not sizing.assumed:
                    found[info.label] = one.gives
            self._sized = facts, found
        return self._sized[1]


def _has_entries(info: MapInfo) -> bool:
    return info.type.is_hash or info.type is MapType.LPM_TRIE


def _insert_failures(path: Path) -> int | None:
    """What the datapath counts of entries it could not create; None where there is no count."""
    try:
        with BpfMap.open(path) as live:
            raw = live.read()
    except BpfError:
        return None
    if raw.values.ndim != _PER_CPU or raw.values.shape[-1] != METRICS.itemsize:
        return None
    failed = raw.values[raw.keys[:, 0] == INSERT_FAILED]
    return int(failed.reshape(-1).view(METRICS)["count"].sum())


_PER_CPU: Final = 3
"""Dimensions of values of which each processor has its own."""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
