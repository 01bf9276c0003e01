"""Watches a node that belongs to somebody else: its pins, its agent, its log, and the stories.

One loop looks at pins whenever the bpffs changes (watchfiles) and at the agent's process. What may
take long on a large node has loops of its own, so that no change of a pin is seen late: one
follows what comes after a replacement, one looks for pins that nobody uses, and one reads the log
where there is one. Everything becomes events.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

from ctconsole import loops
from ctconsole.errors import CtconsoleError
from ctconsole.handles import Closing
from ctconsole.happening import happened
from ctconsole.loops import Loop
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.readers.agentlog import LogReader
from ctconsole.observe import agents
from ctconsole.observe.agentwatch import AgentWatch
from ctconsole.observe.moves import Moves
from ctconsole.observe.pins import Pins, Replacement
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.observe.story import StoryTeller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.loops import LoopState
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.agents import AgentProcess

BEAT_MS = 100
"""How often process and programs are looked at, and how soon a change on bpffs is seen."""

PATIENCE = 1.0
"""Seconds a look under way gets to end in when the watcher is stopped."""

LOG_SECONDS = 0.1
"""So long what a pin tells waits for the log, which has said before why it changes."""

LOOK_SECONDS = 2.0
"""Pins are looked at so often even without a change, for what inotify may have lost."""


class Watcher(Closing):
    """Turns what happens on a node into events; a context manager.

    Args:
        bpf_root: the bpffs, or a folder on it; may come into being later.
        record: given each batch of events in order; called from the watcher's threads, one
            batch at a time. What it raises is lost (see `ctconsole.recorder.Recorder`).
        window: seconds after a replacement for which programs and entries are followed; a
            story is told when they are over.
        log: lines of the agent's log; ends by itself or when ``stopping`` is asked. An empty one
            says that nothing came for a moment.
        history: tells which maps the pins held before; need not exist.
        agent: who was in charge when somebody looked last: it may go before the first look.
    """

    def __init__(
        self,
        bpf_root: Path,
        record: Callable[[Iterable[Event]], None],
        *,
        window: float = 60.0,
        log: Callable[[Callable[[], bool]], Iterator[str]] | None = None,
        history: Path | None = None,
        agent: AgentProcess | None = None,
    ) -> None:
        self._root = bpf_root
        self._record = record
        self._window = window
        self._log = log
        self._history = history
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._log_read = threading.Event()
        self._over = False
        self._stories = StoryTeller(window)
        self._warned = ""
        self._looked = 0.0
        self._pins: Pins | None = None
        self._moves = Moves(window)
        self._agents = AgentWatch(lambda: agents.find_globals(self._root), agent=agent)
        self._splits = SplitWatch(bpf_root, history)
        self._replaced: SimpleQueue[Replacement] = SimpleQueue()
        self._pinned: Mapping[Path, MapInfo] = {}
        # Whether all that is known of what was replaced has been told, so that a story may be.
        self._followed = True
        self._loops = [
            Loop("watcher", self._watch, self._failed, finish=self._finish),
            Loop("moves", self._follow, self._failed),
            Loop("splits", self._compare, self._failed),
        ]
        if log is not None:
            self._loops.append(Loop("log", self._read, self._failed))

    @property
    def stopping(self) -> bool:
        """Whether it has been closed."""
        return self._stop.is_set()

    def start(self, patience: float = 10.0) -> None:
        """Begin; returns when the node has been looked at once, or after ``patience`` seconds."""
        for loop in self._loops:
            loop.start()
        self.wait(patience)

    def wait(self, seconds: float) -> bool:
        """Wait for the first look; False where it has not ended in time."""
        return self._ready.wait(seconds)

    def close(self) -> None:
        """End; a story under way is told as far as it goes.

        A look under way is given `PATIENCE` seconds; what it finds later is told to nobody.
        """
        self._stop.set()
        end = time.monotonic() + PATIENCE
        for loop in self._loops:
            loop.stopping.set()
        for loop in self._loops:
            loop.stop(max(0.0, end - time.monotonic()))
        self._take_replaced(Replacement.close)
        with self._lock:
            story = None if self._over else self._stories.finish(time.time())
            self._over = True
            if story:
                self._record((story,))

    def __enter__(self) -> Self:
        self.start()
        return self

    def _watch(self) -> float | None:
        """Follow the bpffs until stopped."""
        for changed in self._beats():
            if self._pins is None:
                self._pins = Pins(self._root, remember=self._window)
            self._beat(changed, self._pins)
            self._ready.set()
        return None

    def _beat(self, changed: bool, pins: Pins) -> None:  # noqa: FBT001 - see _beats
        now = time.monotonic()
        if changed or now - self._looked >= LOOK_SECONDS or self._moves.busy:
            self._looked = now
            self._guarded(lambda: self._look(pins))
        self._guarded(self._agents.step)
        self._tell()

    def _follow(self) -> float:
        """Follow what was replaced."""
        replaced: list[Replacement] = []
        self._take_replaced(replaced.append)
        try:
            if replaced:
                self._guarded(lambda: self._moves.begin(replaced))
        finally:
            for one in replaced:
                one.close()
        self._guarded(self._moves.step)
        with self._lock:
            self._followed |= not self._moves.busy and self._replaced.empty()
        return BEAT_MS / 1000

    def _take_replaced(self, take: Callable[[Replacement], None]) -> None:
        with suppress(Empty):
            while True:
                take(self._replaced.get_nowait())

    def _compare(self) -> float:
        """Look for pins that nobody uses; a map that is changing hands is followed already."""
        pinned = self._pinned
        if not self._changing(pinned):
            self._guarded(lambda: self._split(pinned))
        return BEAT_MS / 1000

    def _split(self, pinned: Mapping[Path, MapInfo]) -> list[Event]:
        before = self._splits.alarmed
        events = self._splits.step(pinned)
        if self._changing(pinned):
            # What was seen is a change under way, which is told by those who follow it.
            self._splits.alarmed = before
            return []
        return events

    def _changing(self, pinned: Mapping[Path, MapInfo]) -> bool:
        """Whether a map changes hands, or did since these were pinned."""
        return self._moves.busy or not self._replaced.empty() or self._pinned != pinned

    def _finish(self) -> None:
        if self._pins is not None:
            self._pins.close()
        self._ready.set()

    def _failed(self, state: LoopState) -> None:
        event = loops.event(state, "observe", str(self._root))
        with self._lock:
            if not self._over:
                self._record((event,))

    def _beats(self) -> Iterator[bool]:
        """Ten times a second whether something changed on the bpffs; at once when it does."""
        from watchfiles import watch

        while not self._stop.is_set():
            if not self._present():
                yield True
                self._stop.wait(BEAT_MS / 1000)
                continue
            yield True
            try:
                for changes in watch(
                    self._root,
                    stop_event=self._stop,
                    step=10,
                    debounce=20,
                    rust_timeout=BEAT_MS,
                    yield_on_timeout=True,
                    raise_interrupt=False,
                ):
                    yield bool(changes)
                    if not changes and not self._present():
                        break
            except (FileNotFoundError, OSError) as error:
                self._warn(f"{self._root} cannot be watched: {error}")
                self._stop.wait(1.0)

    def _present(self) -> bool:
        """Whether the bpffs is there; what may not be looked at is not."""
        try:
            return self._root.is_dir()
        except OSError:
            return False

    def _look(self, pins: Pins) -> list[Event]:
        events, replaced = pins.look()
        self._pinned = dict(pins.infos)
        if events and self._log is not None:
            self._log_read.clear()
            self._log_read.wait(LOG_SECONDS)
        self._emit(events)
        with self._lock:
            for one in replaced:
                self._followed = False
                self._replaced.put(one)
        return []

    def _guarded(self, look: Callable[[], list[Event]]) -> None:
        """Record what a look finds; one that fails is said once and tried again."""
        try:
            events = look()
        except (CtconsoleError, OSError, MemoryError) as error:
            self._warn(loops.sentence(error))
            return
        self._emit(events)

    def _emit(self, events: list[Event]) -> None:
        if not events:
            return
        with self._lock:
            if self._over:
                return
            events = sorted(events, key=lambda event: event.time)
            for event in events:
                self._stories.feed(event)
            self._record(events)

    def _tell(self) -> None:
        with self._lock:
            story = self._stories.due(time.time()) if self._followed and not self._over else None
            if story:
                self._record((story,))

    def _read(self) -> float | None:
        """Turn the log's lines into events until it ends."""
        assert self._log is not None  # noqa: S101 - the loop exists only with a log
        reader = LogReader()
        for line in self._log(self._stop.is_set):
            if not line:
                self._log_read.set()
                continue
            self._emit(reader.read(line, time.time()))
        self._log_read.set()
        if not self._stop.is_set():
            self._warn("The agent's log has ended; the node is watched without it")
        return None

    def _warn(self, text: str) -> None:
        if text == self._warned:
            return
        self._warned = text
        warning = happened(EventKind.WARNING, "observe", self._root, text, level=Level.WARNING)
        with self._lock:
            if not self._over:
                self._record((warning,))
