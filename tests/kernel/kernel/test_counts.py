from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import DatapathError, MissingFeatureError
from ctconsole.kernel import counts, mapwrite
from ctconsole.kernel.counts import ElementCounter, count_maps, open_counter
from ctconsole.kernel.libbpf import BpfObject, version
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import iterator_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture(scope="module")
def counter() -> Iterator[ElementCounter]:
    with ElementCounter() as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (MapType.HASH, 0),
        (MapType.HASH, 1),
        (MapType.LRU_HASH, 0),
        (MapType.LRU_HASH, 2),
        (MapType.PERCPU_HASH, 0),
        (MapType.LRU_PERCPU_HASH, 0),
    ],
)
def test_the_kernels_count_is_exact(
    gate: Gate, counter: ElementCounter, kind: MapType, flags: int
) -> None:
    with mapwrite.create(gate, MapSpec("counted", kind, 4, 8, 1000, flags)) as live:
        assert counter.counts()[live.info.id] == 0
        keys = np.arange(300, dtype="<u4")
        mapwrite.update_batch(gate, live, keys, np.zeros((300, *live.value_shape), np.uint8))
        assert counter.counts()[live.info.id] == 300 == live.count()
        mapwrite.update_batch(gate, live, keys, np.ones((300, *live.value_shape), np.uint8))
        mapwrite.delete_batch(gate, live, keys[:120])
        assert counter.counts()[live.info.id] == 180 == live.count()


def test_evictions_of_a_full_lru_are_counted(gate: Gate, counter: ElementCounter) -> None:
    with mapwrite.create(gate, MapSpec("lru", MapType.LRU_HASH, 4, 8, 1000)) as live:
        keys = np.arange(5000, dtype="<u4")
        mapwrite.update_batch(gate, live, keys, np.zeros(5000, "<u8"))
        assert counter.counts()[live.info.id] == live.count() <= 1000


def test_a_record_tells_what_the_map_is(gate: Gate, counter: ElementCounter) -> None:
    with mapwrite.create(
        gate, MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 2048, 2)
    ) as live:
        records = counter.records()
        record = records[records["id"] == live.info.id][0]
        assert record["name"].decode() == live.info.name
        assert [int(record[field]) for field in ("type", "key_size", "value_size", "flags")] == [
            MapType.LRU_HASH,
            14,
            56,
            2,
        ]
        assert record["max_entries"] == 2048


def test_what_the_kernel_does_not_count_is_walked_or_left_out(
    gate: Gate, counter: ElementCounter
) -> None:
    with (
        mapwrite.create(gate, MapSpec("array", MapType.ARRAY, 4, 8, 10)) as array,
        mapwrite.create(gate, MapSpec("hash", MapType.HASH, 4, 8, 10)) as table,
        mapwrite.create(gate, MapSpec("events", MapType.PERF_EVENT_ARRAY, 4, 4, 2)) as events,
    ):
        mapwrite.update(gate, table, b"key1", bytes(8))
        assert array.info.id not in counter.counts()
        maps = [array.info, table.info, events.info]
        found = count_maps(maps, counter)
        assert {number: (item.entries, item.walked) for number, item in found.items()} == {
            array.info.id: (10, True),
            table.info.id: (1, False),
        }
        assert list(count_maps(maps, counter, walk=False)) == [table.info.id]
        assert count_maps(maps, None)[table.info.id].walked


def test_all_maps_of_the_machine_are_read_when_they_exceed_one_buffer(
    gate: Gate, counter: ElementCounter
) -> None:
    spec = MapSpec("many", MapType.HASH, 4, 4, 1)
    maps = [mapwrite.create(gate, spec) for _ in range(400)]
    try:
        assert {live.info.id for live in maps} <= set(counter.counts())
    finally:
        for live in maps:
            live.close()


def test_a_missing_object_comes_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "iterator_objects", lambda: tmp_path)
    with pytest.raises(MissingFeatureError, match="make setup"):
        ElementCounter()
    assert open_counter() is None


def test_an_object_of_other_sources_is_refused_with_a_sentence(gate: Gate) -> None:
    with (
        mapwrite.create(gate, MapSpec("any", MapType.HASH, 4, 4, 8)) as live,
        pytest.raises(DatapathError, match="built from other sources"),
    ):
        BpfObject(iterator_objects() / counts.OBJECT, maps={"no_such_map": live.fd})


def test_what_libbpf_prints_becomes_the_log_of_the_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.bpf.o"
    broken.write_bytes((iterator_objects() / counts.OBJECT).read_bytes()[:300])
    with pytest.raises(DatapathError) as caught:
        BpfObject(broken)
    assert "libbpf" in caught.value.log
    assert capfd.readouterr() == ("", "")
    with (
        BpfObject(iterator_objects() / counts.OBJECT) as loaded,
        pytest.raises(DatapathError, match="no_such"),
    ):
        loaded.attach_iterator("no_such")
    assert version().startswith("v1.")


def test_a_kernel_that_refuses_the_iterator_has_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_object: BpfObject, program: str) -> None:
        raise DatapathError(f"The iterator {program} does not attach")

    monkeypatch.setattr(BpfObject, "attach_iterator", refuse)
    assert open_counter() is None
