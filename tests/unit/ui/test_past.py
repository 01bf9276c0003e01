"""What is told of the time in which a picture was held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ctconsole.observe.recording.moment import NodeMoment
from ctconsole.observe.sampler import Sample
from ctconsole.observe.source import MapRow, NodeSnapshot
from ctconsole.ui.past import meanwhile, sample_at
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource

ROWS = FakeSource().rows
OLD = {row.key: row for row in ROWS.values()}


def sample(*rows: MapRow, seconds: float = 0.0) -> Sample:
    known = {**OLD, **{row.key: row for row in rows}}
    node = NodeSnapshot(tuple(known.values()), EPOCH + seconds, 0.0)
    return Sample(node=node, taken_at=EPOCH + seconds)


def more(row: MapRow, by: int) -> MapRow:
    return replace(row, entries=(row.entries or 0) + by)


def told(*rows: MapRow) -> str:
    return meanwhile(sample(), sample(*rows, seconds=9)).removeprefix("in the 9s held: ")


def test_where_no_table_is_looked_at_maps_are_told_that_hold_more_or_less() -> None:
    found = told(more(ROWS[CT4], 30), more(ROWS[CT_ANY4], -400))
    assert found == "cilium_ct_any4_global -400, cilium_ct4_global +30"


def test_of_many_the_first_are_told() -> None:
    counted = [row for row in ROWS.values() if row.entries is not None]
    assert len(counted) > 4
    found = told(*(more(row, 10) for row in counted))
    assert found.count("+10") == 3
    assert found.endswith(f", {len(counted) - 3} more maps")


def test_a_map_that_was_re_created_is_told_and_its_count_is_not_compared() -> None:
    row = ROWS[CT4]
    again = replace(more(row, 30), info=replace(row.info, id=9999))
    assert told(again) == "cilium_ct4_global is another map now"


def test_maps_that_came_and_went_are_told() -> None:
    new = replace(ROWS[CT4], info=replace(ROWS[CT4].info, pin=None, id=9999, name="fresh"))
    assert told(new) == "fresh is new"
    gone = meanwhile(sample(new), sample(seconds=9))
    assert gone == "in the 9s held: fresh is gone"


def test_an_estimate_that_moves_is_no_change() -> None:
    blurred = replace(more(ROWS[CT4], 30), exact=False)
    assert told(blurred) == "no count of entries changed, no event"


@pytest.mark.parametrize("before", [True, False])
def test_what_was_not_read_is_not_said_to_be_unchanged(before: bool) -> None:  # noqa: FBT001 - a case of the test
    pair = [sample(), sample(seconds=9)]
    pair[0 if before else 1] = replace(pair[0 if before else 1], node=None)
    assert meanwhile(*pair) == "in the 9s held: what maps held is not known"


def test_a_moment_has_the_counts_that_were_taken_at_it() -> None:
    """Maps are read after a beat has begun, and so have a later time than it."""
    key = ROWS[CT4].key
    node = NodeSnapshot(tuple(ROWS.values()), EPOCH + 0.2, 0.0)
    now = replace(sample(seconds=2), trends={key: ((EPOCH + 0.2, 7), (EPOCH + 2.2, 8))})
    assert sample_at(NodeMoment(EPOCH, node), now).trends[key] == ((EPOCH + 0.2, 7),)
    unread = sample_at(NodeMoment(EPOCH + 1, None), now)
    assert unread.trends[key] == ((EPOCH + 0.2, 7),)
