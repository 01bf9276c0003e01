"""A resize where a map is full, nearly full, oddly sized, very large, or changes all the time."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.memory import LRU_BATCH, room
from ctconsole.model.spec import MapFlag, MapSpec, MapType
from tests.support.churner import Churner, compiled
from tests.support.ct_entries import ct4_rows
from tests.support.resized import entries_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Journal
    from ctconsole.manager.resize.report import ResizeReport

COMMON, DISTRIBUTED = 0, int(MapFlag.NO_COMMON_LRU)

SIZES = [
    (896, COMMON, COMMON),
    (897, COMMON, COMMON),
    (897, COMMON, DISTRIBUTED),
    (1000, COMMON, COMMON),
    (1000, DISTRIBUTED, COMMON),
    (1024, COMMON, COMMON),
    (1024, COMMON, DISTRIBUTED),
    (1024, DISTRIBUTED, COMMON),
    (1024, DISTRIBUTED, DISTRIBUTED),
    (1151, COMMON, COMMON),
    (5001, COMMON, COMMON),
    (5001, DISTRIBUTED, COMMON),
    (65536, COMMON, COMMON),
]
"""Capacities about which the free lists of an LRU map behave differently, and changes of flags."""


@pytest.fixture
def pin(bpffs: Path) -> Path:
    return bpffs / "cilium_ct4_global"


def spec(entries: int, flags: int) -> MapSpec:
    return MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, entries, flags)


@contextmanager
def on_each_cpu() -> Iterator[list[int]]:
    """The CPUs; afterwards this thread runs where it may have run before."""
    before = os.sched_getaffinity(0)
    try:
        yield sorted(before)
    finally:
        os.sched_setaffinity(0, before)


def filled(gate: Gate, pin: Path, table: MapSpec, entries: int) -> None:
    """A pinned table into which so many entries were put, each CPU its share of them."""
    with open_or_create_map(gate, pin, table).map as live, on_each_cpu() as cpus:
        for share, cpu in enumerate(cpus):
            os.sched_setaffinity(0, {cpu})
            number = len(range(share, entries, len(cpus)))
            rows = ct4_rows(number, lifetime=ktime() + 1000, first=share * entries)
            mapwrite.update_batch(gate, live, *rows)


def resized(gate: Gate, pin: Path, journal: Journal, wish: MapWish) -> ResizeReport:
    report = resize(gate, plan_resize({pin: wish}), None, journal)
    report.check()
    return report


@pytest.mark.parametrize("change", SIZES)
def test_a_full_map_keeps_all_it_holds(
    gate: Gate, pin: Path, journal: Journal, change: tuple[int, int, int]
) -> None:
    entries, flags, new_flags = change
    filled(gate, pin, spec(entries, flags), entries + 500)
    before = entries_at(pin)
    assert len(before) > entries * 3 // 4
    report = resized(gate, pin, journal, MapWish(2 * entries + 1024, new_flags))
    assert entries_at(pin) == before
    assert (report.maps[0].carried, report.maps[0].dropped) == (len(before), 0)
    with BpfMap.open(pin) as live:
        assert live.info.flags == new_flags


@pytest.mark.parametrize("change", SIZES)
def test_a_small_map_takes_all_that_is_said_to_fit_and_no_more(
    gate: Gate, pin: Path, journal: Journal, change: tuple[int, int, int]
) -> None:
    entries, flags, new_flags = change
    if entries < 1024:
        # Cilium's tables are no smaller.
        pin = pin.with_name("other")
    space = room(spec(entries, new_flags), possible_cpus())
    fit = max(n for n in range(space) if n + max(LRU_BATCH, n // 16) <= space)
    filled(gate, pin, spec(4 * entries, flags), fit + 1)
    assert plan_resize({pin: MapWish(entries, new_flags)}).maps[0].dropped == {"alive": 1}
    with BpfMap.open(pin) as live:
        mapwrite.delete(gate, live, next(iter(entries_at(pin))))
    before = entries_at(pin)
    report = resized(gate, pin, journal, MapWish(entries, new_flags))
    assert entries_at(pin) == before
    assert report.maps[0].dropped == 0


@pytest.mark.parametrize("new_flags", [COMMON, DISTRIBUTED])
def test_a_map_with_127_free_nodes_keeps_all_it_holds(
    gate: Gate, pin: Path, journal: Journal, new_flags: int
) -> None:
    with open_or_create_map(gate, pin, spec(1024, COMMON)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(896, lifetime=ktime() + 1000))
        mapwrite.update_batch(gate, live, *ct4_rows(1, lifetime=ktime() + 1000, first=5000))
        assert live.count() == 897
    before = entries_at(pin)
    resized(gate, pin, journal, MapWish(2048, new_flags))
    assert entries_at(pin) == before


def test_of_a_full_map_that_shrinks_the_living_stay(
    gate: Gate, pin: Path, journal: Journal
) -> None:
    with open_or_create_map(gate, pin, spec(4096, COMMON)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3096, lifetime=1, first=10_000))
        living = ct4_rows(700, lifetime=ktime() + 1000)
        mapwrite.update_batch(gate, live, *living)
    report = resized(gate, pin, journal, MapWish(1280))
    assert {key.tobytes() for key in living[0]} <= set(entries_at(pin))
    assert report.maps[0].dropped > 0


def test_a_million_entries_and_one_hundred(gate: Gate, bpffs: Path, journal: Journal) -> None:
    """More than what an iterator over a map's elements hands out at once."""
    pin = bpffs / "other"
    filled(gate, pin, spec(1_179_648, COMMON), 1_000_100)
    before = digest(pin)
    report = resized(gate, pin, journal, MapWish(1_114_112))
    assert before[0] == report.maps[0].carried == 1_000_100
    assert digest(pin) == before


