"""A table that has not changed is looked at once, and every number is as if looked at anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.ct.changes import KeyedTable, at_rest, changes_between
from ctconsole.model.ct.order import sort_rows
from ctconsole.model.ct.show import sortable
from ctconsole.model.ct.stats import stats_of
from ctconsole.ui.widgets.ct_rows import Sorting, arrange
from tests.support.ct_tables import NOW, Entry, ct_table

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable

ENTRIES = [
    Entry(source=f"10.0.1.{number}:4000{number}", left=number * 7 - 20, bytes=number * 13 % 5)
    for number in range(1, 9)
]
EARLIER = ct_table(*ENTRIES)


def later(seconds: int, map_id: int = 7) -> CtTable:
    """The same entries read again."""
    return replace(
        ct_table(*ENTRIES, map_id=map_id), now=NOW + seconds, taken_at=EARLIER.taken_at + seconds
    )


def test_entries_that_have_not_changed_share_their_arrays() -> None:
    again = at_rest(EARLIER, later(2))
    assert again.keys is EARLIER.keys
    assert again.values is EARLIER.values
    assert (again.now, again.taken_at) == (NOW + 2, EARLIER.taken_at + 2)
    changes = changes_between(KeyedTable(EARLIER), KeyedTable(again, KeyedTable(EARLIER)))
    assert changes
    assert (changes.new_count, changes.gone_count, changes.evicted) == (0, 0, 0)


def test_one_byte_or_another_map_is_another_table() -> None:
    other = later(2)
    values = other.values.copy()
    values["bytes"][3] += 1
    for table in (replace(other, values=values), later(2, map_id=8)):
        assert at_rest(EARLIER, table) is table
    assert at_rest(None, other) is other


@pytest.mark.parametrize("seconds", [0, 1, 5, 30, 1000])
def test_numbers_are_those_of_a_table_counted_anew(seconds: int) -> None:
    fresh = later(seconds)
    again = at_rest(EARLIER, later(seconds))
    assert stats_of(again, (EARLIER, stats_of(EARLIER))) == stats_of(fresh)


@pytest.mark.parametrize("column", sorted(sortable()))
@pytest.mark.parametrize("descending", [False, True])
def test_so_is_every_order(column: str, descending: bool) -> None:  # noqa: FBT001 - a case
    before = sort_rows(EARLIER, column, descending=descending)
    again = at_rest(EARLIER, later(30))
    made = sort_rows(again, column, descending=descending, before=before).order
    assert made.tolist() == sort_rows(later(30), column, descending=descending).order.tolist()


@pytest.mark.parametrize("seconds", [1, 30])
def test_so_are_the_rows_on_the_screen(seconds: int) -> None:
    sorting = Sorting("bytes")
    before = arrange(EARLIER, sorting)
    again = arrange(at_rest(EARLIER, later(seconds)), sorting, before=before)
    fresh = arrange(later(seconds), sorting)
    assert np.array_equal(again.order, fresh.order)
    assert again.counts == fresh.counts
