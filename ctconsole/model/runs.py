"""How often programs run and how long that takes, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgramRuns:
    """One program between two looks.

    Attributes:
        id: the kernel's id of it.
        rate: runs each second.
        nanoseconds: of one run, on average; None where it did not run.
    """

    id: int
    rate: float
    nanoseconds: float | None

    @property
    def cpu(self) -> float:
        """Share of one CPU that it takes."""
        return self.rate * (self.nanoseconds or 0.0) / 1e9


@dataclass(frozen=True, slots=True)
class RunsSeen:
    """What was counted.

    Attributes:
        programs: those that were there at both looks.
        why: why nothing was counted; empty where something was.
    """

    programs: tuple[ProgramRuns, ...] = ()
    why: str = ""


NOT_LOOKED_AT = RunsSeen(why="runs are counted while this view is looked at")
