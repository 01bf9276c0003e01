"""Moving programs from one map to another is somebody else's work; a ticket tells how it stands.

Who replaces a map and who loads the programs are two processes. They agree by a ticket: whoever
replaces begins it, and may not undo anything before the other side has answered that it will
load nothing more. Only silence has a limit, kept by whoever implements the ticket; work has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class SwitchProgress:
    """How far a switch is.

    Attributes:
        done: endpoints whose programs are replaced.
        of: endpoints in all.
        now: what it does at this moment.
    """

    done: int
    of: int
    now: str


class SwitchEnding(Enum):
    """What is known of a switch that was cancelled."""

    DONE = "done"
    """It was over already: every program is replaced."""

    STOPPED = "stopped"
    """Whoever carried it out will load nothing more: it said so, or is no more."""

    UNKNOWN = "unknown"
    """It may go on: it does not answer, or is not ours to stop."""


class Ticket(Protocol):
    """A switch of all programs to the map that is pinned now."""

    def begin(self) -> None:
        """Have it begun.

        Raises:
            CtconsoleError: it may or may not have begun; `cancel` finds out.
        """

    def progress(self) -> SwitchProgress:
        """How far it is.

        Raises:
            CtconsoleError: nobody answers.
        """

    def wait(self) -> None:
        """Return when every program is replaced, however long the work takes.

        Raises:
            CtconsoleError: it failed, or the other side is silent.
        """

    def cancel(self) -> SwitchEnding:
        """End it. Returns only when the other side has answered that it will load nothing more.

        Never raises but for an interrupt: where that answer is not to be had, it says so.
        """


Switch: TypeAlias = Callable[[Path, int], Ticket]
"""Makes the ticket of a switch to the map with this id, pinned at this path; begins nothing."""
