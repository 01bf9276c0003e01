"""Orders of a table: the first rows are told at once, and are those of the whole order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.ct.order import FIRST, first_rows, sort_rows
from ctconsole.model.ct.show import sortable
from ctconsole.model.spec import MapType
from tests.support.fakes import map_info, random_table

if TYPE_CHECKING:
    import numpy.typing as npt

ROWS = 5000
INFO = map_info(7, "cilium_ct4_global", MapType.LRU_HASH, (14, 56), 8192)
RANDOM = np.random.default_rng(7)


def numbers(*most: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Columns of random numbers below these; small ones have many rows that are equal."""
    return tuple(RANDOM.integers(0, one, ROWS) for one in most)


@pytest.mark.parametrize(
    "columns", [(10**9,), (3,), (1,), (5, 2), (10**6, 40)], ids=["all", "few", "one", "tens", "two"]
)
@pytest.mark.parametrize("count", [1, 60, FIRST, ROWS - 1])
def test_the_first_rows_are_those_of_the_whole_order(columns: tuple[int, ...], count: int) -> None:
    found = numbers(*columns)
    assert first_rows(found, count).tolist() == np.lexsort(found)[:count].tolist()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", sorted(sortable()))
def test_each_column_tells_its_first_rows_before_the_whole(
    column: str, *, descending: bool
) -> None:
    told: list[list[int]] = []
    table = random_table(INFO, ROWS)
    whole = sort_rows(
        table, column, descending=descending, first=lambda rows: told.append(rows.tolist())
    )
    assert told == [whole.order[:FIRST].tolist()]


def test_an_order_that_serves_again_is_told_whole() -> None:
    told: list[object] = []
    table = random_table(INFO, ROWS)
    before = sort_rows(table, "bytes")
    assert sort_rows(table, "bytes", before=before, first=told.append).order is before.order
    assert told == []
