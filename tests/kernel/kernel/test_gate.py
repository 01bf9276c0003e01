from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, DeniedError, FormatError, GoneError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.mapwrite import EXIST, NOEXIST
from ctconsole.kernel.syscall import Cmd, ElemAttr, bpf
from ctconsole.model.spec import MapSpec, MapType, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SPEC = MapSpec("cilium_lxc", MapType.HASH, 4, 8, 100)


def test_an_opened_map_cannot_be_written_past_the_gate(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, SPEC) as made:
        pins.pin(gate, made, bpffs / "m")
    with BpfMap.open(bpffs / "m") as live:
        cells = bytearray(16)
        base = np.frombuffer(cells, np.uint8).ctypes.data
        attr = ElemAttr(map_fd=live.fd, key=base, value=base + 8)
        with pytest.raises(DeniedError):
            bpf(Cmd.BPF_MAP_UPDATE_ELEM, attr, "m")
        mapwrite.update(gate, live, bytes(4), bytes(8))
        assert live.count() == 1


def test_update_flags_mean_what_the_kernel_means(gate: Gate) -> None:
    with mapwrite.create(gate, SPEC) as live:
        with pytest.raises(GoneError):
            mapwrite.update(gate, live, b"key1", b"12345678", EXIST)
        mapwrite.update(gate, live, b"key1", b"12345678", NOEXIST)
        with pytest.raises(BpfError, match="File exists"):
            mapwrite.update(gate, live, b"key1", b"87654321", NOEXIST)
        mapwrite.update(gate, live, b"key1", b"87654321")
        assert live.lookup(b"key1") == b"87654321"
        assert mapwrite.delete(gate, live, b"key1")
        assert not mapwrite.delete(gate, live, b"key1")


def test_sizes_are_checked_before_the_kernel_reads_memory(gate: Gate) -> None:
    with mapwrite.create(gate, SPEC) as live:
        with pytest.raises(FormatError, match="value"):
            mapwrite.update(gate, live, b"key1", b"short")
        with pytest.raises(FormatError, match="key"):
            mapwrite.delete(gate, live, b"too long")
        with pytest.raises(FormatError, match="5 bytes instead of 4"):
            mapwrite.delete_batch(gate, live, np.zeros((3, 5), np.uint8))
        with pytest.raises(FormatError, match="2 keys and 3 values"):
            mapwrite.update_batch(
                gate, live, np.zeros((2, 4), np.uint8), np.zeros((3, 8), np.uint8)
            )


def test_batches_write_everything_and_pass_over_missing_keys(gate: Gate) -> None:
    keys = np.arange(80, dtype="<u4")
    with mapwrite.create(gate, SPEC) as live:
        assert mapwrite.update_batch(gate, live, keys, np.arange(80, dtype="<u8")) == 80
        assert live.count() == 80
        wanted = np.arange(70, 100, dtype="<u4")
        assert mapwrite.delete_batch(gate, live, wanted) == 10
        assert live.count() == 70
        assert mapwrite.delete_batch(gate, live, keys[:0]) == 0


def test_a_full_map_says_how_far_the_batch_came(gate: Gate) -> None:
    keys = np.arange(200, dtype="<u4")
    with (
        mapwrite.create(gate, SPEC) as live,
        pytest.raises(BpfError, match="after 100 entries: Argument list too long"),
    ):
        mapwrite.update_batch(gate, live, keys, np.arange(200, dtype="<u8"))


def test_types_without_batch_writes_are_written_one_by_one(gate: Gate) -> None:
    keys = np.zeros((10, 8), np.uint8)
    keys[:, 0] = 32
    keys[:, 7] = np.arange(10)
    with mapwrite.create(gate, MapSpec("trie", MapType.LPM_TRIE, 8, 4, 32, flags=1)) as live:
        assert mapwrite.update_batch(gate, live, keys, keys[:, 4:]) == 10
        assert live.count() == 10
        assert mapwrite.delete_batch(gate, live, keys[:4]) == 4
    with mapwrite.create(gate, MapSpec("slots", MapType.PROG_ARRAY, 4, 4, 8)) as live:
        assert mapwrite.delete_batch(gate, live, np.arange(4, dtype="<u4")) == 0