def digest(pin: Path) -> tuple[int, int]:
    """How many entries there are, and a sum over all they hold whatever their order."""
    with BpfMap.open(pin) as live:
        dump = live.read()
    rows = np.zeros((len(dump.keys), 72), np.uint8)
    rows[:, :14], rows[:, 14:70] = dump.keys, dump.values
    weights = np.arange(3, 21, 2, dtype=np.uint64) ** 13
    mixed = (rows.view(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
    return len(rows), int((mixed * (mixed >> np.uint64(29))).sum(dtype=np.uint64))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled churner."""
    return compiled(tmp_path_factory.mktemp("churn"))


@pytest.mark.parametrize(
    "change",
    [
        (16384, COMMON, 32768, COMMON),
        (16384, COMMON, 8192, COMMON),
        (16384, COMMON, 16384, DISTRIBUTED),
        (16384, DISTRIBUTED, 16384, COMMON),
    ],
)
def test_nothing_that_lives_is_lost_where_others_come_and_go(
    gate: Gate, pin: Path, journal: Journal, program: Path, change: tuple[int, int, int, int]
) -> None:
    entries, flags, new_entries, new_flags = change
    steady = 5000
    with open_or_create_map(gate, pin, spec(entries, flags)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(steady, lifetime=ktime() + 1000))
    with Churner(gate, program, pin, steady, fleeting=1000) as churner:
        plan = plan_resize({pin: MapWish(new_entries, new_flags)})
        report = resize(gate, plan, churner, journal)
        churner.end()
        report.check()
        print(f"{churner.rate:,.0f} changes a second")
        after = entries_at(pin)
    keys = [key.tobytes() for key in ct4_rows(steady, lifetime=0)[0]]
    assert churner.missing == 0
    assert set(keys) <= set(after)
    stayed = np.frombuffer(b"".join(after[key] for key in keys), value_dtype(Layout.V1_9))
    assert int(stayed["rx_packets"].sum()) == 3 * steady + churner.counted
    assert churner.changes > 0
    assert report.maps[0].dropped == 0
