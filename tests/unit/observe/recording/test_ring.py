from __future__ import annotations

import tracemalloc
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from ctconsole.model.ct.changes import KeyedTable
from ctconsole.observe.recording.moment import NodeMoment
from ctconsole.observe.recording.ring import Ring, place_of
from ctconsole.observe.recording.seeker import Seeker
from tests.support.fakes import CT4, FakeSource, random_table

SOURCE = FakeSource()
MAPS = SOURCE.maps()
ROW = SOURCE.rows[CT4]


def moment(second: int, *, entries: int = 300) -> NodeMoment:
    table = random_table(ROW.info, entries, seed=second, taken_at=float(second))
    return NodeMoment(float(second), MAPS, MappingProxyType({ROW.key: table}))


def test_what_is_kept_can_be_seen_again() -> None:
    ring = Ring()
    moments = [moment(second) for second in range(5)]
    for one in moments:
        ring.add(one)
    seeker = Seeker(ring.frames())
    for place in (4, 0, 2, 3):
        found, was = (one.tables[ROW.key] for one in (seeker.at(place), moments[place]))
        assert np.array_equal(found.keys, was.keys)
        assert np.array_equal(found.values, was.values)


def test_it_reaches_back_as_long_as_asked_for_and_begins_with_a_whole_moment() -> None:
    ring = Ring(seconds=10.0)
    for second in range(60):
        ring.add(moment(second))
    frames = ring.frames()
    assert frames[0].stands_alone
    assert frames[0].time <= 59 - 10
    # Dropped in whole stretches, so a little more than asked for may be there.
    assert len(frames) < 40
    assert Seeker(frames).at(0).taken_at == frames[0].time


def test_it_takes_no_more_memory_than_it_may() -> None:
    ring = Ring(seconds=3600.0, most_bytes=100_000)
    for second in range(60):
        ring.add(moment(second))
        stretch = sum(one.bytes_in_file for one in ring.frames())
        assert ring.bytes == stretch
    last_whole = next(one for one in reversed(ring.frames()) if one.stands_alone)
    assert ring.bytes <= 100_000 + last_whole.bytes_in_file
    assert Seeker(ring.frames()).at(len(ring.frames()) - 1).taken_at == 59.0


def test_a_table_that_is_looked_at_for_the_first_time_is_kept_whole_once() -> None:
    ring = Ring()
    ring.add(replace(moment(0), tables=MappingProxyType({})))
    for second in (1, 2, 3):
        ring.add(moment(second))
    assert [one.stands_alone for one in ring.frames()] == [True, True, False, False]


def test_a_moment_is_packed_without_a_copy_of_its_table() -> None:
    tables = [random_table(ROW.info, 200_000, seed=1, taken_at=float(n)) for n in (1, 2)]
    ring = Ring()
    for number, table in enumerate(tables):
        one = NodeMoment(float(number), MAPS, MappingProxyType({ROW.key: table}))
        keyed = KeyedTable(table)
        tracemalloc.start()
        try:
            ring.add(one, keyed)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        kept = ring.frames()[-1].bytes_in_file
        # The frame itself while it is put together, some rows at a time, and row numbers.
        assert peak < 2 * kept + 0.5 * (table.keys.nbytes + table.values.nbytes)


def test_hashes_that_are_there_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    ring.add(moment(0))
    later = moment(1)
    keyed = KeyedTable(later.tables[ROW.key])

    def never(*_: object) -> None:
        pytest.fail("hashed twice")

    monkeypatch.setattr("ctconsole.observe.recording.encoder.KeyedTable", never)
    ring.add(later, keyed)
    assert np.array_equal(
        Seeker(ring.frames()).at(1).tables[ROW.key].keys, later.tables[ROW.key].keys
    )


def test_a_table_at_rest_costs_next_to_nothing() -> None:
    ring = Ring()
    first = moment(0, entries=5000)
    ring.add(first)
    whole = ring.bytes
    for second in range(1, 100):
        table = replace(first.tables[ROW.key], now=second, taken_at=float(second))
        ring.add(replace(first, taken_at=float(second), tables={ROW.key: table}))
    assert ring.bytes < 2 * whole


@pytest.mark.parametrize(("time", "place"), [(0.0, 0), (1.0, 0), (1.9, 0), (2.0, 1), (9.0, 2)])
def test_the_newest_moment_that_is_not_later(time: float, place: int) -> None:
    assert place_of((1.0, 2.0, 3.0), time) == place
