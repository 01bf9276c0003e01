"""The dialogue that deletes entries: says whose connections break, asks, does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from ctconsole.errors import FilterError
from ctconsole.model.ct.order import find_entry
from ctconsole.ui.screens.confirm import ConfirmScreen

if TYPE_CHECKING:
    from pathlib import PurePath

    import numpy.typing as npt

    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.table import CtTable
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

    def at_stake(self, table: CtTable) -> npt.NDArray[np.bool_] | None:
        """Those chosen, as far as the table tells them."""
        if self._key is not None:
            chosen = np.zeros(len(table), np.bool_)
            row = find_entry(table, self._key)
            if row is not None:
                chosen[row] = True
            return chosen
        try:
            return self._query.rows(table)
        except FilterError:
            return None

    def worthwhile(self, plan: Plan) -> bool:
        """Whether anything is chosen."""
        return plan.data_loss > 0
