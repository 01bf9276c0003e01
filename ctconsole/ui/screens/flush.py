"""The dialogue that deletes entries: says whose connections break, asks, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from ctconsole.ui.screens.confirm import ConfirmScreen

if TYPE_CHECKING:
    from pathlib import PurePath

    from ctconsole.model.ct.query import Query
    from ctconsole.model.plan import Plan
    from ctconsole.observe.source import MapRow
    from ctconsole.ui.actions import Actions


class FlushScreen(ConfirmScreen):
    """Returns the report when entries were deleted, else None.

    Args:
        row: the map.
        actions: plans and deletes.
        query: what to delete; the empty query means the whole map.
        key: of the one entry to delete, None for all that the query lets through.
    """

    BOX: ClassVar[str] = "flush"
    VERB: ClassVar[tuple[str, str]] = ("Delete", "Deleting …")
    PLANNING: ClassVar[str] = "Looking what breaks …"
    CAN_CANCEL: ClassVar[bool] = True

    def __init__(self, row: MapRow, actions: Actions, query: Query, key: bytes | None) -> None:
        one, label = key is not None, row.info.label
        what = "Delete one entry of" if one else "Delete entries of" if query else "Flush"
        super().__init__(actions, f"{what} {label}", "" if one else label)
        self._path = cast("PurePath", row.info.pin)
        self._query = query
        self._key = key

    def start_planning(self) -> None:
        """Look what breaks."""
        self.make_plan(lambda: self.actions.plan_flush(self._path, self._query, self._key))

    def worthwhile(self, plan: Plan) -> bool:
        """Whether anything is chosen."""
        return plan.data_loss > 0
