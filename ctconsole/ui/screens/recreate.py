"""The dialogue that recreates a map: says what it costs, wants the map's name typed, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.catalogue import size_limits
from ctconsole.model.units import parse_size
from ctconsole.ui.screens.confirm import ConfirmScreen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePath

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions


def table_size(text: str, limits: tuple[int, int]) -> int:
    """A table size as a person types it: ``524288``, ``524,288``, ``512k``, ``1M``.

    Args:
        text: what was typed.
        limits: the smallest size and the largest.

    Raises:
        UsageError: not a number, or outside its limits; says which.
    """
    try:
        size = parse_size(text)
    except CtconsoleError as error:
        raise UsageError("Not a size: type a number such as 524288, 512k or 1M") from error
    low, high = limits
    if not low <= size <= high:
        raise UsageError(f"{size:,} is outside {low:,} to {high:,}")
    return size


def proposal(size: int, limits: tuple[int, int]) -> int:
    """Twice the size, within the limits."""
    low, high = limits
    return max(low, min(2 * size, high))


class RecreateScreen(ConfirmScreen):
    """Returns the report when the map was recreated, else None.

    Planning reads the whole table and judges it, so it is done once, again when asked for, and
    when another map is pinned there; the count in between is the sample's.
    """

    BOX: ClassVar[str] = "recreate"
    VERB: ClassVar[tuple[str, str]] = ("Recreate", "Recreating …")
    PLANNING: ClassVar[str] = "…"

    def __init__(self, row: MapRow, actions: Actions, size: str = "") -> None:
        super().__init__(actions, f"Recreate {row.info.label}", row.info.label)
        self.row = row
        self._limits = size_limits(row.info.label)
        self._first_size = size or str(proposal(row.info.max_entries, self._limits))

    def fields(self) -> Iterable[Widget]:
        """The size wished for."""
        with Horizontal(classes="field"):
            yield Label("New size")
            yield Input(self._first_size, id="size")
            yield Static("512k and 1M work too", classes="hint")

    @on(Input.Changed, "#size")
    def _size_changed(self) -> None:
        self.forget_plan()
        self.start_planning()

    def start_planning(self) -> None:
        """Plan for the size typed, or say what is wrong with it."""
        path = cast("PurePath", self.row.info.pin)
        try:
            size = table_size(self.query_one("#size", Input).value, self._limits)
        except UsageError as error:
            self.complain(error.message)
        else:
            self.complain("")
            self.make_plan(lambda: self.actions.plan_recreate(path, size))

    @on(Input.Submitted, "#size")
    def _size_submitted(self) -> None:
        self.query_one("#name").focus()

    def entries_now(self, sample: Sample) -> int | None:
        """The sample's count; plans anew where the map is another by now."""
        row = sample.node.row(self.row.key) if sample.node else None
        if row is None:
            return None
        was, self.row = self.row.info, row
        if (was.id, was.max_entries) != (row.info.id, row.info.max_entries):
            self.forget_plan()
            self.start_planning()
            return None
        return row.entries
