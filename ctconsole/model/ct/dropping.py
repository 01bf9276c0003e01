"""In which order entries are left behind where a smaller table has no room for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.layout import CtFlag

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

CLASS: Final = 65536
"""Ranks of one class, by the seconds an entry has left: expired, closing, the others."""


def ranks_of(table: CtTable) -> npt.NDArray[np.int64]:
    """The rank of each entry; the lowest go first."""
    lifetime = table.values["lifetime"].astype(np.int64)
    left = np.clip(lifetime - table.now, 0, CLASS - 1)
    closing = table.values["flags"] & np.uint16(CtFlag.RX_CLOSING | CtFlag.TX_CLOSING) != 0
    kind = np.where(lifetime <= table.now, 0, np.where(closing, 1, 2))
    return kind * CLASS + left


def lowest(table: CtTable, missing: int) -> npt.NDArray[np.intp]:
    """The rows of so many entries that go first, those that go first in front."""
    return np.argsort(ranks_of(table), kind="stable")[:missing]
