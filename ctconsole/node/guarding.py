"""A guard that is switched on and off, and goes on in a thread while it is on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from ctconsole.errors import GoneError
from ctconsole.loops import Loop
from ctconsole.model.event import EventKind, Level
from ctconsole.node.guard import PACE, Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event
    from ctconsole.recorder import Recorder

_PATIENCE: Final = 30.0
"""Seconds that a pass under way gets to end when the guard is switched off."""


class Guarding:
    """The switch. Safe from any thread.

    Args:
        gate: the write gate.
        folder: where the tables are pinned; asked for when it is switched on.
        reading: how their entries are read; likewise.
        record: is given what happens.
    """

    def __init__(
        self,
        gate: Gate,
        folder: Callable[[], Path],
        reading: Callable[[], Reading],
        record: Recorder,
    ) -> None:
        self._gate = gate
        self._folder = folder
        self._reading = reading
        self._record = record
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._guard: Guard | None = None
        self._carried = self._failed = 0

    @property
    def told(self) -> str:
        """``guard on``, and what it has done so far; empty while it is off. Answers at once."""
        guard = self._guard
        if guard is None:
            return ""
        more = [
            text
            for number, text in (
                (guard.carrying, "carries {} over now"),
                (self._carried, "{} carried over"),
                (self._failed, "{} not carried over"),
            )
            if number
            for text in (text.format(number),)
        ]
        return " · ".join(("guard on", *more))

    @property
    def held(self) -> tuple[Path, ...]:
        """The pins of the tables whose entries it keeps; none while it is off."""
        guard = self._guard
        return guard.held if guard is not None else ()

    def switch(self, *, on: bool) -> str:
        """Begin to hold the tables, or let go of them; what was done, in a few words.

        Raises:
            GoneError: there is no table to hold.
        """
        with self._lock:
            if on == (self._loop is not None):
                return "the guard is on already" if on else "the guard is off already"
            return self._begin() if on else self._end()

    def _begin(self) -> str:
        folder = self._folder()
        guard = Guard(self._gate, folder, self._reading())
        if not guard.held:
            raise GoneError(2, "BPF_OBJ_GET", f"of a conntrack table in {folder}")
        self._guard, self._carried, self._failed = guard, 0, 0
        self._loop = Loop("guard", self._step, self._record.trouble, finish=self._finish)
        self._loop.start()
        held = len(guard.held)
        return f"the guard holds what is pinned now ({held}): re-created, it keeps its entries"

    def _end(self) -> str:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.stop(_PATIENCE):
            return "the guard ends when the pass under way is over"
        return "the guard is off"

    def _step(self) -> float:
        if self._guard is not None:
            self._tell(self._guard.look())
        return PACE

    def _finish(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            self._tell(guard.close())

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._carried += event.kind is EventKind.MAP_CARRIED
            self._failed += event.level is Level.ERROR
            self._record((event,))
