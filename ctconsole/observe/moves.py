"""What follows the replacement of a map: programs leave the old one, entries come back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import GoneError
from ctconsole.happening import happened
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.walk import repeated
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.observe.reached import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.observe.pins import Replacement

_COUNTS = (0.1, 0.3, 0.6, 1.0)
"""When the entries that came back are counted, in parts of the window."""


ALARM_SECONDS = 15.0
"""Programs normally follow a new map within some 5 s; after this time nobody should wait."""


@dataclass
class _Move:
    """One replacement under way; ``there`` is when programs were last seen at the old map."""

    what: Replacement
    users: int
    there: float
    seen: bool = False
    moved: bool = False
    alarmed: bool = False
    back: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    counted: int = 0


class Moves:
    """Follows replacements until all is told; events come from `step`.

    Args:
        window: seconds for which entries may come back and programs may move.
        reach: knows the programs of the machine, and which of them packets can reach.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        window: float = 60.0,
        *,
        reach: Reach | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._window = window
        self._reach = reach or Reach()
        self._clock = clock
        self._moves: list[_Move] = []

    @property
    def busy(self) -> bool:
        """Whether something is being followed."""
        return bool(self._moves)

    def begin(self, replaced: Iterable[Replacement]) -> list[Event]:
        """Follow these; one of a pin that is replaced again ends there."""
        events: list[Event] = []
        replaced = list(replaced)
        programs = self._reach.programs() if replaced else []
        for one in replaced:
            for move in [move for move in self._moves if move.what.path == one.path]:
                events.extend(self._returned(move))
                self._moves.remove(move)
            size = len(one.keys) if one.keys is not None else 0
            users = _users(one.old.id, programs)
            self._moves.append(_Move(one, users, one.at, back=np.zeros(size, np.bool_)))
        return events

    def step(self) -> list[Event]:
        """Look once; cheap while nothing is followed.

        Raises:
            DeniedError: the programs may not be listed.
        """
        if not self._moves:
            return []
        events: list[Event] = []
        waiting = [move for move in self._moves if not move.moved]
        if waiting:
            looked_at = self._clock()
            programs = self._reach.programs()
            for move in waiting:
                events.extend(self._leave(move, programs, looked_at))
        now = self._clock()
        for move in list(self._moves):
            events.extend(self._come_back(move, now))
            if now - move.what.at >= self._window:
                events.extend(self._stuck(move))
                self._moves.remove(move)
        return events

    def _leave(
        self, move: _Move, programs: Sequence[ProgramInfo], looked_at: float
    ) -> Iterable[Event]:
        """Tell when the last program has left the old map.

        It left between two looks, and half way between the middles of these is the least wrong: a
        look at many programs takes as long as the time between two of them.

        Args:
            move: what is followed.
            programs: those that are loaded.
            looked_at: when they began to be listed.
        """
        what = move.what
        loaded = _users(what.old.id, programs)
        move.users = max(move.users, loaded)
        left = self._left(what.old.id, programs)
        move.seen |= left > 0
        middle = (looked_at + self._clock()) / 2
        if left:
            move.there = middle
            yield from self._late(move, left)
            return
        move.moved = True
        users = _users(what.new.id, programs)
        seconds = round((move.there + middle) / 2 - what.at, 3)
        # Those that nothing called from the beginning did not move.
        if move.users and (move.seen or not loaded):
            text = f"The last of {move.users} programs left map {what.old.id} after {seconds:.1f} s"
        elif users and not move.users:
            text = f"{users} programs had left map {what.old.id} when it was looked at"
        else:
            return
        yield self._event(
            move,
            EventKind.PROGRAM_REPLACED,
            text,
            left=0,
            programs=users,
            seconds=seconds,
            users_before=move.users,
        )

    def _left(self, number: int, programs: Sequence[ProgramInfo]) -> int:
        """How many programs that packets can reach use a map."""
        users = [program for program in programs if number in program.map_ids]
        return len(self._reach.among(users)) if users else 0

    def _late(self, move: _Move, left: int) -> Iterable[Event]:
        """Say once that programs should have moved by now."""
        seconds = self._clock() - move.what.at
        if not move.alarmed and ALARM_SECONDS <= seconds < self._window:
            move.alarmed = True
            yield self._behind(move, left)

    def _come_back(self, move: _Move, now: float) -> Iterable[Event]:
        """Look which of the lost keys are in the new map, a few times in the window."""
        keys = move.what.keys
        due = now - move.what.at
        if keys is None or move.counted >= len(_COUNTS):
            return
        if due < _COUNTS[move.counted] * self._window:
            return
        while move.counted < len(_COUNTS) and due >= _COUNTS[move.counted] * self._window:
            move.counted += 1
        if keys.shape[1] == move.what.new.key_size and len(keys):
            try:
                with BpfMap.from_id(move.what.new.id) as live:
                    present = live.read().keys
            except GoneError:
                move.counted = len(_COUNTS)
            else:
                move.back |= repeated(np.concatenate([keys, present]))[: len(keys)]
        if move.counted >= len(_COUNTS):
            yield from self._returned(move)

    def _returned(self, move: _Move) -> Iterable[Event]:
        if move.what.keys is None:
            return
        returned, lost = int(np.count_nonzero(move.back)), len(move.back)
        seconds = round(min(self._window, self._clock() - move.what.at), 3)
        text = f"{returned:,} of {lost:,} entries came back within {seconds:.0f} s"
        yield self._event(
            move, EventKind.ENTRIES_RETURNED, text, returned=returned, lost=lost, seconds=seconds
        )

    def _stuck(self, move: _Move) -> Iterable[Event]:
        """Programs that never moved: half of the node works on a map nobody can see."""
        if move.moved:
            return
        left = self._left(move.what.old.id, self._reach.programs())
        if left:
            yield self._behind(move, left)

    def _behind(self, move: _Move, left: int) -> Event:
        what = move.what
        text = (
            f"{left} programs still use map {what.old.id}, which {what.path.name} held before: "
            "the pinned map does not show what they do"
        )
        return self._event(move, EventKind.SPLIT_BRAIN, text, level=Level.ERROR, left=left)

    def _event(
        self,
        move: _Move,
        kind: EventKind,
        text: str,
        level: Level = Level.INFO,
        **fields: float,
    ) -> Event:
        ids = {"old_id": move.what.old.id, "new_id": move.what.new.id}
        about = {**ids, **fields}
        now = self._clock()
        return happened(kind, "observe", move.what.path, text, about, level=level, at=now)


def _users(number: int, programs: Iterable[ProgramInfo]) -> int:
    """How many programs use a map."""
    return sum(number in program.map_ids for program in programs)
