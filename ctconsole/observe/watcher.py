"""Watches a node that belongs to somebody else: its pins, its agent, its log, and the stories.

One thread looks at pins whenever the bpffs changes (watchfiles) and follows what comes after a
replacement; a second one reads the log where there is one. Everything becomes events.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from ctconsole.errors import CtconsoleError
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.readers.agentlog import LogReader
from ctconsole.observe import discovery
from ctconsole.observe.agentwatch import AgentWatch
from ctconsole.observe.moves import Moves
from ctconsole.observe.pins import Pins
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.observe.story import StoryTeller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BEAT_MS = 100
"""How often process and programs are looked at, and how soon a change on bpffs is seen."""

LOOK_SECONDS = 2.0
"""Pins are looked at so often even without a change, for what inotify may have lost."""


class Watcher:
    """Turns what happens on a node into events; a context manager.

    Args:
        bpf_root: the bpffs, or a folder on it; may come into being later.
        record: given each batch of events in order; called from the watcher's threads, one
            batch at a time.
        window: seconds after a replacement for which programs and entries are followed; a
            story is told when they are over.
        log: lines of the agent's log; ends by itself or when ``stopping`` is asked.
        history: tells which maps the pins held before; need not exist.
    """

    def __init__(
        self,
        bpf_root: Path,
        record: Callable[[Iterable[Event]], None],
        *,
        window: float = 60.0,
        log: Callable[[Callable[[], bool]], Iterator[str]] | None = None,
        history: Path | None = None,
    ) -> None:
        self._root = bpf_root
        self._record = record
        self._window = window
        self._log = log
        self._history = history
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._stories = StoryTeller(window)
        self._warned = ""
        self._threads = [threading.Thread(target=self._watch, name="watcher", daemon=True)]
        if log is not None:
            self._threads.append(threading.Thread(target=self._read, name="log", daemon=True))

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def start(self, patience: float = 10.0) -> None:
        """Begin; returns when the node has been looked at once, or after ``patience`` seconds."""
        for thread in self._threads:
            thread.start()
        self.wait(patience)

    def wait(self, seconds: float) -> bool:
        """Wait for the first look; False where it has not ended in time."""
        return self._ready.wait(seconds)

    def stop(self) -> None:
        """End; a story under way is told as far as it goes."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        pins, moves = Pins(self._root, remember=self._window), Moves(self._window)
        agents = AgentWatch(lambda: discovery.find_globals(self._root))
        splits = SplitWatch(self._root, self._history)
        try:
            looked = 0.0
            for changed in self._beats():
                now = time.monotonic()
                if changed or now - looked >= LOOK_SECONDS or moves.busy:
                    looked = now
                    self._guarded(lambda: self._look(pins, moves))
                self._guarded(agents.step)
                self._guarded(moves.step)
                # A map that is changing hands is followed already.
                if not moves.busy:
                    self._guarded(lambda: splits.step(pins.infos))
                self._tell()
                self._ready.set()
        finally:
            pins.close()
            self._ready.set()
            with self._lock:
                story = self._stories.finish(time.time())
            if story:
                self._record((story,))

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

    def _look(self, pins: Pins, moves: Moves) -> list[Event]:
        events, replaced = pins.look()
        return [*events, *moves.begin(replaced)]

    def _guarded(self, look: Callable[[], list[Event]]) -> None:
        """Record what a look finds; one that fails is said once and tried again."""
        try:
            events = look()
        except (CtconsoleError, OSError) as error:
            self._warn(str(error))
            return
        self._emit(events)

    def _emit(self, events: list[Event]) -> None:
        if not events:
            return
        with self._lock:
            for event in events:
                self._stories.feed(event)
            self._record(events)

    def _tell(self) -> None:
        with self._lock:
            story = self._stories.due(time.time())
            if story:
                self._record((story,))

    def _read(self) -> None:
        """Turn the log's lines into events until it ends."""
        assert self._log is not None  # noqa: S101 - the thread exists only with a log
        reader = LogReader()
        try:
            for line in self._log(self._stop.is_set):
                self._emit(reader.read(line, time.time()))
        except (CtconsoleError, OSError, ValueError) as error:
            self._warn(str(error))

    def _warn(self, text: str) -> None:
        if text == self._warned:
            return
        self._warned = text
        warning = Event(
            time.time(), EventKind.WARNING, "observe", str(self._root), text, Level.WARNING
        )
        self._record((warning,))
