"""What the kernel charges a map, and how many entries one takes, against what we say."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import mapwrite
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.maps import BpfMap, all_map_ids, all_programs
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.resize.journal import Journal
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side
from ctconsole.model.memory import map_memory, room, rounded_entries, smallest
from ctconsole.model.spec import MapFlag, MapSpec, MapType
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

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
    MapSpec("lru_each_small", MapType.LRU_PERCPU_HASH, 4, 4, 0),
    MapSpec("lru_each_spread", MapType.LRU_PERCPU_HASH, 20, 12, 0, MapFlag.NO_COMMON_LRU),
    MapSpec("spread_small", MapType.LRU_HASH, 4, 1, 0, MapFlag.NO_COMMON_LRU),
    MapSpec("spread_large", MapType.LRU_HASH, 38, 128, 0, MapFlag.NO_COMMON_LRU),
    MapSpec("lru_small", MapType.LRU_HASH, 5, 6, 0),
    MapSpec("lru_large", MapType.LRU_HASH, 64, 128, 0),
    MapSpec("hash_small", MapType.HASH, 1, 1, 0),
    MapSpec("hash_large", MapType.HASH, 64, 128, 0),
    MapSpec("each_small", MapType.PERCPU_HASH, 4, 1, 0),
    MapSpec("each_large", MapType.PERCPU_HASH, 38, 128, 0),
    MapSpec("array", MapType.ARRAY, 4, 20, 0),
    MapSpec("array_each", MapType.PERCPU_ARRAY, 4, 20, 0),
    MapSpec("array_mapped", MapType.ARRAY, 4, 20, 0, MapFlag.MMAPABLE),
]


@pytest.mark.parametrize("entries", [1, 100, 1000, 1024, 65536, 70001])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_memory_is_what_the_kernel_then_charges(gate: Gate, spec: MapSpec, entries: int) -> None:
    wish = replace(spec, max_entries=entries)
    with mapwrite.create(gate, wish) as live:
        assert live.info.memlock
        assert map_memory(wish, possible_cpus()) == pytest.approx(live.info.memlock, rel=0.02)
        assert rounded_entries(wish, entries, possible_cpus()) == live.info.max_entries


@pytest.mark.parametrize("kind", [MapType.HASH, MapType.PERCPU_HASH])
@pytest.mark.parametrize(("key", "value"), [(14, 56), (5, 6), (38, 128)])
def test_entries_allocated_one_by_one_are_charged_as_they_come(
    gate: Gate, kind: MapType, key: int, value: int
) -> None:
    spec = MapSpec("lazy", kind, key, value, 8192, MapFlag.NO_PREALLOC)
    with mapwrite.create(gate, spec) as live:
        empty = live.info.memlock
        keys = np.zeros((4000, key), np.uint8)
        keys[:, :4] = np.arange(4000, dtype="<u4").view(np.uint8).reshape(4000, 4)
        values = np.ones((4000, math.prod(live.value_shape)), np.uint8)
        mapwrite.update_batch(gate, live, keys, values)
        charged = live.refresh().memlock
    assert charged
    assert empty
    assert map_memory(spec, possible_cpus()) == pytest.approx(empty, rel=0.02)
    assert map_memory(spec, possible_cpus(), 4000) == pytest.approx(charged, rel=0.02)


@pytest.mark.parametrize(("key", "value"), [(8, 1), (12, 8), (24, 12), (24, 24)])
def test_a_trie_is_charged_by_its_prefixes(gate: Gate, key: int, value: int) -> None:
    spec = MapSpec("trie", MapType.LPM_TRIE, key, value, 8192, MapFlag.NO_PREALLOC)
    with mapwrite.create(gate, spec) as live:
        keys = np.zeros((1000, key), np.uint8)
        keys[:, 0] = (key - 4) * 8
        keys[:, 4:8] = np.arange(1000, dtype=">u4").view(np.uint8).reshape(1000, 4)
        mapwrite.update_batch(gate, live, keys, np.ones((1000, value), np.uint8))
        charged = live.refresh().memlock
    assert charged
    assert map_memory(spec, possible_cpus(), 1000) == pytest.approx(charged, rel=0.02)


@pytest.mark.parametrize(
    ("kind", "flags", "new_flags", "value"),
    [
        (MapType.LRU_HASH, 0, 0, 56),
        (MapType.LRU_HASH, 0, MapFlag.NO_COMMON_LRU, 56),
        (MapType.LRU_HASH, MapFlag.NO_COMMON_LRU, 0, 24),
        (MapType.HASH, 0, 0, 12),
        (MapType.HASH, MapFlag.NO_PREALLOC, MapFlag.NO_PREALLOC, 8),
    ],
)
@pytest.mark.parametrize(("entries", "new_entries"), [(5000, 70_000), (200_000, 65_536)])
def test_a_plan_tells_all_that_is_charged_while_a_resize_runs(  # noqa: PLR0917 - a table's row
    gate: Gate,
    bpffs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: MapType,
    flags: int,
    new_flags: int,
    value: int,
    entries: int,
    new_entries: int,
) -> None:
    """Both maps, and what the passes keep: 4 bytes for each node of the old one among it."""
    pin = bpffs / "table"
    spec = MapSpec("table", kind, 14, value, entries, flags)
    with open_or_create_map(gate, pin, spec).map as live:
        keys, _ = ct4_rows(3000, lifetime=1)
        mapwrite.update_batch(gate, live, keys, np.ones((3000, value), np.uint8))
    plan = plan_resize({pin: MapWish(new_entries, new_flags)})
    before = set(all_map_ids())
    charged: list[int] = []
    seed = Side.seed

    def look(side: Side) -> None:
        seed(side)
        mine = {
            number for one in all_programs() if one.id in side.program_ids for number in one.map_ids
        }
        # Others make maps at the same time.
        for number in {side.new.info.id, *mine} - before:
            with BpfMap.from_id(number) as made:
                charged.append(made.info.memlock or 0)

    monkeypatch.setattr(Side, "seed", look)
    resize(gate, plan, None, Journal(tmp_path / "journal")).check()
    memory = plan.memory
    assert memory.new + memory.passes == pytest.approx(sum(charged), rel=0.02)
    assert memory.most == memory.old + memory.new + memory.passes


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
