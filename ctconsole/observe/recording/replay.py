"""A recording played: a source whose moment goes on, stands still or jumps."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import GoneError
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.model.runs import RunsSeen
from ctconsole.observe.recording.counted import fills_of_frames
from ctconsole.observe.recording.ring import place_of
from ctconsole.observe.recording.seeker import Seeker
from ctconsole.observe.source import NodeSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import PurePath

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.event import Event
    from ctconsole.model.fill import Trend
    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.recording.moment import NodeMoment
    from ctconsole.observe.recording.reader import Recording
    from ctconsole.observe.usage import MapUsage

SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a player is.

    Attributes:
        time: seconds since the Unix epoch.
        begin: of the recording.
        end: of the recording.
        playing: whether it goes on.
        speed: seconds of the recording in a second.
    """

    time: float
    begin: float
    end: float
    playing: bool
    speed: float

    @property
    def share(self) -> float:
        """How far it is, from 0 to 1."""
        return (self.time - self.begin) / (self.end - self.begin) if self.end > self.begin else 1.0


class Player:
    """The moment of a recording that is shown. May be asked and told from any thread.

    Args:
        begin: its first moment, seconds since the Unix epoch.
        end: its last.
        clock: a clock in seconds that it goes by.
    """

    def __init__(
        self, begin: float, end: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._begin, self._end = begin, end
        self._clock = clock
        self._lock = threading.Lock()
        self._time, self._since = begin, clock()
        self._playing, self._speed = True, 1.0

    @property
    def position(self) -> Position:
        """Where it is now."""
        with self._lock:
            self._go_on()
            return Position(self._time, self._begin, self._end, self._playing, self._speed)

    def seek(self, moment: float) -> None:
        """Go to a moment, or to the end it lies beyond."""
        with self._lock:
            self._go_on()
            self._time = min(max(moment, self._begin), self._end)

    def play(self, *, on: bool) -> None:
        """Go on, or stand still; at the end it begins anew."""
        with self._lock:
            self._go_on()
            if on and self._time >= self._end:
                self._time = self._begin
            self._playing = on

    def faster(self, by: int) -> float:
        """Take a neighbouring speed of `SPEEDS`, and answer it."""
        with self._lock:
            self._go_on()
            place = SPEEDS.index(self._speed) + by
            self._speed = SPEEDS[min(max(place, 0), len(SPEEDS) - 1)]
            return self._speed

    def _go_on(self) -> None:
        now = self._clock()
        if self._playing:
            self._time = min(self._end, self._time + (now - self._since) * self._speed)
            self._playing = self._time < self._end
        self._since = now


class ReplaySource:
    """The node of a recording at the moment of its player.

    Args:
        recording: what is played; closed with the source.
        clock: see `Player`.

    Attributes:
        player: what may be told to go on, stand still or jump.
    """

    live = False

    def __init__(self, recording: Recording, clock: Callable[[], float] = time.monotonic) -> None:
        self.recording = recording
        self.player = Player(recording.times[0], recording.times[-1], clock)
        self._seeker = Seeker(recording.moments)
        self._title = recording.head.title

    @property
    def title(self) -> str:
        """The node as it was named, and the file."""
        return f"{self._title} · {self.recording.path.name}"

    def moment(self) -> NodeMoment:
        """The moment shown.

        Raises:
            FormatError: what was recorded of it cannot be made sense of.
        """
        place = place_of(self.recording.times, self.player.position.time)
        moment = self._seeker.at(place)
        # Asked for by the screen's thread, which is not to decode anything.
        self._title = moment.title or self.recording.head.title
        return moment

    def maps(self) -> NodeSnapshot:
        """The maps as they were counted."""
        moment = self.moment()
        return moment.node or NodeSnapshot((), moment.taken_at, 0.0)

    def table(self, where: PurePath | int, before: CtTable | None = None) -> CtTable:
        """A conntrack table as it was.

        Raises:
            GoneError: it was not recorded.
        """
        del before
        moment = self.moment()
        for table in moment.tables.values():
            if where in {table.info.pin, table.info.id}:
                return table
        raise GoneError(2, "open", str(where), hint="Its entries were not recorded")

    def headcount(self, where: PurePath | int) -> None:
        """A recording keeps no translations."""
        del where

    def events(self, since_id: int, limit: int) -> Sequence[tuple[int, Event]]:
        """What had happened by then."""
        until = self.player.position.time
        before = [
            (number, event)
            for number, event in self.recording.events
            if number > since_id and event.time <= until
        ]
        return before[-limit:]

    def usage(self) -> Sequence[MapUsage]:
        """Which programs used which map."""
        return self.moment().usage

    def calls(self) -> Sequence[CallArray]:
        """Which programs called which."""
        return self.moment().calls

    def agent(self) -> AgentCard | None:
        """The agent as it was."""
        return self.moment().agent or AgentCard(why="the recording does not tell")

    def facts_known(self) -> tuple[KnownFact, ...]:
        """What was known then."""
        recorded = KnownFact("recording", self.recording.path.name, "what is played")
        return (recorded, *self.moment().facts)

    def runs(self, *, wanted: bool) -> RunsSeen:
        """A recording keeps no runs."""
        del wanted
        return RunsSeen(why="a recording tells nothing of the runs of programs")

    def fills(self) -> Mapping[str, Trend]:
        """What the whole recording counted; reads it from its beginning to its end."""
        return fills_of_frames(self.recording.moments)

    def close(self) -> None:
        """Let go of the file."""
        self._seeker = Seeker(())
        self.recording.close()
