"""A full table stays full while its count goes up and down a little below the maximum."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import PurePath

import pytest

from ctconsole.model.event import EventKind, Level
from ctconsole.model.fullness import FullWatch, Thresholds, fullness
from ctconsole.model.memory import is_full
from ctconsole.model.spec import MapInfo, MapType

NAME = "cilium_ct4_global"
LRU = MapInfo(7, NAME, MapType.LRU_HASH, 14, 56, 524_288, pin=PurePath("/bpf", NAME))
HASH = replace(LRU, type=MapType.HASH)
CPUS = 2
NOON = 1_785_582_000.0


@pytest.mark.parametrize(
    ("info", "entries", "full"),
    [
        (LRU, 524_031, False),
        (LRU, 524_032, True),
        (LRU, 524_200, True),
        (HASH, 524_287, False),
        (HASH, 524_288, True),
        (replace(LRU, max_entries=0), 100, False),
    ],
)
def test_an_lru_table_is_full_while_its_cpus_hold_free_nodes(
    info: MapInfo,
    entries: int,
    full: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert is_full(info, entries, CPUS) == full


def test_since_when_is_the_first_count_of_those_that_were_full_without_a_break() -> None:
    counts = (524_100, 480_000, 524_040, 524_200, 524_190, 524_201)
    trend = tuple((NOON + 60 * n, count) for n, count in enumerate(counts))
    found = fullness(LRU, trend, CPUS, evicted=320.4)
    assert found
    assert (found.since, found.or_before) == (NOON + 120, False)
    clock = time.strftime("%H:%M", time.localtime(NOON + 120))
    assert found.text == f"FULL: evicting about 320/s, live ones too, since {clock}"


def test_a_table_full_at_its_oldest_count_may_have_been_so_before() -> None:
    found = fullness(LRU, ((NOON, 524_200), (NOON + 60, 524_100)), CPUS)
    assert found
    clock = time.strftime("%H:%M", time.localtime(NOON))
    assert found.since_text == f"since {clock} or before"
    assert found.what == "evicts, live ones too"


def test_of_one_moment_nothing_is_said_of_since_when() -> None:
    found = fullness(HASH, ((0.0, 524_288),), 0)
    assert found
    assert found.text == "FULL: refuses new entries"
    assert fullness(HASH, (), CPUS) is None
    assert fullness(HASH, ((0.0, 5),), CPUS) is None


def test_nothing_thrown_out_is_said_as_such() -> None:
    found = fullness(LRU, ((NOON, 524_200),), CPUS, evicted=0.2)
    assert found
    assert found.what == "nothing thrown out just now"


def test_a_table_that_becomes_full_is_told_once_and_so_is_its_end() -> None:
    watch = FullWatch()
    assert not watch.look(NOON, [(LRU, 500_000)], CPUS)
    [event] = watch.look(NOON + 5, [(LRU, 524_100)], CPUS)
    assert (event.kind, event.level, event.subject) == (
        EventKind.MAP_FULL,
        Level.ERROR,
        str(LRU.pin),
    )
    assert "524,100 of 524,288" in event.message
    assert not watch.look(NOON + 10, [(LRU, 524_200)], CPUS)
    [ended] = watch.look(NOON + 65, [(LRU, 400_000)], CPUS)
    assert ended.level is Level.INFO
    assert "is not full any more" in ended.message
    assert "it was for 1m" in ended.message


def test_what_was_told_before_is_not_told_again_of_the_same_map() -> None:
    told = FullWatch().look(NOON, [(LRU, 524_100)], CPUS)
    assert not FullWatch(told).look(NOON + 60, [(LRU, 524_150)], CPUS)
    other = replace(LRU, id=8)
    assert len(FullWatch(told).look(NOON + 60, [(other, 524_150)], CPUS)) == 1
    ended = FullWatch(told).look(NOON + 60, [(LRU, 5)], CPUS)
    assert len(FullWatch((*told, *ended)).look(NOON + 90, [(LRU, 524_150)], CPUS)) == 1


def test_a_table_with_thresholds_of_its_own_tells_when_it_passes_the_upper_one() -> None:
    other = replace(LRU, id=8, name="cilium_ct_any4_global", pin=PurePath("/bpf/any4"))
    watch = FullWatch((), Thresholds(own={"ct4": (0.5, 0.7)}))

    def look(entries: int) -> list[tuple[Level, str]]:
        events = watch.look(NOON, [(LRU, entries), (other, entries)], CPUS)
        return [(event.level, event.message) for event in events]

    assert look(300_000) == []
    assert look(400_000) == [
        (Level.WARNING, "cilium_ct4_global reached the 70% settled for it, 76% full")
    ]
    assert look(410_000) == []
    assert look(300_000) == [
        (Level.INFO, "cilium_ct4_global is below the 70% settled for it, 57% full")
    ]


@pytest.mark.parametrize("word", ["cilium_ct4_global", "ct4", "ct4_global"])
def test_a_map_is_held_against_thresholds_by_each_of_its_names(word: str) -> None:
    thresholds = Thresholds(own={word: (0.2, 0.3)})
    assert thresholds.level(NAME, 0.25) is Level.WARNING
    assert thresholds.level(NAME, 0.3) is Level.ERROR
    assert thresholds.level("cilium_ct6_global", 0.3) is Level.INFO
