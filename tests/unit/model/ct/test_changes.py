from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from ctconsole.model.ct.changes import (
    Changes,
    KeyedTable,
    changes_between,
    dying,
    speeds_between,
)
from ctconsole.model.ct.table import CtTable, Walk
from tests.support.ct_tables import NOW, Entry, ct_table

if TYPE_CHECKING:
    import pytest


def flows(*numbers: int, left: int = 300) -> list[Entry]:
    return [Entry(source=f"10.1.{n // 250}.{n % 250}:40000", left=left) for n in numbers]


def between(older: CtTable, newer: CtTable) -> Changes:
    changes = changes_between(KeyedTable(older), KeyedTable(newer))
    assert changes
    return changes


def test_new_gone_and_evicted_per_second() -> None:
    older = ct_table(*flows(1, 2, 3), *flows(4, left=1), taken_at=100.0)
    newer = ct_table(*flows(3, 5, 1, 6, 7), taken_at=102.0, now=NOW + 2)
    changes = between(older, newer)
    assert list(changes.new) == [False, True, False, True, True]
    assert list(changes.gone) == [False, True, False, True]
    assert (changes.new_rate, changes.gone_rate) == (1.5, 1.0)
    assert changes.evicted == 1  # 2 had 298 seconds left, 4 had expired


def test_a_table_at_rest_does_not_change() -> None:
    older, newer = (ct_table(*flows(1, 2), taken_at=at) for at in (1.0, 2.0))
    changes = between(older, newer)
    assert (changes.new_count, changes.gone_count, changes.evicted) == (0, 0, 0)


def test_evictions_are_unknown_when_a_walk_broke_off() -> None:
    cut_off = Walk(complete=False, duplicates=0, restarts=0, seconds=0.1)
    older = ct_table(*flows(1, 2), taken_at=1.0)
    newer = replace(ct_table(*flows(1), taken_at=2.0), walk=cut_off)
    assert between(older, newer).evicted is None


def test_generations_of_a_map_are_not_compared() -> None:
    older, newer = ct_table(*flows(1), map_id=1), ct_table(*flows(1), map_id=2, taken_at=2000.0)
    assert changes_between(KeyedTable(older), KeyedTable(newer)) is None


@given(st.sets(st.integers(0, 400)), st.sets(st.integers(0, 400)))
def test_the_join_agrees_with_sets(left: set[int], right: set[int]) -> None:
    older = ct_table(*flows(*left), taken_at=1.0)
    newer = ct_table(*flows(*right), taken_at=2.0)
    changes = between(older, newer)
    assert changes.new_count == len(right - left)
    assert changes.gone_count == len(left - right)
    assert list(changes.new) == [number not in left for number in right]
    assert list(changes.gone) == [number not in right for number in left]
    assert (older.keys[changes.kept.older] == newer.keys[changes.kept.newer]).all()
    assert len(changes.kept.older) == len(left & right)


@given(st.lists(st.integers(0, 40), max_size=40), st.lists(st.integers(0, 40), max_size=40))
@example([34, 29], [34, 34])
def test_entries_that_a_file_holds_twice_are_joined_too(left: list[int], right: list[int]) -> None:
    changes = between(ct_table(*flows(*left), taken_at=1.0), ct_table(*flows(*right), taken_at=2.0))
    new = {number for number, is_new in zip(right, changes.new, strict=True) if is_new}
    gone = [number for number, is_gone in zip(left, changes.gone, strict=True) if is_gone]
    assert new == set(right) - set(left)
    assert set(gone) >= set(left) - set(right)
    # Of what was there twice and is there once, one row is gone.
    assert all(number not in right or left.count(number) > 1 for number in gone)


def test_rows_that_lose_their_place_in_the_join_are_paired_too() -> None:
    numbers = np.random.default_rng(1).permutation(60_000)
    older = ct_table(*flows(*numbers[:50_000]), taken_at=1.0)
    newer = ct_table(*flows(*numbers[10_000:][::-1]), taken_at=2.0)
    kept = between(older, newer).kept
    assert len(kept.older) == 40_000
    assert (older.keys[kept.older] == newer.keys[kept.newer]).all()


def test_a_rate_needs_no_second_join() -> None:
    older = ct_table(*flows(1, 2, 3), taken_at=1.0)
    newer = ct_table(*(replace(one, packets=9) for one in flows(3, 4, 1)), taken_at=2.0)
    kept = between(older, newer).kept
    grown = np.zeros(len(newer), np.int64)
    grown[kept.newer] = newer.packets[kept.newer] - older.packets[kept.older]
    assert list(grown) == [5, 0, 5]


def test_what_is_about_to_go_is_marked() -> None:
    table = ct_table(*flows(1, left=10), *flows(2, left=11), *flows(3, left=0))
    assert list(dying(table)) == [True, False, False]
    assert not np.any(dying(replace(table, now=0)))


def test_how_fast_each_row_counts_is_known_of_those_that_were_there_before() -> None:
    older = ct_table(Entry("10.0.1.1:1", packets=10, bytes=1000), *flows(2), taken_at=100.0)
    newer = ct_table(
        *flows(2), Entry("10.0.1.1:1", packets=30, bytes=5000), *flows(3), taken_at=102.0
    )
    found = speeds_between(older, newer, between(older, newer))
    assert found is not None
    assert found.bytes.tolist()[:2] == [0, 2000]
    assert found.packets.tolist()[:2] == [0, 10]
    assert np.isnan([found.bytes[2], found.packets[2]]).all()
    assert found.changed.tolist() == [False, True, False]


def test_speeds_are_not_told_from_a_sample_that_the_changes_do_not_begin_with() -> None:
    first, older, newer = (ct_table(*flows(1), taken_at=t) for t in (98.0, 100.0, 102.0))
    assert speeds_between(first, newer, between(older, newer)) is None


def test_a_counter_that_went_back_began_anew() -> None:
    older = ct_table(Entry("10.0.1.1:1", packets=10, bytes=1000), taken_at=100.0)
    newer = ct_table(Entry("10.0.1.1:1", packets=4, bytes=400), taken_at=101.0)
    found = speeds_between(older, newer, between(older, newer))
    assert found is not None
    assert (found.bytes[0], found.packets[0]) == (400, 4)


def test_a_table_at_rest_is_not_gone_through_for_its_speeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older = ct_table(Entry("10.0.1.1:1", packets=10, bytes=1000), *flows(2), taken_at=100.0)
    newer = replace(older, taken_at=102.0)
    read = replace(newer, keys=newer.keys.copy())
    slowly = speeds_between(older, read, between(older, read))
    monkeypatch.delattr(CtTable, "take")
    found = speeds_between(older, newer, between(older, newer))
    assert found is not None
    assert slowly is not None
    for name in ("bytes", "packets", "changed"):
        assert getattr(found, name).tolist() == getattr(slowly, name).tolist() == [0, 0]
