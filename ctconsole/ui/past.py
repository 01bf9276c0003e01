"""What the console looks at besides now: the last minutes, or a recording that is played."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.ct.changes import KeyedTable, changes_between
from ctconsole.model.ct.stats import stats_of
from ctconsole.model.event import Level, is_mark
from ctconsole.model.runs import RunsSeen
from ctconsole.model.units import duration
from ctconsole.model.when import moment_named
from ctconsole.observe.recording.ring import place_of
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.time_bar import Times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from textual.app import App

    from ctconsole.model.event import Event
    from ctconsole.model.recording.frame import Frame
    from ctconsole.observe.recording.moment import NodeMoment
    from ctconsole.observe.recording.replay import Player, Position, ReplaySource
    from ctconsole.observe.recording.ring import Ring
    from ctconsole.observe.recording.seeker import Seeker
    from ctconsole.observe.sampler import Sample, Sampler
    from ctconsole.observe.source import NodeSnapshot


_MOST_MAPS: Final = 3
"""Maps that are named in one line."""


def marked(events: Iterable[tuple[int, Event]]) -> list[float]:
    """When something happened that one jumps to: restarts, changes, alarms."""
    return [event.time for _, event in events if is_mark(event)]


def sample_at(moment: NodeMoment, now: Sample) -> Sample:
    """A kept moment as a sample; events and counts are those there were by then.

    Args:
        moment: what was kept.
        now: the newest sample.
    """
    until = moment.taken_at
    # Maps are counted after a beat has begun.
    counted = moment.node.taken_at if moment.node else until
    table = next(
        (one for one in moment.tables.values() if now.watched in {one.info.pin, one.info.id}), None
    )
    missing = "the entries of this map were not looked at then" if now.watched and not table else ""
    return replace(
        now,
        node=moment.node,
        table=table,
        events=tuple(one for one in now.events if one[1].time <= until),
        trends=MappingProxyType(
            {
                key: tuple(point for point in points if point[0] <= counted)
                for key, points in now.trends.items()
            }
        ),
        stats=MappingProxyType({key: stats_of(one) for key, one in moment.tables.items()}),
        read_at=MappingProxyType({key: one.taken_at for key, one in moment.tables.items()}),
        turnovers=MappingProxyType({}),
        changes=None,
        usage=moment.usage,
        calls=moment.calls,
        agent=moment.agent,
        facts=moment.facts,
        runs=RunsSeen(why="of the past no runs are kept"),
        taken_at=until,
        error=moment.error or missing,
    )


class Outlet(NamedTuple):
    """Where the past is shown.

    Attributes:
        app: what works off the decoding of a moment.
        show: shows a sample, in the app's thread.
        say: says something in the status line.
        now: the wall clock, seconds since the Unix epoch.
        keyed: see `ctconsole.ui.console.Console`.
    """

    app: App[None]
    show: Callable[[Sample], None]
    say: Callable[[str], None]
    now: Callable[[], float]
    keyed: Callable[[str], str]


class LivePast:
    """Steps through what a ring has kept of a node that is looked at.

    Args:
        outlet: where it is shown.
        sampler: what adds to the ring.
        ring: what is kept.

    Attributes:
        title: the line naming what is looked at, as it was at the moment shown; empty while the
            present is.
    """

    def __init__(self, outlet: Outlet, sampler: Sampler, ring: Ring) -> None:
        self._app, self._show, self._say, self._now, self._keyed = outlet
        self._sampler = sampler
        self._ring = ring
        self._frames: Sequence[Frame] = ()
        self._place = 0
        self._seeker: Seeker | None = None
        self._lock = Lock()
        self.title = ""

    @property
    def active(self) -> bool:
        """Whether a kept moment is shown."""
        return bool(self._frames)

    def mode(self, now: float) -> str:
        """What the status line says; empty while the present is shown."""
        if not self._frames:
            return ""
        moment = self._frames[self._place].time
        clock = time.strftime("%H:%M:%S", time.localtime(moment))
        return f"◀ {clock}, {duration(max(0, round(now - moment)))} ago"

    def times(self) -> Times | None:
        """What the bar shows; None while the present is shown."""
        if not self._frames:
            return None
        at = self._frames[self._place].time
        marks = tuple(marked(self._sampler.latest.events))
        return Times(self._frames[0].time, self._frames[-1].time, at, marks)

    def leave(self) -> None:
        """Back to the present."""
        self._frames = ()
        self.title = ""

    def step(self, by: int) -> None:
        """Go to the moment before or after."""
        if not self._frames and by > 0:
            self._say(self._keyed("this is the newest moment; {time.back} steps back"))
        elif self._enter():
            if by > 0:
                self._catch_up()
            if 0 <= self._place + by < len(self._frames):
                self._go(self._place + by)
            elif by > 0:
                self._say(self._keyed("nothing newer is kept yet; {app.freeze} goes back to now"))
            else:
                self._say("nothing older is kept")

    def step_event(self, by: int) -> None:
        """Go to the event before or after."""
        if self._enter():
            self._catch_up()
            at = self._frames[self._place].time
            found = _neighbour(marked(self._sampler.latest.events), at, by)
            if found is None:
                self._say("no event lies there")
            else:
                self._go(place_of([one.time for one in self._frames], found) + (by > 0))

    def jump(self, text: str) -> None:
        """Go to a moment as a person names it."""
        try:
            asked = moment_named(text, self._now())
        except UsageError as error:
            self._say(str(error))
            return
        if self._enter():
            self._catch_up()
            self.seek(asked)

    def seek(self, moment: float) -> None:
        """Go to a moment."""
        first = self._frames[0].time
        if moment < first:
            self._say(f"nothing older is kept than {duration(round(self._now() - first))} ago")
        self._go(place_of([one.time for one in self._frames], moment))

    def _enter(self) -> bool:
        if not self._frames:
            # What reads moments is loaded when somebody wants one: the first screen is not to wait.
            from ctconsole.observe.recording.seeker import Seeker

            self._frames = self._ring.frames()
            self._place = len(self._frames) - 1
            self._seeker = Seeker(self._frames)
            if not self._frames:
                self._say("nothing is kept of the past yet")
        return bool(self._frames)

    def _catch_up(self) -> None:
        """Take along what was kept since the past was entered; the moment shown stays."""
        if self._ring.newest == self._frames[-1].time:
            return
        from ctconsole.observe.recording.seeker import Seeker

        at = self._frames[self._place].time
        self._frames = self._ring.frames()
        self._place = place_of([one.time for one in self._frames], at)
        self._seeker = Seeker(self._frames)

    def _go(self, place: int) -> None:
        assert self._seeker is not None  # noqa: S101 - the past has been entered
        self._place = min(max(place, 0), len(self._frames) - 1)
        self._app.run_worker(
            partial(self._decode, self._seeker, self._place),
            name="past",
            group="past",
            exclusive=True,
            thread=True,
            exit_on_error=False,
        )

    def _decode(self, seeker: Seeker, place: int) -> None:
        with self._lock:
            if seeker is not self._seeker or place != self._place:
                return
            try:
                moment = seeker.at(place)
                sample = sample_at(moment, self._sampler.latest)
            except CtconsoleError as error:
                self._app.call_from_thread(self._say, str(error))
                return
        self._app.call_from_thread(self._decoded, place, sample, moment.title)

    def _decoded(self, place: int, sample: Sample, title: str) -> None:
        if self._frames and place == self._place:
            self.title = title
            self._show(sample)


class ReplayPast:
    """Plays a recording.

    Args:
        player: where it is.
        sampler: what shows it.
        times: of its moments.
        events: of all of it.
        say: says something in the status line.
    """

    active = False
    title = ""

    def __init__(
        self,
        player: Player,
        sampler: Sampler,
        times: Sequence[float],
        events: Iterable[tuple[int, Event]],
        say: Callable[[str], None],
    ) -> None:
        self._player = player
        self._sampler = sampler
        self._times = times
        self._marks = tuple(marked(events))
        self._say = say

    def mode(self, now: float) -> str:
        """What the status line says."""
        del now
        position = self._player.position
        clock = time.strftime("%H:%M:%S", time.localtime(position.time))
        speed = f" x{position.speed:g}" if position.speed != 1 else ""
        return f"{'▶' if position.playing else '‖'} {clock}{speed}"

    def times(self) -> Times:
        """What the bar shows."""
        position = self._player.position
        return Times(position.begin, position.end, position.time, self._marks)

    def leave(self) -> None:
        """There is no present to go back to."""

    def toggle(self) -> None:
        """Play, or stand still."""
        position = self._player.position
        self._player.play(on=not position.playing)
        self._changed(position)

    def step(self, by: int) -> None:
        """Stand still at the moment before or after."""
        self._player.play(on=False)
        place = place_of(self._times, self._player.position.time) + by
        if not 0 <= place < len(self._times):
            self._say(f"the recording {'ends' if by > 0 else 'begins'} here")
        self.seek(self._times[min(max(place, 0), len(self._times) - 1)])

    def step_event(self, by: int) -> None:
        """Go to the event before or after."""
        self._player.play(on=False)
        found = _neighbour(self._marks, self._player.position.time, by)
        if found is None:
            self._say("no event lies there")
        else:
            self.seek(found)

    def faster(self, by: int) -> None:
        """Change the speed."""
        self._say(f"speed x{self._player.faster(by):g}")

    def jump(self, text: str) -> None:
        """Go to a moment as a person names it, counted back from the end."""
        try:
            self.seek(moment_named(text, self._times[-1]))
        except UsageError as error:
            self._say(str(error))

    def seek(self, moment: float) -> None:
        """Go to a moment."""
        before = self._player.position
        if not before.begin <= moment <= before.end:
            self._say("the recording does not reach there")
        self._player.seek(moment)
        self._changed(before)

    def _changed(self, before: Position) -> None:
        if self._player.position.time < before.time:
            # What had not happened by then must not be remembered.
            self._sampler.forget()
        self._sampler.hurry()


class NoPast:
    """Files have one moment; a console may also be told to keep nothing.

    Args:
        say: says something in the status line.
    """

    active = False
    title = ""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def mode(self, now: float) -> str:
        """Nothing besides what is always said."""
        del now
        return ""

    def times(self) -> Times | None:
        """No bar."""
        return None

    def leave(self) -> None:
        """Nothing was entered."""

    def step(self, by: int) -> None:
        """Say that there is nothing."""
        del by
        self._say("no other moment is kept")

    def step_event(self, by: int) -> None:
        """Say that there is nothing."""
        self.step(by)

    def jump(self, text: str) -> None:
        """Say that there is nothing."""
        del text
        self.step(0)

    def seek(self, moment: float) -> None:
        """Say that there is nothing."""
        del moment
        self.step(0)


def past_of(
    outlet: Outlet, sampler: Sampler, ring: Ring | None, replay: ReplaySource | None
) -> LivePast | ReplayPast | NoPast:
    """What can be looked at besides the newest sample."""
    if replay is not None:
        recording = replay.recording
        return ReplayPast(replay.player, sampler, recording.times, recording.events, outlet.say)
    return LivePast(outlet, sampler, ring) if ring is not None else NoPast(outlet.say)


def _neighbour(moments: Sequence[float], at: float, by: int) -> float | None:
    """The nearest of these moments before or after one."""
    if by > 0:
        return min((one for one in moments if one > at), default=None)
    return max((one for one in moments if one < at), default=None)


def meanwhile(before: Sample, now: Sample) -> str:
    """What happened between a sample that was held and the present; takes its time."""
    parts = []
    if before.table is None or now.table is None or before.watched != now.watched:
        parts.extend(_moved(before.node, now.node))
    else:
        changes = changes_between(KeyedTable(before.table), KeyedTable(now.table))
        if changes is not None:
            parts.append(f"{changes.new_count:,} new, {changes.gone_count:,} gone")
        elif before.table.info.id != now.table.info.id:
            parts.append(f"{now.table.info.label} is another map now")
    last = before.events[-1][0] if before.events else 0
    events = [one for number, one in now.events if number > last and one.level is not Level.DEBUG]
    if events:
        parts.append(plural(len(events), "event"))
    held = duration(max(0, round(now.taken_at - before.taken_at)))
    return f"in the {held} held: {', '.join(parts) or 'no count of entries changed, no event'}"


def _moved(before: NodeSnapshot | None, now: NodeSnapshot | None) -> list[str]:
    """Which maps hold more or less than before, the largest difference first, and which are new."""
    if before is None or now is None:
        return ["what maps held is not known"]
    told, moved = [], []
    old = {row.key: row for row in before.rows}
    new = {row.key: row for row in now.rows}
    for key, row in new.items():
        was = old.get(key)
        if was is None:
            told.append(f"{row.name} is new")
        elif was.info.id != row.info.id:
            told.append(f"{row.name} is another map now")
        elif row.exact and was.exact and row.entries != was.entries:
            moved.append(((row.entries or 0) - (was.entries or 0), row.name))
    told += [f"{row.name} is gone" for key, row in old.items() if key not in new]
    moved.sort(key=lambda one: -abs(one[0]))
    told += [f"{name} {by:+,}" for by, name in moved]
    more = len(told) - _MOST_MAPS
    return told if more <= 0 else [*told[:_MOST_MAPS], f"{more} more maps"]