def test_a_map_of_maps_takes_maps_like_its_inner_spec(gate: Gate) -> None:
    outer = MapSpec("cilium_lb4_maglev", MapType.HASH_OF_MAPS, 4, 4, 16, inner=SPEC)
    with mapwrite.create(gate, outer) as live, mapwrite.create(gate, SPEC) as inner:
        mapwrite.update(gate, live, b"key1", inner.fd.to_bytes(4, "little"))
        assert live.lookup(b"key1") == inner.info.id.to_bytes(4, "little")
    with pytest.raises(UsageError, match="cilium_lb4_maglev holds maps"):
        mapwrite.create(gate, MapSpec("cilium_lb4_maglev", MapType.HASH_OF_MAPS, 4, 4, 16))


def test_what_the_kernel_refuses_is_named(gate: Gate) -> None:
    with pytest.raises(BpfError, match=r"BPF_MAP_CREATE bad \(LRU_HASH, 0 entries\)"):
        mapwrite.create(gate, MapSpec("bad", MapType.LRU_HASH, 4, 4, 0))


def test_a_pinned_map_outlives_its_handle(gate: Gate, bpffs: Path) -> None:
    path = bpffs / "tc/globals/cilium_lxc"
    with mapwrite.create(gate, SPEC) as live:
        pins.pin(gate, live, path)
        assert live.info.pin == path
        number = live.info.id
    with BpfMap.open(path) as again:
        assert (again.info.id, again.info.pin) == (number, path)
        assert spec_of(again.info) == SPEC
    pins.unpin(gate, path)
    with pytest.raises(GoneError):
        pins.unpin(gate, path)
    with pytest.raises(GoneError):
        BpfMap.from_id(number)


def test_a_rename_over_a_pin_is_an_exchange(gate: Gate, bpffs: Path) -> None:
    old, pending = bpffs / "cilium_ct4_global", bpffs / "cilium_ct4_global-pending"
    with mapwrite.create(gate, SPEC) as first, mapwrite.create(gate, SPEC) as second:
        pins.pin(gate, first, old)
        pins.pin(gate, second, pending)
        pins.rename(gate, pending, old)
        with BpfMap.open(old) as now:
            assert now.info.id == second.info.id
        assert list(pinned_maps(bpffs)) == [old]
        assert not pending.exists()


def test_pins_refuse_a_taken_path_and_a_dot(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, SPEC) as live:
        pins.pin(gate, live, bpffs / "m")
        with pytest.raises(BpfError, match="File exists"):
            pins.pin(gate, live, bpffs / "m")
        with pytest.raises(UsageError, match="dots"):
            pins.pin(gate, live, bpffs / "a.b")


def test_ordinary_files_are_never_touched(gate: Gate, tmp_path: Path) -> None:
    plain = tmp_path / "precious"
    plain.touch()
    with mapwrite.create(gate, SPEC) as live, pytest.raises(UsageError, match="not on a bpffs"):
        pins.pin(gate, live, tmp_path / "m")
    attempts: tuple[Callable[[], None], ...] = (
        partial(pins.unpin, gate, plain),
        partial(pins.rename, gate, plain, tmp_path / "other"),
        partial(pins.make_folder, gate, tmp_path / "folder"),
        partial(pins.unmount_bpffs, gate, tmp_path),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match="not on a bpffs"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_bpffs_is_unmounted_also_under_somebody_s_feet(gate: Gate, tmp_path: Path) -> None:
    root = tmp_path / "bpf"
    pins.mount_bpffs(gate, root)
    watcher = os.open(root, os.O_RDONLY)
    try:
        pins.unmount_bpffs(gate, root)
        assert not root.is_mount()
    finally:
        os.close(watcher)
    with pytest.raises(UsageError):
        pins.unmount_bpffs(gate, root)
