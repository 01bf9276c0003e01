"""The one reader of ``cilium_events`` and ``cilium_signals`` while the agent runs.

What a person must hear of becomes events, each kind at most once in `QUIET` seconds with a
count; all records go on, as they are, to whoever follows them (``ctconsole monitor``).
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ctconsole import loops
from ctconsole.happening import happened
from ctconsole.kernel.perf import PerfReader
from ctconsole.loops import Loop
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.packets.monitor import (
    INSERT_FAILED,
    TRACE,
    PacketColumns,
    Signal,
    TraceState,
    columns,
    signals,
)
from ctconsole.model.packets.reasons import reason_name
from ctconsole.model.packets.samples import NO_SAMPLES, Samples, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

EVENTS, SIGNALS = "cilium_events", "cilium_signals"

QUIET = 10.0
"""Seconds between two events about the same thing."""

WAIT = 0.1
"""Seconds a record waits at most until it is read."""

BEHIND = 16 << 20
"""Bytes that a follower may be behind before it loses some; one read is kept whatever its size."""

CLOSING = 15.0
"""Seconds a read under way, with the events that come of it, gets to end in."""

_SIGNAL_PAGES = 8
_IPV4_PROTOCOL_AT, _IPV6_PROTOCOL_AT = TRACE.itemsize + 14 + 9, TRACE.itemsize + 14 + 6
_TCP = 6


class Thing(NamedTuple):
    """What an event would be about; its counts are added up while it must be quiet."""

    kind: EventKind
    code: int
    endpoint: int


class Listener:
    """Reads until closed; a thread of its own.

    Args:
        gate: the write gate.
        folder: ``tc/globals``, where the two arrays are pinned.
        record: stores and logs events.
        on_signal: called when a table calls for the garbage collector.

    Attributes:
        lost: records the kernel could not store since the start.
        created: connections that were given an entry since the start, by (IP version, TCP or
            not). What was lost is missing in it.

    Raises:
        GoneError: an array is not pinned there.
        DeniedError: without CAP_PERFMON.
    """

    def __init__(
        self,
        gate: Gate,
        folder: Path,
        record: Callable[[Iterable[Event]], None],
        on_signal: Callable[[Signal], None],
    ) -> None:
        self.lost = 0
        self.created: Counter[tuple[int, bool]] = Counter()
        self._record = record
        self._on_signal = on_signal
        self._followers: list[_Follower] = []
        self._waiting: Counter[Thing] = Counter()
        self._said: dict[Thing, float] = {}
        self._events = PerfReader(gate, folder / EVENTS)
        try:
            self._signals = PerfReader(gate, folder / SIGNALS, pages=_SIGNAL_PAGES)
        except BaseException:
            self._events.close()
            raise
        self._loop = Loop(
            "listener",
            self._listen,
            lambda state: record((loops.event(state, "datapath", "datapath"),)),
            finish=self._finish,
        )
        try:
            self._loop.start()
        except BaseException:
            self._finish()
            raise

    def close(self) -> None:
        """Stop reading; what is still waiting to be said is said."""
        self._loop.stop(CLOSING)

    def _finish(self) -> None:
        try:
            self._say(quiet=0.0)
        finally:
            self._events.close()
            self._signals.close()

    @contextmanager
    def follow(self) -> Iterator[Iterator[Samples]]:
        """Every read from now on; an empty one where nothing came for a second."""
        follower = _Follower()
        self._followers.append(follower)
        try:
            yield follower.reads(self._loop.stopping)
        finally:
            self._followers.remove(follower)

    def _listen(self) -> float:
        self._hear(self._events.read(WAIT))
        self._hear_signals(self._signals.read())
        self._say(QUIET)
        return 0.0

    def _hear(self, samples: Samples) -> None:
        if not len(samples) and not samples.lost:
            return
        for follower in tuple(self._followers):
            follower.take(samples)
        self.lost += samples.lost
        if samples.lost:
            self._waiting[Thing(EventKind.WARNING, 0, 0)] += samples.lost
        found = columns(samples)
        drops = found.drops["subtype"].astype(np.uint32) << 16 | found.drops["source"]
        for pair, count in zip(*np.unique(drops, return_counts=True), strict=True):
            reason, endpoint = int(pair) >> 16, int(pair) & 0xFFFF
            kind = EventKind.INSERT_FAILED if reason == INSERT_FAILED else EventKind.DROP
            self._waiting[Thing(kind, reason, endpoint)] += int(count)
        self._count(samples, found)

    def _count(self, samples: Samples, found: PacketColumns) -> None:
        new = found.traces["reason"] == TraceState.NEW
        total = int(new.sum())
        if not total:
            return
        self._waiting[Thing(EventKind.CONNECTIONS, 0, 0)] += total
        heads = samples.heads(_IPV4_PROTOCOL_AT + 1)[found.trace_rows[new]]
        v6 = (found.traces["bits"][new] & 1).astype(bool)
        at = np.where(v6, _IPV6_PROTOCOL_AT, _IPV4_PROTOCOL_AT)
        tcp = heads[np.arange(len(heads)), at] == _TCP
        for family, wanted in ((4, ~v6), (6, v6)):
            self.created[family, True] += int((wanted & tcp).sum())
            self.created[family, False] += int((wanted & ~tcp).sum())

    def _hear_signals(self, samples: Samples) -> None:
        numbers = signals(samples)["signal_nr"]
        for number in np.unique(numbers).tolist():
            count = int((numbers == number).sum())
            self._waiting[Thing(EventKind.MAP_FULL, number, 0)] += count
            if number in set(Signal):
                self._on_signal(Signal(number))

    def _say(self, quiet: float) -> None:
        now = time.monotonic()
        due = [thing for thing in self._waiting if now - self._said.get(thing, -QUIET) >= quiet]
        events = [_event(thing, self._waiting.pop(thing)) for thing in due]
        self._said.update(dict.fromkeys(due, now))
        if events:
            self._record(events)


class _Follower:
    """Somebody who wants all records, in a thread of his own."""

    def __init__(self) -> None:
        self._reads: queue.SimpleQueue[Samples] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._behind = 0
        self._lost = 0

    def take(self, samples: Samples) -> None:
        """Hand a read over; one who is too far behind loses it, and is told."""
        with self._lock:
            if self._behind and self._behind + samples.nbytes > BEHIND:
                self._lost += len(samples) + samples.lost
                return
            self._behind += samples.nbytes
        self._reads.put(samples)

    def reads(self, stopping: threading.Event) -> Iterator[Samples]:
        """See `Listener.follow`."""
        while not stopping.is_set():
            try:
                found = self._reads.get(timeout=1.0)
            except queue.Empty:
                found = NO_SAMPLES
            with self._lock:
                self._behind -= found.nbytes
                lost, self._lost = self._lost, 0
            yield joined([found], lost) if lost else found


_SAYS = {
    EventKind.DROP: "Packets dropped",
    EventKind.INSERT_FAILED: "CT: Map insertion failed",
    EventKind.CONNECTIONS: "New connections",
    EventKind.WARNING: "Lost records of packets",
    EventKind.MAP_FULL: "Map full, calling for garbage collection",
}
_TABLES: dict[int, str] = {Signal.NAT_FILL_UP: "nat", Signal.CT_FILL_UP: "conntrack"}


def _event(thing: Thing, count: int) -> Event:
    fields: dict[str, str | int] = {"count": count}
    message = _SAYS[thing.kind]
    subject = f"endpoint {thing.endpoint}" if thing.endpoint else "datapath"
    if thing.kind in {EventKind.DROP, EventKind.INSERT_FAILED}:
        fields |= {"reason": thing.code, "endpointID": thing.endpoint}
    if thing.kind is EventKind.DROP:
        message = f"{message}: {reason_name(thing.code)}"
    if thing.kind is EventKind.MAP_FULL:
        subject = _TABLES.get(thing.code, f"signal {thing.code}")
    calm = thing.kind is EventKind.CONNECTIONS
    level = Level.DEBUG if calm else Level.WARNING
    return happened(thing.kind, "datapath", subject, message, fields, level=level)
