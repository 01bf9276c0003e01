"""What the kernel charges a map, and how many entries one takes, against what we say."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.model.memory import map_memory, room, rounded_entries, smallest
from ctconsole.model.spec import MapFlag, MapSpec, MapType
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

SPECS = [
    MapSpec("lru4", MapType.LRU_HASH, 14, 56, 0),
    MapSpec("lru6", MapType.LRU_HASH, 38, 56, 0),
    MapSpec("spread", MapType.LRU_HASH, 14, 56, 0, MapFlag.NO_COMMON_LRU),
    MapSpec("nat6", MapType.LRU_HASH, 38, 40, 0),
    MapSpec("hash", MapType.HASH, 20, 12, 0),
    MapSpec("lazy", MapType.HASH, 20, 12, 0, MapFlag.NO_PREALLOC),
    MapSpec("each", MapType.PERCPU_HASH, 8, 12, 0),
    MapSpec("lazy_each", MapType.PERCPU_HASH, 8, 12, 0, MapFlag.NO_PREALLOC),
    MapSpec("lru_each", MapType.LRU_PERCPU_HASH, 14, 56, 0),
    MapSpec("array", MapType.ARRAY, 4, 20, 0),
    MapSpec("array_each", MapType.PERCPU_ARRAY, 4, 20, 0),
]


@pytest.mark.parametrize("entries", [1000, 1024, 65536, 70001])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_memory_is_what_the_kernel_then_charges(gate: Gate, spec: MapSpec, entries: int) -> None:
    wish = replace(spec, max_entries=entries)
    with mapwrite.create(gate, wish) as live:
        assert live.info.memlock
        assert map_memory(wish, possible_cpus()) == pytest.approx(live.info.memlock, rel=0.02)
        assert rounded_entries(wish, entries, possible_cpus()) == live.info.max_entries


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.PERCPU_HASH])
def test_entries_allocated_one_by_one_are_charged_as_they_come(gate: Gate, kind: MapType) -> None:
    spec = MapSpec("lazy", kind, 14, 56, 8192, MapFlag.NO_PREALLOC)
    with mapwrite.create(gate, spec) as live:
        keys, values = ct4_rows(4000, lifetime=1)
        shape = live.value_shape
        for key, value in zip(keys, values, strict=True):
            whole = value.tobytes() * (shape[0] if len(shape) > 1 else 1)
            mapwrite.update(gate, live, key.tobytes(), whole)
        charged = live.refresh().memlock
    assert charged
    assert map_memory(spec, possible_cpus(), 4000) == pytest.approx(charged, rel=0.02)


@pytest.mark.parametrize("entries", [896, 897, 1000, 1024, 4000, 60_000, 65_536])
def test_a_table_takes_what_it_has_room_for_from_any_cpu(gate: Gate, entries: int) -> None:
    spec = MapSpec("table", MapType.LRU_HASH, 14, 56, entries)
    fits = room(spec, possible_cpus())
    cpus = sorted(os.sched_getaffinity(0))
    with mapwrite.create(gate, spec) as live:
        keys, values = ct4_rows(fits, lifetime=1)
        try:
            for number in range(0, fits, 100):
                os.sched_setaffinity(0, {cpus[number // 100 % len(cpus)]})
                rows = slice(number, number + 100)
                mapwrite.update_batch(gate, live, keys[rows], values[rows])
        finally:
            os.sched_setaffinity(0, cpus)
        assert live.count() == fits


@pytest.mark.parametrize("flags", [0, MapFlag.NO_COMMON_LRU])
@pytest.mark.parametrize("entries", [1, 100, 896, 5000, 123_456])
def test_the_smallest_size_has_room_and_the_next_smaller_one_has_not(
    entries: int, flags: int
) -> None:
    cpus = 2
    spec = MapSpec("table", MapType.LRU_HASH, 14, 56, 1, flags)
    found = smallest(spec, entries, cpus)
    assert found % 128 == 0
    assert room(replace(spec, max_entries=found), cpus) >= entries
    assert room(replace(spec, max_entries=found - 128 * cpus), cpus) < entries
