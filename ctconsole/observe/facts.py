"""Keeps what is known of a node fresh, so that nobody who samples waits for an agent."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.loops import Loop
from ctconsole.model.ct.reading import PLAIN
from ctconsole.observe.discovery import discover, nobodys
from ctconsole.observe.reading import reading_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.ct.knowledge import PolicyFacts
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading
    from ctconsole.observe.discovery import NodeFacts, OwnAgentAt


class FactsKeeper:
    """Discovers a node again and again in a thread of its own.

    Args:
        bpf_root: the bpffs; None finds it.
        layout: what the operator says.
        policy: tells where an agent that discovery does not know enforces policy.
        own: see `discover`.
        interval: seconds between two discoveries.
    """

    def __init__(
        self,
        bpf_root: Path | None,
        *,
        layout: Layout | None = None,
        policy: Callable[[], PolicyFacts | None] = lambda: None,
        own: OwnAgentAt = nobodys,
        interval: float = 30.0,
    ) -> None:
        self._root = bpf_root
        self._policy = policy
        self._own = own
        self._layout = layout
        self._interval = interval
        self._latest: NodeFacts | None = None
        self._reading = PLAIN
        self._found = threading.Event()
        self._loop = Loop("facts", self._look, lambda _: None)

    @property
    def latest(self) -> NodeFacts | None:
        """What is known; None until the first discovery has ended. Answers at once."""
        return self._latest

    @property
    def reading(self) -> Reading:
        """How entries are to be read, as far as it is known by now. Answers at once."""
        return self._reading

    def start(self) -> bool:
        """Begin; False where it had begun before."""
        return self._loop.start()

    def wait(self, seconds: float) -> NodeFacts | None:
        """What is known, after waiting at most so long for the first discovery."""
        self._found.wait(seconds)
        return self._latest

    def hurry(self) -> None:
        """Look again now: what is known has passed."""
        self._loop.hurry()

    def stop(self) -> None:
        """End; a question under way ends by its own patience, and nobody waits for it."""
        self._loop.stop(patience=0)

    def _look(self) -> float:
        # A node in trouble is looked at again; what was known stays known.
        try:
            with suppress(CtconsoleError, OSError):
                facts = discover(self._root, layout=self._layout, own=self._own)
                layout = facts.layout.value if facts.layout else None
                self._reading = replace(self._reading, clock=facts.clock.value, layout=layout)
                self._latest = facts
                # Who waits for the clock and the layout need not wait for the rest.
                self._found.set()
                self._reading = reading_of(facts, self._policy())
        finally:
            self._found.set()
        return self._interval
