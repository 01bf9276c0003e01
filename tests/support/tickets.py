"""Switches for tests, carried out in this very process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ctconsole.errors import AgentError
from ctconsole.manager.switch import SwitchEnding, SwitchProgress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.manager.switch import Ticket


class Inline:
    """A switch that is done while one waits for it; what it raises ends it."""

    def __init__(
        self, work: Callable[[], None], ending: SwitchEnding = SwitchEnding.STOPPED
    ) -> None:
        self._work, self._ending = work, ending

    def __call__(self, _pin: Path, _map_id: int) -> Ticket:
        return self

    def begin(self) -> None:
        """Nothing yet."""

    def progress(self) -> SwitchProgress:
        """It has no steps."""
        return SwitchProgress(0, 1, "working")

    def wait(self) -> None:
        """Do it."""
        self._work()

    def cancel(self) -> SwitchEnding:
        """What the test says of it."""
        return self._ending


class Late:
    """Carried out by a thread that goes on when nobody waits any more: `cancel` joins it.

    Args:
        work: what the thread does; handed whether it was cancelled.
        wait: what happens to whoever waits for it.
    """

    def __init__(self, work: Callable[[threading.Event], None], wait: Callable[[], None]) -> None:
        self.cancelled = threading.Event()
        self._wait = wait
        self._thread = threading.Thread(target=work, args=(self.cancelled,))

    def __call__(self, _pin: Path, _map_id: int) -> Ticket:
        return self

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def progress(self) -> SwitchProgress:
        """It has no steps."""
        return SwitchProgress(0, 1, "working")

    def wait(self) -> None:
        """What the test wants to happen meanwhile."""
        self._wait()
        self._thread.join()

    def cancel(self) -> SwitchEnding:
        """Return when the thread will load nothing more."""
        self.cancelled.set()
        self._thread.join()
        return SwitchEnding.STOPPED


def no_answer() -> None:
    """What a lost socket does to whoever waits."""
    raise AgentError("The agent behind agent.sock did not answer in time")
