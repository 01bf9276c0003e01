"""Recording this node: a source of its own that is sampled into a file, by verb and console."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import ctconsole
from ctconsole.errors import CtconsoleError
from ctconsole.loops import Loop, LoopState, sentence
from ctconsole.model.units import size
from ctconsole.node.owner import agent_of, own_agent_at
from ctconsole.node.reading import own_policy
from ctconsole.observe.live import LiveSource
from ctconsole.observe.recording.hidden import HidingMoments
from ctconsole.observe.recording.moment import VERSION, Head
from ctconsole.observe.recording.taking import Taker
from ctconsole.observe.recording.writer import RecordingWriter
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.ct.hiding import Hiding
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.names import Names
    from ctconsole.observe.source import Source

DEFAULT_SIZE: Final = 256 << 20
"""Bytes a recording may grow to unless told otherwise: some ten hours of a quiet node."""

_PATIENCE: Final = 5.0
"""Seconds a moment under way gets when the recording is ended."""

_TELLS: Final = 30.0
"""Seconds after its first moment from which on a recording tells how large an hour of it is."""


@dataclass(frozen=True, slots=True)
class RecordingProgress:
    """How a recording is doing.

    Attributes:
        path: the file.
        moments: how many are in it.
        bytes: how large it is.
        seconds: since it began.
        over: why it has ended; empty while it goes on.
        failed: whether it ended because the file could not be written.
        error: what is wrong with the newest moment; empty where nothing is.
        first: bytes and seconds when its first moment was in it, which is a whole one.
    """

    path: Path
    moments: int
    bytes: int
    seconds: float
    over: str = ""
    failed: bool = False
    error: str = ""
    first: tuple[int, float] = (0, 0.0)

    def __str__(self) -> str:
        grown, lasted = self.bytes - self.first[0], self.seconds - self.first[1]
        an_hour = f", {size(grown / lasted * 3600)} an hour" if lasted >= _TELLS else ""
        moments = f"{self.moments:,} moment{'' if self.moments == 1 else 's'}"
        return f"{moments}, {size(self.bytes)}{an_hour}"


def source_of_node(bpf_root: Path, layout: Layout | None = None) -> LiveSource:
    """A source of its own for the maps below a bpffs, with the events of who looks after them."""
    from ctconsole.agent.state import StateDir, default_state_dir

    settings = agent_of(bpf_root / GLOBALS / "any", None)
    state_dir = settings.state_dir if settings else default_state_dir()
    history = StateDir(state_dir).history
    return LiveSource(
        bpf_root,
        history,
        layout,
        policy=partial(own_policy, bpf_root),
        own_agent=own_agent_at,
    )


class NodeRecorder:
    """Samples a node into a file in a thread of its own, until it is stopped or the file is full.

    Args:
        path: the file; it must not be there.
        source: asked from that thread only, and closed by it.
        interval: seconds between two moments.
        most_bytes: how large the file may grow.
        names: reads what things are called, once, in that thread; None: nobody knows.
        hiding: replaces addresses and leaves names out; None records what there is.

    Raises:
        UsageError: the file is there or cannot be made; ``source`` is closed then.
        CtconsoleError: the node cannot be read; ``source`` is closed, and no file was made.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        interval: float,
        most_bytes: int = DEFAULT_SIZE,
        names: Callable[[], Names] | None = None,
        hiding: Hiding | None = None,
    ) -> None:
        self.ended = threading.Event()
        self._interval = interval
        self._names = names if hiding is None else None
        hidden = HidingMoments(hiding) if hiding is not None else None
        self._source = source
        self._over = self._error = ""
        self._failed_to_write = False
        self._begun = time.monotonic()
        self._first = (0, 0.0)
        try:
            source.maps()
            title = hidden.title(source.title) if hidden else source.title
            head = Head(
                VERSION, title, ctconsole.__version__, time.time(), interval, hidden=bool(hidden)
            )
            self._writer = RecordingWriter(path, head, most_bytes)
        except BaseException:
            source.close()
            raise
        self._taker = Taker(source, self._writer, hiding=hidden)
        self._loop = Loop("recorder", self._step, self._failed, finish=self._finish)
        self._loop.start()

    @property
    def progress(self) -> RecordingProgress:
        """How it is doing; answers at once."""
        writer = self._writer
        seconds = time.monotonic() - self._begun
        return RecordingProgress(
            writer.path,
            writer.moments,
            writer.bytes,
            seconds,
            self._over,
            failed=self._failed_to_write,
            error=self._error,
            first=self._first,
        )

    @property
    def title(self) -> str:
        """What is recorded."""
        return self._source.title

    def stop(self) -> RecordingProgress:
        """End it with its index, and tell what became of it."""
        self._over = self._over or "it was ended"
        if not self._loop.stop(_PATIENCE):
            self._over = f"{self._over}; its last moment is still being read"
        return self.progress

    def _step(self) -> float | None:
        began = time.monotonic()
        try:
            if self._names is not None:
                names, self._names = self._names, None
                self._writer.name(names(), time.time())
            if not self._taker.take():
                self._over = "it has reached the size it may have"
                return None
            self._error = ""
            if not self._first[0]:
                self._first = (self._writer.bytes, time.monotonic() - self._begun)
        except CtconsoleError as error:
            self._error = sentence(error)
        except OSError as error:
            self._over = f"the file cannot be written any more: {error.strerror}"
            self._failed_to_write = True
            return None
        return max(0.0, began + self._interval - time.monotonic())

    def _failed(self, state: LoopState) -> None:
        self._error = str(state)

    def _finish(self) -> None:
        try:
            self._writer.close()
        except OSError as error:
            self._over = f"{self._over}; its index could not be written: {error.strerror}"
            self._failed_to_write = True
        finally:
            self._source.close()
            self.ended.set()
