"""The exporter at work: samples again and again, and hands the newest out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.exporter.figures import NOTHING
from ctconsole.exporter.page import Exposition, Pages
from ctconsole.handles import Closing
from ctconsole.kernel.files import write_whole
from ctconsole.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.exporter.figures import NodeFigures
    from ctconsole.exporter.sampling import NodeSampler
    from ctconsole.loops import LoopState
    from ctconsole.web.door import Door

_PATIENCE = 5.0
"""Seconds a sample under way gets when the exporter ends."""

READABLE = 0o644
"""Permissions of a text file: node_exporter is another user, and nothing in it is secret."""


class Exporter(Closing):
    """Samples a node in a thread of its own. A context manager, which closes the sampler.

    Pages are written after each sample, in the forms that somebody has asked for: a request is
    answered with what lies ready.

    Args:
        sampler: asked from that thread only.
        interval: seconds between the starts of two samples.
        say: told a sentence when something goes wrong, and when it does so differently.
        textfile: written after each sample as well.
        door: whose state is told in the figures.
    """

    def __init__(
        self,
        sampler: NodeSampler,
        interval: float,
        say: Callable[[str], None],
        *,
        textfile: Path | None = None,
        door: Door | None = None,
    ) -> None:
        self._sampler = sampler
        self._interval = interval
        self._say = say
        self._textfile = textfile
        self._door = door
        self._told = 0
        self._lock = threading.Lock()
        self._figures = NOTHING
        self._pages: dict[Exposition, bytes] = {}
        self._writer = Pages()
        self._ready = threading.Event()
        self._loop = Loop("exporter", self._step, self._failed, finish=sampler.close)

    def start(self) -> None:
        """Begin; the first sample is taken at once."""
        self._loop.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the first sample, also where it fails; False where it takes longer."""
        return self._ready.wait(seconds)

    @property
    def state(self) -> LoopState:
        """How sampling is doing."""
        return self._loop.state

    def body(self, form: Exposition) -> bytes:
        """The newest page. Safe from any thread."""
        with self._lock:
            if form not in self._pages:
                self._pages[form] = self._writer.page(self._figures, form)
            return self._pages[form]

    def close(self) -> None:
        """End; a sample under way is waited for a moment."""
        if self._loop.started:
            self._loop.stop(_PATIENCE)
        else:
            self._sampler.close()

    def _step(self) -> float:
        began = time.monotonic()
        try:
            self._sampler.sample()
        finally:
            # A sample that failed has figures, too: that it did.
            self._take(self._sampler.newest)
            self._tell_notes()
        self._ready.set()
        return max(0.0, began + self._interval - time.monotonic())

    def _take(self, figures: NodeFigures) -> None:
        if self._door is not None:
            self._door.look()
            good, since = not self._door.problem, self._door.taken_at
            figures = replace(figures, web_config_good=good, web_config_taken_at=since)
        with self._lock:
            # A page that cannot be written is not answered with the one before it.
            self._figures, forms, self._pages = figures, (*self._pages,), {}
            self._pages = {form: self._writer.page(figures, form) for form in forms}
        if self._textfile is not None:
            self._write(self._textfile)

    def _write(self, path: Path) -> None:
        """Write the text file.

        Raises:
            CtconsoleError: it cannot be written; the one before is as it was.
        """
        try:
            write_whole(path, self.body(Exposition.TEXT).decode(), mode=READABLE)
        except OSError as error:
            # What it stumbled over may be the draft beside it, of which nobody knows.
            raise CtconsoleError(
                f"{path} cannot be written: {error.strerror or error}",
                hint="Name another with --textfile",
            ) from error

    def _tell_notes(self) -> None:
        """Say each thing once that is not known."""
        notes = self._sampler.notes
        for note in notes[self._told :]:
            self._say(note)
        self._told = len(notes)

    def _failed(self, state: LoopState) -> None:
        self._say(str(state))
        self._ready.set()
