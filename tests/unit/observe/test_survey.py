from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.turnover import Headcount, Turnover
from ctconsole.model.event import Level
from ctconsole.observe.survey import Survey
from ctconsole.observe.usage import MapGeneration, MapUsage
from tests.support.fakes import CT4, CT_ANY4, EPOCH, GLOBALS, FakeSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.ct.changes import Changes
    from ctconsole.observe.source import NodeSnapshot

SNAT = GLOBALS / "cilium_snat_v4_external"


class Counting(FakeSource):
    """Remembers what was asked."""

    asked: list[str]

    def usage(self) -> Sequence[MapUsage]:
        self.asked.append("usage")
        return super().usage()


def surveyed() -> tuple[Survey, Counting, list[float]]:
    source = Counting()
    source.asked = []
    now = [100.0]
    return Survey(source, lambda: now[0]), source, now


def node(source: FakeSource) -> NodeSnapshot:
    return source.maps()


def changes_of(survey: Survey) -> Changes | None:
    return survey.changes


def test_the_first_beat_asks_nothing_that_takes_time() -> None:
    survey, source, _ = surveyed()
    survey.beat(node(source), None, None)
    assert not survey.stats
    assert not source.asked


def test_tables_are_read_one_at_a_time_and_then_rested() -> None:
    survey, source, now = surveyed()
    counts = []
    for _ in range(5):
        survey.beat(node(source), None, None)
        counts.append(len(survey.stats))
    assert counts[:3] == [0, 1, 2]
    assert len(source.asked) == 1
    first = survey.stats[source.rows[CT4].key]
    survey.beat(node(source), None, None)
    assert survey.stats[source.rows[CT4].key] is first
    now[0] += 10
    for _ in range(4):
        survey.beat(node(source), None, None)
    assert survey.stats[source.rows[CT4].key] is not first
    assert len(source.asked) == 2


def test_the_watched_table_is_compared_with_the_one_before() -> None:
    survey, source, _ = surveyed()
    whole = source.table(CT4)
    survey.beat(node(source), CT4, whole)
    assert changes_of(survey) is None
    fewer = replace(whole.take(np.arange(len(whole)) >= 10), taken_at=EPOCH + 2)
    survey.beat(node(source), CT4, fewer)
    changes = changes_of(survey)
    assert changes
    assert (changes.new_count, changes.gone_count) == (0, 10)
    assert survey.stats[source.rows[CT4].key].kinds.entries == len(fewer)
    survey.beat(node(source), None, None)
    assert changes_of(survey) is None


def test_a_map_that_is_gone_is_forgotten() -> None:
    survey, source, _ = surveyed()
    survey.beat(node(source), CT_ANY4, source.table(CT_ANY4))
    assert source.rows[CT_ANY4].key in survey.stats
    del source.rows[CT_ANY4]
    survey.beat(node(source), None, None)
    assert not survey.stats.keys() & {str(CT_ANY4)}


def test_the_other_tables_are_read_too_while_one_is_watched_and_say_when() -> None:
    survey, source, now = surveyed()
    ours, other = source.rows[CT4].key, source.rows[CT_ANY4].key
    table = source.table(CT4)
    survey.beat(node(source), CT4, table)
    assert set(survey.stats) == {ours}
    survey.beat(node(source), CT4, table)
    assert set(survey.stats) == {ours, other}
    assert survey.read_at[other] == source.table(CT_ANY4).taken_at
    first = survey.stats[other]
    for _ in range(3):
        now[0] += 400
        survey.beat(node(source), CT4, table)
    assert survey.stats[other] is not first


def test_what_comes_to_a_table_of_translations_and_leaves_it_is_counted_by_its_keys() -> None:
    survey, source, now = surveyed()
    row = source.rows[SNAT]
    numbers = np.arange(30 * row.info.key_size, dtype=np.uint32)
    keys = numbers.view(np.uint8).reshape(-1, row.info.key_size)
    source.clock = lambda: EPOCH + now[0]

    def look(first: int, last: int) -> None:
        source.headcounts[SNAT] = Headcount.of_keys(row.info, EPOCH, [keys[first:last]])
        for _ in range(4):
            survey.beat(node(source), None, None)
        now[0] += 10

    look(0, 20)
    assert row.key not in survey.turnovers
    look(5, 30)
    assert survey.turnovers[row.key] == Turnover(10, new=1.0, gone=0.5, evicted=None)
    source.rows[SNAT] = replace(row, info=replace(row.info, id=row.info.id + 1000))
    look(5, 30)
    assert row.key not in survey.turnovers, "it is another map"


def test_nothing_is_kept_of_maps_that_have_gone() -> None:
    survey, source, now = surveyed()
    for _ in range(4):
        survey.beat(node(source), None, None)
    assert set(survey._due) == {*survey.stats, str(SNAT)}
    assert set(survey.stats) == set(survey.read_at)
    source.rows.clear()
    now[0] += 400
    survey.beat(node(source), None, None)
    assert not survey._due
    assert not survey.stats
    assert not survey.read_at


def test_what_was_counted_in_a_map_is_not_said_of_its_successor() -> None:
    survey, source, _ = surveyed()
    row = source.rows[CT4]
    for _ in range(4):
        survey.beat(node(source), None, None)
    assert survey.stats[row.key].kinds.entries > 0
    source.rows[CT4] = replace(row, info=replace(row.info, id=row.info.id + 1000), entries=0)
    del source.tables[CT4]
    survey.beat(node(source), None, None)
    assert survey.stats.get(row.key) is None or not survey.stats[row.key].kinds.entries
    assert row.key not in survey.read_at or survey.stats[row.key].kinds.entries == 0


def test_who_uses_which_map_is_asked_soon_after_a_pin_has_changed() -> None:
    survey, source, now = surveyed()
    for _ in range(2):
        survey.beat(node(source), None, None)
    assert len(source.asked) == 1
    now[0] += 1.5
    survey.beat(node(source), None, None)
    assert len(source.asked) == 1
    row = source.rows[CT4]
    source.rows[CT4] = replace(row, info=replace(row.info, id=row.info.id + 1000))
    survey.beat(node(source), None, None)
    assert len(source.asked) == 2


def test_an_alarm_is_looked_into_again_until_it_is_over() -> None:
    survey, source, now = surveyed()
    row = source.rows[CT4]
    pinned = MapGeneration(row.info, pinned=True, users=(), why="pinned")
    source.uses = (MapUsage(Path(row.key), pinned, (), Level.ERROR, "Nobody uses it"),)
    for _ in range(2):
        survey.beat(node(source), None, None)
    source.uses = ()
    now[0] += 1.5
    survey.beat(node(source), None, None)
    assert not survey.usage
