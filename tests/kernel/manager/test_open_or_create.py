"""Each rule of the map manager on real maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import ManagedMap, Opened, open_or_create_map
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapFlag, MapSpec, MapType

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event

CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 2048)
CALLS = MapSpec("cilium_call_policy", MapType.PROG_ARRAY, 4, 4, 8)
REMOVING = "Removing map to allow for property upgrade (expect map data loss)"


def opened(gate: Gate, path: Path, spec: MapSpec) -> Opened:
    result = open_or_create_map(gate, path, spec)
    result.map.close()
    return result


def messages(events: tuple[Event, ...]) -> list[str]:
    return [event.message for event in events if event.level is not Level.DEBUG]


def test_missing_pin_is_created_with_the_folders_above_it(gate: Gate, bpffs: Path) -> None:
    path = bpffs / "tc" / "globals" / "cilium_ct4_global"
    result = opened(gate, path, CT4)
    assert result.is_new
    assert [event.kind for event in result.events] == [EventKind.MAP_CREATED]
    with BpfMap.open(path) as live:
        assert live.info.id == result.map.info.id
        assert (live.info.type, live.info.max_entries) == (MapType.LRU_HASH, 2048)


def test_same_properties_keep_the_map_and_its_entries(gate: Gate, bpffs: Path) -> None:
    path = bpffs / "ct"
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update(gate, live, bytes(14), bytes(56))
    again = open_or_create_map(gate, path, CT4)
    with again.map as live:
        assert not again.is_new
        assert messages(again.events) == []
        assert live.lookup(bytes(14)) == bytes(56)


@pytest.mark.parametrize(
    ("changed", "line", "old", "new"),
    [
        ({"type": MapType.HASH}, "Map type", "LRU_HASH", "HASH"),
        ({"key_size": 38}, "Key-size", 14, 38),
        ({"value_size": 48}, "Value-size", 56, 48),
        ({"max_entries": 4096}, "Max entries", 2048, 4096),
        ({"flags": MapFlag.NO_COMMON_LRU}, "Flags", 0, 2),
    ],
)
def test_each_property_that_differs_is_logged_and_the_map_made_again(  # noqa: PLR0917 - a table of cases
    gate: Gate,
    bpffs: Path,
    changed: dict[str, int],
    line: str,
    old: int | str,
    new: int | str,
) -> None:
    path = bpffs / "cilium_ct4_global"
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update(gate, live, bytes(14), bytes(56))
    result = opened(gate, path, replace(CT4, **changed))  # type: ignore[arg-type]  # fields by name
    mismatch, removed, recreated = result.events
    assert result.is_new
    assert mismatch.message == f"{line} mismatch for BPF map"
    assert dict(mismatch.fields) == {"file-path": str(path), "new": new, "old": old}
    assert (removed.message, dict(removed.fields)) == (REMOVING, {"file-path": str(path)})
    assert mismatch.level is removed.level is Level.WARNING
    assert recreated.fields["old_id"] == live.info.id
    assert recreated.fields["new_id"] == result.map.info.id
    assert recreated.fields["lost"] == 1
    with BpfMap.open(path) as pinned:
        assert pinned.count() == 0


def test_every_difference_is_logged_not_only_the_first(gate: Gate, bpffs: Path) -> None:
    opened(gate, bpffs / "ct", CT4)
    result = opened(gate, bpffs / "ct", replace(CT4, value_size=64, max_entries=1024))
    assert messages(result.events)[:3] == [
        "Value-size mismatch for BPF map",
        "Max entries mismatch for BPF map",
        REMOVING,
    ]


def test_old_map_lives_on_for_whoever_holds_it(gate: Gate, bpffs: Path) -> None:
    with open_or_create_map(gate, bpffs / "ct", CT4).map as old:
        mapwrite.update(gate, old, bytes(14), bytes(56))
        new = opened(gate, bpffs / "ct", replace(CT4, max_entries=1024))
        assert new.map.info.id != old.info.id
        assert old.lookup(bytes(14)) == bytes(56)


def test_program_array_that_differs_is_reported_and_left_alone(gate: Gate, bpffs: Path) -> None:
    first = opened(gate, bpffs / "calls", CALLS)
    again = opened(gate, bpffs / "calls", replace(CALLS, max_entries=16))
    assert not again.is_new
    assert messages(again.events) == ["Max entries mismatch for BPF map"]
    with BpfMap.open(bpffs / "calls") as live:
        assert (live.info.id, live.info.max_entries) == (first.map.info.id, 8)


def test_non_persistent_map_is_always_made_anew(gate: Gate, bpffs: Path) -> None:
    managed = ManagedMap(
        MapSpec("cilium_tunnel_map", MapType.HASH, 20, 20, 16), bpffs / "t", non_persistent=True
    )
    first, second = managed.create(gate), managed.create(gate)
    assert first.is_new
    assert second.is_new
    assert first.info.id != second.info.id
    assert [event.kind for event in second.events] == [
        EventKind.MAP_REMOVED,
        EventKind.MAP_CREATED,
    ]


@pytest.mark.parametrize(
    ("kind", "key", "with_option", "without"),
    [
        (MapType.HASH, 4, 0, 1),
        (MapType.PERCPU_HASH, 4, 0, 1),
        (MapType.LRU_HASH, 4, 0, 0),
        (MapType.ARRAY, 4, 0, 0),
        (MapType.LPM_TRIE, 8, 1, 1),
    ],
)
def test_preallocation_follows_option_and_type(  # noqa: PLR0917 - a table of cases
    gate: Gate, bpffs: Path, kind: MapType, key: int, with_option: int, without: int
) -> None:
    spec = MapSpec("map", kind, key, 8, 16)
    for preallocate, flags in ((True, with_option), (False, without)):
        info = ManagedMap(spec, bpffs / "map", preallocate=preallocate).create(gate).info
        assert info.flags == flags


MAGLEV = MapSpec(
    "cilium_lb4_maglev",
    MapType.HASH_OF_MAPS,
    2,
    4,
    16,
    inner=MapSpec("inner", MapType.ARRAY, 4, 2 * 251, 1),
)
LARGER = replace(MAGLEV, inner=MapSpec("inner", MapType.ARRAY, 4, 2 * 509, 1))


@pytest.mark.parametrize("filled", [False, True])
def test_map_of_maps_is_made_again_only_when_its_inner_maps_differ(
    gate: Gate, bpffs: Path, *, filled: bool
) -> None:
    path = bpffs / "maglev"
    assert MAGLEV.inner
    with open_or_create_map(gate, path, MAGLEV).map as live:
        if filled:
            with mapwrite.create(gate, MAGLEV.inner) as inner:
                mapwrite.update(gate, live, b"\1\0", inner.fd.to_bytes(4, "little"))
    assert not opened(gate, path, MAGLEV).is_new
    result = opened(gate, path, LARGER)
    assert result.is_new
    assert result.events[0].message.startswith("Inner map")
    assert not opened(gate, path, LARGER).is_new


def test_properties_the_kernel_refuses_are_one_sentence(gate: Gate, bpffs: Path) -> None:
    with pytest.raises(BpfError, match=r"BPF_MAP_CREATE huge \(HASH"):
        open_or_create_map(gate, bpffs / "huge", MapSpec("huge", MapType.HASH, 0, 8, 16))
    assert not (bpffs / "huge").exists()
