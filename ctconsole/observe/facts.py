"""Keeps `NodeFacts` fresh in the background, so that nobody who samples waits for an agent."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.observe.discovery import discover

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.layout import Layout
    from ctconsole.observe.discovery import NodeFacts


class FactsKeeper:
    """Discovers a node again and again in a thread of its own.

    Args:
        bpf_root: the bpffs; None finds it.
        layout: what the operator says.
        interval: seconds between two discoveries.
    """

    def __init__(
        self, bpf_root: Path | None, *, layout: Layout | None = None, interval: float = 30.0
    ) -> None:
        self._root = bpf_root
        self._layout = layout
        self._interval = interval
        self._latest: NodeFacts | None = None
        self._found = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facts", daemon=True)

    @property
    def latest(self) -> NodeFacts | None:
        """What is known; None until the first discovery has ended. Answers at once."""
        return self._latest

    def start(self) -> bool:
        """Begin; False where it had begun before."""
        if self._thread.ident:
            return False
        self._thread.start()
        return True

    def wait(self, seconds: float) -> NodeFacts | None:
        """What is known, after waiting at most so long for the first discovery."""
        self._found.wait(seconds)
        return self._latest

    def stop(self) -> None:
        """End; a question under way ends by its own patience, and nobody waits for it."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            # A node in trouble is looked at again; what was known stays known.
            with suppress(CtconsoleError, OSError):
                self._latest = discover(self._root, layout=self._layout)
            self._found.set()
            self._stop.wait(self._interval)
