"""Takes samples of a source in a thread of its own, and never more than its budget allows.

The newest sample supersedes: there is one slot, no queue, and a slow reader misses the samples in
between. Errors become part of the sample, so that a node in trouble is still shown.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias
from weakref import ref

from ctconsole.errors import CtconsoleError
from ctconsole.loops import Loop, sentence
from ctconsole.model.runs import NOT_LOOKED_AT, RunsSeen
from ctconsole.observe.survey import Survey, is_map
from ctconsole.observe.trends import Trends

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import PurePath
    from weakref import ReferenceType

    from ctconsole.loops import LoopState
    from ctconsole.model.ct.changes import Changes
    from ctconsole.model.ct.stats import Stats
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.ct.turnover import Turnover
    from ctconsole.model.event import Event
    from ctconsole.model.fill import Trend
    from ctconsole.model.nodecard import AgentCard, KnownFact
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.recording.ring import Ring
    from ctconsole.observe.source import NodeSnapshot, Source
    from ctconsole.observe.usage import MapUsage

EVENTS_KEPT = 5000

FASTEST = 0.25
SLOWEST = 64.0
"""Seconds between two samples that can be asked for while it goes on."""

PATIENCE = 0.3
"""Seconds a sample under way gets to end in when the sampler is stopped."""

_LOOK_AGAIN = 0.05
"""Seconds until it is looked again whether the table before the newest was let go of."""

_COURTESY = 3.0
"""Seconds that is waited for at most: who holds a picture holds its table.

To put a million entries together or in order takes a fraction of it, on a busy machine all of it.
"""

_TROUBLE = (CtconsoleError, OSError, MemoryError)
"""What becomes part of the sample; the next beat tries again."""

Look: TypeAlias = "Callable[[CtTable | str], None]"
"""Is given a table as it was just read, or why it could not be; in the sampler's thread."""

_NOTHING: Mapping[str, Trend] = MappingProxyType({})
_NO_STATS: Mapping[str, Stats] = MappingProxyType({})
_NO_TIMES: Mapping[str, float] = MappingProxyType({})
_NO_TURNOVERS: Mapping[str, Turnover] = MappingProxyType({})


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Sample:
    """All that one beat of the sampler found.

    Attributes:
        number: counts up with every sample, so that a reader sees what is new.
        node: the maps; None before the first reading that worked.
        table: the watched CT map, None while none is watched or it could not be read.
        watched: the pin or id ``table`` was asked by.
        events: the newest `EVENTS_KEPT` events with their ids, oldest first.
        trends: counts over time for each `MapRow.key`, also of before the sampler began where the
            source knows of them.
        stats: what lives and what is dead in each CT map, by `MapRow.key`; of maps that are not
            watched some seconds old.
        read_at: when each of these tables was read, seconds since the epoch.
        turnovers: what comes to each CT map and leaves it, by `MapRow.key`, between the two newest
            looks at it; of a map that has been looked at once it is not known.
        changes: what came and went in ``table`` since the sample before, None where there is
            nothing to compare with.
        usage: which programs use which generation of each map; some seconds old.
        calls: what is in each program array and who calls through it; as old.
        agent: the node's agent; None as long as nothing is known of it.
        facts: what is known of the node, and how.
        runs: how often programs ran since the sample before, while somebody looks at that.
        taken_at: seconds since the epoch at the start of this beat.
        cost_seconds: wall-clock seconds of the whole beat.
        cpu_seconds: CPU seconds of the sampling thread in it.
        skipped: beats left out since the start because a beat cost more than the budget.
        error: one sentence when something could not be read; the older parts are kept then.
    """

    number: int = 0
    node: NodeSnapshot | None = None
    table: CtTable | None = None
    watched: PurePath | int | None = None
    events: tuple[tuple[int, Event], ...] = ()
    trends: Mapping[str, Trend] = field(default_factory=lambda: _NOTHING)
    stats: Mapping[str, Stats] = field(default_factory=lambda: _NO_STATS)
    read_at: Mapping[str, float] = field(default_factory=lambda: _NO_TIMES)
    turnovers: Mapping[str, Turnover] = field(default_factory=lambda: _NO_TURNOVERS)
    changes: Changes | None = None
    usage: tuple[MapUsage, ...] = ()
    calls: tuple[CallArray, ...] = ()
    agent: AgentCard | None = None
    facts: tuple[KnownFact, ...] = ()
    runs: RunsSeen = NOT_LOOKED_AT
    taken_at: float = 0.0
    cost_seconds: float = 0.0
    cpu_seconds: float = 0.0
    skipped: int = 0
    error: str = ""


