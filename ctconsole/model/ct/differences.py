"""What two samples of a table differ in, for whoever compares dumps or moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.changes import KeyedTable, others

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable


@dataclass(frozen=True)
class Differences:
    """Two samples of one map, entry by entry.

    Attributes:
        older: the one.
        newer: the other.
        new: entries of the newer that are not in the older.
        gone: entries of the older that are not in the newer.
        changed: entries of the newer that are in the older with another value.
    """

    older: CtTable
    newer: CtTable
    new: CtTable
    gone: CtTable
    changed: CtTable

    @property
    def same(self) -> int:
        """How many entries are in both, byte for byte."""
        return len(self.newer) - len(self.new) - len(self.changed)


def differences(older: CtTable, newer: CtTable) -> Differences:
    """Compare two samples whose keys have one size."""
    kept = KeyedTable(newer).kept_since(KeyedTable(older))
    moved = older.value_rows[kept.older] != newer.value_rows[kept.newer]
    return Differences(
        older,
        newer,
        newer.take(np.flatnonzero(others(kept.newer, len(newer)))),
        older.take(np.flatnonzero(others(kept.older, len(older)))),
        newer.take(np.sort(kept.newer[moved])),
    )
