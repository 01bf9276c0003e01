"""What two samples of a table differ in, for whoever compares dumps or moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.changes import KeyedTable, matched

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
    kept = matched(KeyedTable(older).hashes, KeyedTable(newer).hashes)
    before, after = (
        np.ascontiguousarray(one.values).view(np.uint8).reshape(len(one), -1)
        if len(one)
        else np.empty((0, one.values.dtype.itemsize), np.uint8)
        for one in (older, newer)
    )
    moved = (before[kept.older] != after[kept.newer]).any(axis=1)
    new, gone = (np.ones(len(one), np.bool_) for one in (newer, older))
    new[kept.newer], gone[kept.older] = False, False
    return Differences(
        older,
        newer,
        newer.take(np.flatnonzero(new)),
        older.take(np.flatnonzero(gone)),
        newer.take(np.sort(kept.newer[moved])),
    )
