from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.observe.sampler import Sampler
from ctconsole.observe.trends import COARSE, FINE, FORGOTTEN, Trends
from tests.support.fakes import CT4, EPOCH, FakeSource

if TYPE_CHECKING:
    from ctconsole.observe.source import NodeSnapshot

KEY = str(CT4)


def counted(entries: int, when: float) -> NodeSnapshot:
    source = FakeSource(clock=lambda: when)
    source.rows[CT4] = replace(source.rows[CT4], entries=entries)
    return source.maps()


def test_older_counts_are_kept_by_the_largest_of_each_minute() -> None:
    trends = Trends()
    for second in range(0, 2 * FINE, 2):
        trends.add(counted(1000 + (second == 20) * 50, EPOCH + second))
    for second in range(2 * FINE, 4 * FINE, 2):
        trends.add(counted(1000, EPOCH + second))
    kept = trends.until(EPOCH + 10_000)[KEY]
    assert (EPOCH + 20, 1050) in kept
    assert len(kept) <= FINE + 2 * FINE // 60 + 2
    assert list(kept) == sorted(kept)
    assert kept[0][0] < EPOCH + 60


def test_what_was_known_before_goes_in_front_and_is_never_told_twice() -> None:
    trends = Trends()
    trends.add(counted(30, EPOCH))
    trends.add(counted(40, EPOCH + 2))
    trends.take_past({KEY: ((EPOCH - 60, 10), (EPOCH, 30), (EPOCH + 3600, 99))})
    assert trends.until(EPOCH + 2)[KEY] == ((EPOCH - 60, 10), (EPOCH, 30), (EPOCH + 2, 40))


def test_a_map_that_is_gone_for_long_is_forgotten() -> None:
    trends = Trends()
    trends.add(counted(30, EPOCH))
    without = counted(30, EPOCH + FORGOTTEN + 1)
    trends.add(replace(without, rows=tuple(r for r in without.rows if r.key != KEY)))
    assert KEY not in trends.until(EPOCH + 10_000)
    assert COARSE > FINE


def test_a_sampler_learns_once_what_was_counted_before_it_began() -> None:
    source = FakeSource(past={KEY: ((EPOCH - 120, 7),)})
    sampler = Sampler(source, 3600, lambda _: None)
    assert len(sampler.sample().trends[KEY]) == 1
    sampler.learn_past()
    assert sampler.sample().trends[KEY][0] == (EPOCH - 120, 7)
    source.past = {}
    sampler.learn_past()
    assert sampler.sample().trends[KEY][0] == (EPOCH - 120, 7)