def without_entries(sample: Sample) -> Sample:
    """The same without entries: who shows what was counted may hold it as long as it is shown."""
    return replace(sample, table=None, changes=None)


def standing(sample: Sample) -> dict[str, MapUsage]:
    """What is known of the use of maps, by `MapRow.key`, but for what has passed since.

    Who uses what is asked less often than what is pinned: a verdict about a map that is not behind
    the pin any more, or that nobody used and that programs use now, is no verdict.
    """
    rows = {row.key: row for row in sample.node.rows} if sample.node else {}
    found = {}
    for one in sample.usage:
        row = rows.get(str(one.path))
        if row is not None and one.stands(row.info.id, row.programs):
            found[row.key] = one
    return found


class Sampler:
    """Samples ``source`` every ``interval`` seconds until stopped.

    Args:
        source: asked only from the sampler's thread.
        interval: seconds between the starts of two samples.
        notify: called in the sampler's thread after every sample; must not block.
        budget: share of one core the sampling may cost. A beat that used more CPU time than
            ``interval * budget`` delays the next one until the share is kept, and the beats left
            out meanwhile are counted.
        clock: wall clock, seconds since the epoch.
        ring: keeps each sample; None: none is kept.
    """

    def __init__(
        self,
        source: Source,
        interval: float,
        notify: Callable[[Sample], None],
        *,
        budget: float = 0.2,
        clock: Callable[[], float] = time.time,
        ring: Ring | None = None,
    ) -> None:
        self._ring = ring
        self._forget = False
        self._source = source
        self.interval = interval
        self.budget = budget
        self._notify = notify
        self._clock = clock
        self._watched: PurePath | int | None = None
        self._latest = Sample()
        self._trends = Trends()
        self._past_asked = False
        self._runs_wanted = False
        self._looks: tuple[tuple[PurePath | int, Look], ...] = ()
        self._events: deque[tuple[int, Event]] = deque(maxlen=EVENTS_KEPT)
        self._skipped = 0
        self._older: ReferenceType[CtTable] | None = None
        self._held_until = 0.0
        self._survey = Survey(source)
        self._loop = Loop("sampler", self._beat, self._failed, finish=source.close)

    @property
    def latest(self) -> Sample:
        """The newest sample."""
        return self._latest

    @property
    def watched(self) -> PurePath | int | None:
        """The CT map that is read whole in every sample."""
        return self._watched

    def start(self) -> None:
        """Begin; the first sample is taken at once."""
        self._loop.start()

    def stop(self, patience: float = PATIENCE) -> None:
        """End, and close the source.

        A sample under way is given ``patience`` seconds. One that takes longer ends by itself, is
        shown to nobody, and closes the source then.
        """
        self._loop.stop(patience)
        if not self._loop.started:
            self._source.close()

    def watch(self, where: PurePath | int | None) -> None:
        """Read this CT map whole from now on (None: no map); sampled at once if it is new."""
        if where != self._watched:
            self._watched = where
            if where is not None:
                self._loop.hurry()

    def also(self, looks: Sequence[tuple[PurePath | int, Look]]) -> None:
        """Read these CT maps, too, from now on, and hand each to its look; nothing is kept."""
        self._looks = tuple(looks)

    def every(self, seconds: float) -> float:
        """Sample so often, within bounds; the seconds between samples now."""
        self.interval = min(max(seconds, FASTEST), SLOWEST)
        self._loop.hurry()
        return self.interval

    def count_runs(self, *, wanted: bool) -> None:
        """Have the runs of programs counted from now on, or no more; at once."""
        if wanted != self._runs_wanted:
            self._runs_wanted = wanted
            self._loop.hurry()

    def pace(self, by: int) -> float:
        """Sample twice or half as often, within bounds; the seconds between samples now."""
        interval = self.interval / 2 if by > 0 else self.interval * 2
        self.interval = min(max(interval, FASTEST), SLOWEST)
        self.hurry()
        return self.interval

    def hurry(self) -> None:
        """Sample now rather than at the next beat."""
        self._loop.hurry()

    def forget(self) -> None:
        """Begin anew with the next sample: events, trends and what is compared with.

        For a source whose moment went back.
        """
        self._forget = True

    def _beat(self) -> float:
        started = time.monotonic()
        if self._too_fast(started):
            return _LOOK_AGAIN
        before = self._latest.table
        sample, cpu = self.sample(), time.thread_time()
        self._show(sample)
        # Behind the showing: nobody waits for it, but it counts.
        self._keep(sample)
        if before is not None and sample.table is not before:
            self._older, self._held_until = ref(before), time.monotonic() + _COURTESY
        del before
        self.learn_past()
        spent = sample.cpu_seconds + time.thread_time() - cpu
        return max(0.0, started + self._pause(spent) - time.monotonic())

    def _too_fast(self, now: float) -> bool:
        """Whether the table before the newest is still being shown, which a third would join."""
        held = self._older is not None and self._older() is not None
        return held and now < self._held_until and self._latest.watched == self._watched

    def _failed(self, state: LoopState) -> None:
        """Show a fault of ours with what was known before, since standing still looks like calm."""
        self._show(replace(self._latest, number=self._latest.number + 1, error=str(state)))

    def _show(self, sample: Sample) -> None:
        self._latest = sample
        if not self._loop.stopping.is_set():
            self._notify(sample)

    def _pause(self, cpu_seconds: float) -> float:
        """Seconds from the start of a beat that cost this much to the start of the next."""
        needed = cpu_seconds / self.budget
        if needed <= self.interval:
            return self.interval
        beats = -(-needed // self.interval)
        self._skipped += int(beats) - 1
        return float(beats * self.interval)

    def sample(self) -> Sample:
        """Take one sample in the calling thread and return it."""
        if self._forget:
            self._begin_anew()
        before, taken_at = self._latest, self._clock()
        wall, cpu = time.perf_counter(), time.thread_time()
        watched, errors = self._watched, []
        node, table = before.node, before.table if before.watched == watched else None
        try:
            node = self._source.maps()
            self._trends.add(node)
        except _TROUBLE as error:
            errors.append(sentence(error))
        try:
            if watched is not None:
                table = self._source.table(watched, table)
        except _TROUBLE as error:
            errors.append(sentence(error))
            table = None
        self._look_behind()
        try:
            self._survey.beat(node, watched, table)
        except _TROUBLE as error:
            errors.append(sentence(error))
        agent, facts, runs = before.agent, before.facts, before.runs
        try:
            agent, facts = self._source.agent(), self._source.facts_known()
            runs = self._source.runs(wanted=self._runs_wanted)
        except _TROUBLE as error:
            errors.append(sentence(error))
        try:
            last = self._events[-1][0] if self._events else 0
            self._events.extend(self._source.events(last, EVENTS_KEPT))
        except _TROUBLE as error:
            errors.append(sentence(error))
        return replace(
            before,
            number=before.number + 1,
            node=node,
            table=table,
            watched=watched,
            events=tuple(self._events),
            trends=self._trends.until(node.taken_at if node else taken_at),
            stats=self._survey.stats,
            read_at=self._survey.read_at,
            turnovers=self._survey.turnovers,
            changes=self._survey.changes,
            usage=self._survey.usage,
            calls=self._survey.calls,
            agent=agent,
            facts=facts,
            runs=runs,
            taken_at=taken_at,
            cost_seconds=time.perf_counter() - wall,
            cpu_seconds=time.thread_time() - cpu,
            skipped=self._skipped,
            error=errors[0] if errors else "",
        )

    def _look_behind(self) -> None:
        """Read what is wanted of maps that are not watched, each once."""
        looks = self._looks
        for where in dict.fromkeys(one for one, _ in looks):
            found: CtTable | str
            try:
                found = self._source.table(where)
            except _TROUBLE as error:
                found = sentence(error)
            for place, look in looks:
                if place == where:
                    look(found)

    def learn_past(self) -> None:
        """Learn what was counted before this sampler began; asked once, behind the first sample."""
        if self._past_asked:
            return
        self._past_asked = True
        with suppress(*_TROUBLE):
            # A history that cannot be read is told by whoever reads its events.
            past = self._source.fills()
            self._trends.take_past(past)
            if past:
                self._loop.hurry()

    def _begin_anew(self) -> None:
        self._forget = False
        self._events.clear()
        self._trends.clear()
        self._survey = Survey(self._source)
        self._latest = Sample(number=self._latest.number)

    def _keep(self, sample: Sample) -> None:
        """Put the sample where one can step back to it."""
        if self._ring is None:
            return
        from ctconsole.observe.recording.moment import NodeMoment

        rows = sample.node.rows if sample.node else ()
        key = next((row.key for row in rows if is_map(row, sample.watched)), None)
        tables = {key: sample.table} if key is not None and sample.table is not None else {}
        moment = NodeMoment(
            sample.taken_at,
            sample.node,
            MappingProxyType(tables),
            sample.usage,
            sample.calls,
            sample.error,
            self._source.title,
            agent=sample.agent,
            facts=sample.facts,
        )
        self._ring.add(moment, self._survey.keyed if tables else None)
