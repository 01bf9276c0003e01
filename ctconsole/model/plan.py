"""The one shape of every plan and every report, whatever is planned and done.

A plan says what a deed would change and cost, a report what it did. Screen, shell and JSON have
one renderer each (`ctconsole.ui.widgets.plan_table`, `ctconsole.model.listing.plans`), so that a
new deed is shown everywhere as soon as it has these members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from ctconsole.model.ct.outcomes import Change, Reason, Risk
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import PurePath

    from ctconsole.model.event import Event

Verdict: TypeAlias = tuple[Risk, Reason, int]
"""What becomes of some connections, why, and of how many."""


class Row(NamedTuple):
    """One line of a plan: what it is about, in a word, and what is to be known of it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a change needs.

    Attributes:
        old: charged to what is there now.
        new: charged to what takes its place; both exist together for a while.
        free: what can be had now, by the machine and by the cgroup of whoever makes it.
        limit: who sets that bound where it is not the machine: ``the cgroup /kubepods/...``.
        passes: what the change itself takes as long as it lasts.
    """

    old: int
    new: int
    free: int
    limit: str = ""
    passes: int = 0

    @property
    def most(self) -> int:
        """What is charged at the same time, at the most."""
        return self.old + self.new + self.passes

    @property
    def within(self) -> str:
        """`` in the cgroup /kubepods/...`` to be said behind `free`, mostly empty."""
        return f" in {self.limit}" if self.limit else ""

    @property
    def lack(self) -> str:
        """A sentence where the new does not fit beside the old, else empty."""
        needed = self.new + self.passes
        if needed <= self.free:
            return ""
        return (
            f"It needs {size(needed)} beside what is there, and {size(self.free)} are "
            f"free{self.within}"
        )


_WAYS = (Risk.UNTOUCHED, Risk.COMES_BACK, Risk.AT_RISK, Risk.BREAKS, Risk.DEAD)
_COLUMN = 11


def ways_rows(forecasts: Mapping[Change, Sequence[Verdict]]) -> tuple[Row, ...]:
    """What each way would do to the connections: a row of headings, then one for each way.

    None where nothing is forecast, as of maps that are not conntrack's.
    """
    if not any(forecasts.values()):
        return ()
    heads = "".join(f"{risk.word:>{_COLUMN}}" for risk in _WAYS)
    rows = [Row("ways", heads)]
    for change, told in forecasts.items():
        numbers = ways_counts(told)
        rows.append(Row(change, "".join(f"{count(numbers[risk]):>{_COLUMN}}" for risk in _WAYS)))
    return tuple(rows)


def outcome_rows(told: Sequence[Verdict], lost: int, back: int | None) -> tuple[Row, ...]:
    """What had been forecast of the connections of a map that was emptied, and what came of it.

    Args:
        told: the forecast.
        lost: entries that were in the map.
        back: of these, how many are there again; None where that was not looked at.
    """
    if not lost or back is None:
        return ()
    numbers = ways_counts(told)
    said = ", ".join(
        f"{count(numbers[risk])} {risk.word}" for risk in sorted(Risk)[::-1] if numbers[risk]
    )
    seen = (
        f"{count(back)} of {count(lost)} entries are back by now; the others come when their "
        "connections speak, or not at all"
    )
    return (Row("forecast", said), Row("outcome", seen))


def ways_counts(told: Sequence[Verdict]) -> dict[Risk, int]:
    """How many connections fare how."""
    return {risk: sum(number for one, _, number in told if one is risk) for risk in _WAYS}


class Plan(Protocol):
    """What a deed would change and cost."""

    @property
    def title(self) -> str:
        """What is to be done, to what."""
        ...

    @property
    def paths(self) -> Sequence[PurePath]:
        """The pins of the maps whose entries it is about."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """The facts; the first, in one line with the title, is the deed itself."""
        ...

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """What becomes of the connections, the worst first; empty where there are none."""
        ...

    @property
    def memory(self) -> Memory | None:
        """What it needs, None where it needs none."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences for whoever decides."""
        ...

    @property
    def lasting(self) -> Sequence[str]:
        """Those warnings that are as true when it is done."""
        ...

    @property
    def data_loss(self) -> int:
        """Entries that will be lost."""
        ...

    @property
    def confirm_name(self) -> str:
        """What a person types to confirm it, empty where a key is enough."""
        ...

    @property
    def facts(self) -> Mapping[str, object]:
        """For programs that read JSON: what the rows say, as numbers."""
        ...


class Report(Protocol):
    """What a deed did."""

    @property
    def sentence(self) -> str:
        """What was done, in one sentence without a full stop."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """What more is to be known of it."""
        ...

    @property
    def failure(self) -> str:
        """What went wrong and in what state everything is, empty where all went well."""
        ...

    @property
    def events(self) -> Sequence[Event]:
        """For the history, in the order they happened."""
        ...

    @property
    def facts(self) -> Mapping[str, object]:
        """For programs that read JSON."""
        ...
