from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.ct.dropping import lowest
from ctconsole.model.ct.layout import CtFlag, Layout, value_dtype
from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.risk import affected
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapInfo, MapType
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

CT4 = MapInfo(1, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 1024)
NOW = 1000


@pytest.fixture
def table() -> CtTable:
    """Alive for long, alive for a moment, closing, expired."""
    keys, raw = ct4_rows(4, lifetime=NOW)
    values = raw.view(value_dtype(Layout.V1_9))
    values["lifetime"][:, 0] = [NOW + 5000, NOW + 5, NOW + 9000, NOW - 1]
    values["flags"][2] = CtFlag.SEEN_NON_SYN | CtFlag.RX_CLOSING
    return CtTable.from_raw(CT4, Layout.V1_9, keys, raw, now=NOW, taken_at=0.0)


@pytest.mark.parametrize(("missing", "rows"), [(0, []), (1, [3]), (2, [3, 2]), (3, [3, 2, 1])])
def test_the_expired_go_first_then_the_closing_then_who_has_least_time(
    table: CtTable, missing: int, rows: Sequence[int]
) -> None:
    assert lowest(table, missing).tolist() == rows


def test_of_a_resize_those_without_room_are_affected(table: CtTable) -> None:
    assert list(affected(table, Change.RESIZE)) == []
    found = list(affected(table, Change.RESIZE, 2))
    assert sorted(np.concatenate([rows for _, _, rows in found]).tolist()) == [2, 3]
    assert Risk.DEAD in {risk for risk, _, _ in found}


def test_of_the_other_ways_those_that_break_or_may_break(table: CtTable) -> None:
    for risk, _, rows in affected(table, Change.RECREATE):
        assert risk >= Risk.AT_RISK
        assert len(rows)
