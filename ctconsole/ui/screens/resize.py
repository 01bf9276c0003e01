"""The dialogues that give a map another size with everything in it, and that take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import on
from textual.containers import Horizontal
from textual.widgets import Input, Label, Static

from ctconsole.errors import UsageError
from ctconsole.model.catalogue import LIMIT_TABLE_MAX
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.affected import AffectedScreen
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.screens.recreate import proposal, table_size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePath

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions


_LIMITS: Final = (1, LIMIT_TABLE_MAX)
"""What a map can be resized to; an agent's option may take less, which the plan says."""


_OF_SIZES: Final = frozenset("0123456789_, kmgibKMGIB")
"""What `ctconsole.model.units.parse_size` reads."""


class _SizeInput(Input):
    """Takes what a size is written with, and leaves other letters to be keys."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether a key is typed into it. Textual has no bindings but for those that are not."""
        return super().check_consume_key(key, character) and character in _OF_SIZES


class _SizeScreen(ConfirmScreen):
    """What a resize and its undo have in common; plans anew where another map is pinned."""

    BOX: ClassVar[str] = "resize"
    PLANNING: ClassVar[str] = "Reading the table …"
    CAN_CANCEL: ClassVar[bool] = True
    BINDINGS = bindings("resize")
    KEYS: ClassVar[str] = (
        "{resize.list} lists the entries · {dialogue.plan} plans again · {dialogue.close} cancels"
    )

    def __init__(self, row: MapRow, actions: Actions, title: str) -> None:
        super().__init__(actions, title)
        self.row = row

    @property
    def path(self) -> PurePath:
        """The map's pin."""
        return cast("PurePath", self.row.info.pin)

    def action_list(self) -> None:
        """List the entries by what each way would do to them."""
        if self.plan is not None:
            self.app.push_screen(AffectedScreen(self.actions, self.plan))

    def entries_now(self, sample: Sample) -> int | None:
        """Nothing is lost that would have to be counted; the map may be another by now."""
        row = sample.node.row(self.row.key) if sample.node else None
        if row is not None:
            was, self.row = self.row.info, row
            if was.id != row.info.id:
                self.forget_plan()
                self.start_planning()
        return None


class ResizeScreen(_SizeScreen):
    """Returns the report when the map was resized, else None.

    Args:
        row: the map.
        actions: plans and acts.
        size: what the dialogue begins with; empty for a proposal.
    """

    VERB: ClassVar[tuple[str, str]] = ("Resize", "Resizing …")

    def __init__(self, row: MapRow, actions: Actions, size: str = "") -> None:
        super().__init__(row, actions, f"Resize {row.info.label}")
        self._first_size = size or str(proposal(row.info.max_entries, _LIMITS))

    def fields(self) -> Iterable[Widget]:
        """The size wished for."""
        with Horizontal(classes="field"):
            yield Label("New size")
            yield _SizeInput(self._first_size, id="size")
            yield Static("512k and 1M work too", classes="hint")

    @on(Input.Changed, "#size")
    def _size_changed(self) -> None:
        self.forget_plan()
        self.start_planning()

    def start_planning(self) -> None:
        """Plan for the size typed, or say what is wrong with it."""
        path = self.path
        try:
            size = table_size(self.query_one("#size", Input).value, _LIMITS)
        except UsageError as error:
            self.complain(error.message)
        else:
            self.complain("")
            self.make_plan(lambda: self.actions.plan_resize(path, size))

    @on(Input.Submitted, "#size")
    def _size_submitted(self) -> None:
        self.query_one("#name" if self.query_one("#confirm").display else "#go").focus()


class UndoScreen(_SizeScreen):
    """Returns the report when the map has the size before its last resize again, else None."""

    VERB: ClassVar[tuple[str, str]] = ("Undo", "Undoing …")

    def __init__(self, row: MapRow, actions: Actions) -> None:
        super().__init__(row, actions, f"Undo the resize of {row.info.label}")

    def start_planning(self) -> None:
        """Plan for the size before."""
        path = self.path
        self.make_plan(lambda: self.actions.plan_undo(path))
