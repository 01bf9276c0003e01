"""The one shape of every plan and every report, whatever is planned and done.

A plan says what a deed would change and cost, a report what it did. Screen, shell and JSON have
one renderer each (`ctconsole.ui.widgets.plan_table`, `ctconsole.model.listing.plans`), so that a
new deed is shown everywhere as soon as it has these members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from ctconsole.model.ct.risk import Reason, Risk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        free: what the machine can give now.
    """

    old: int
    new: int
    free: int


class Plan(Protocol):
    """What a deed would change and cost."""

    @property
    def title(self) -> str:
        """What is to be done, to what."""
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
