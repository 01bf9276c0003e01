"""Storing events from loops that must go on whatever becomes of the store."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole import loops
from ctconsole.happening import happened
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctconsole.loops import LoopState


class Recorder:
    """Hands events to a store and raises nothing that the store raises. Safe from any thread.

    What could not be stored is counted. As soon as something can be stored again, one event
    before it tells how many were lost, since when and why.

    Args:
        store: keeps a batch of events, all or none; may raise.
        source: of the event that tells of a loss (see `Event.source`).
        subject: what that event names, e.g. the file.
        tell: given each event, stored or not, e.g. to log it; may raise.
    """

    def __init__(
        self,
        store: Callable[[Iterable[Event]], None],
        *,
        source: str,
        subject: str,
        tell: Callable[[Event], None] | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._subject = subject
        self._tell = tell
        self._lock = threading.Lock()
        self._missed = 0
        self._since = 0.0
        self._reason = ""

    @property
    def missed(self) -> int:
        """Events that could not be stored and of which nobody was told yet."""
        return self._missed

    @property
    def reason(self) -> str:
        """Why the last of them was not stored; empty where none is missing."""
        return self._reason

    def __call__(self, events: Iterable[Event]) -> None:
        """Record events in order."""
        batch = tuple(events)
        if not batch:
            return
        with self._lock:
            lost = (self._lost(),) if self._missed else ()
            try:
                self._store((*lost, *batch))
            except Exception as error:  # noqa: BLE001 - a loop must outlive its store
                news = self._miss(len(batch), str(error) or repr(error))
            else:
                self._missed, self._reason, news = 0, "", lost
        for event in (*news, *batch):
            self._say(event)

    def trouble(self, state: LoopState) -> None:
        """Record that a loop fails; for `Loop`'s ``on_failure``."""
        self((loops.event(state, self._source, self._subject),))

    def _say(self, event: Event) -> None:
        if self._tell is not None:
            # A log on a full disk is no reason to stop, and there is nobody left to tell.
            with suppress(Exception):
                self._tell(event)

    def _miss(self, count: int, reason: str) -> tuple[Event, ...]:
        """Count what was lost; what is to be told beside the store, once for each reason."""
        if not self._missed:
            self._since = time.time()
        self._missed += count
        if reason == self._reason:
            return ()
        self._reason = reason
        return (self._event(f"Events cannot be stored: {reason}"),)

    def _lost(self) -> Event:
        return self._event(f"Events were lost: {self._reason}")

    def _event(self, message: str) -> Event:
        fields = {"count": self._missed, "since": self._since}
        about = self._subject
        level = Level.WARNING
        return happened(EventKind.WARNING, self._source, about, message, fields, level=level)
