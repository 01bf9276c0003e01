from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, DeniedError, FormatError, NoSuchMapError, UsageError
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.gate import EXIST, NOEXIST, Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.syscall import Cmd, ElemAttr, bpf
from ctconsole.model.spec import MapSpec, MapType, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = MapSpec("cilium_lxc", MapType.HASH, 4, 8, 100)


def test_a_read_only_session_has_no_gate() -> None:
    assert Gate.open(read_only=True) is None


def test_an_opened_map_cannot_be_written_past_the_gate(gate: Gate, bpffs: Path) -> None:
    with gate.create_map(SPEC) as made:
        gate.pin(made, bpffs / "m")
    with BpfMap.open(bpffs / "m") as live:
        cells = bytearray(16)
        base = np.frombuffer(cells, np.uint8).ctypes.data
        attr = ElemAttr(map_fd=live.fd, key=base, value=base + 8)
        with pytest.raises(DeniedError):
            bpf(Cmd.BPF_MAP_UPDATE_ELEM, attr, "m")
        gate.update(live, bytes(4), bytes(8))
        assert live.count() == 1


def test_update_flags_mean_what_the_kernel_means(gate: Gate) -> None:
    with gate.create_map(SPEC) as live:
        with pytest.raises(NoSuchMapError):
            gate.update(live, b"key1", b"12345678", EXIST)
        gate.update(live, b"key1", b"12345678", NOEXIST)
        with pytest.raises(BpfError, match="File exists"):
            gate.update(live, b"key1", b"87654321", NOEXIST)
        gate.update(live, b"key1", b"87654321")
        assert live.lookup(b"key1") == b"87654321"
        assert gate.delete(live, b"key1")
        assert not gate.delete(live, b"key1")


def test_sizes_are_checked_before_the_kernel_reads_memory(gate: Gate) -> None:
    with gate.create_map(SPEC) as live:
        with pytest.raises(FormatError, match="value"):
            gate.update(live, b"key1", b"short")
        with pytest.raises(FormatError, match="key"):
            gate.delete(live, b"too long")
        with pytest.raises(FormatError, match="5 bytes instead of 4"):
            gate.delete_batch(live, np.zeros((3, 5), np.uint8))
        with pytest.raises(FormatError, match="2 keys and 3 values"):
            gate.update_batch(live, np.zeros((2, 4), np.uint8), np.zeros((3, 8), np.uint8))


def test_batches_write_everything_and_pass_over_missing_keys(gate: Gate) -> None:
    keys = np.arange(80, dtype="<u4")
    with gate.create_map(SPEC) as live:
        assert gate.update_batch(live, keys, np.arange(80, dtype="<u8")) == 80
        assert live.count() == 80
        wanted = np.arange(70, 100, dtype="<u4")
        assert gate.delete_batch(live, wanted) == 10
        assert live.count() == 70
        assert gate.delete_batch(live, keys[:0]) == 0


def test_a_full_map_says_how_far_the_batch_came(gate: Gate) -> None:
    keys = np.arange(200, dtype="<u4")
    with (
        gate.create_map(SPEC) as live,
        pytest.raises(BpfError, match="after 100 entries: Argument list too long"),
    ):
        gate.update_batch(live, keys, np.arange(200, dtype="<u8"))


def test_types_without_batch_writes_are_written_one_by_one(gate: Gate) -> None:
    keys = np.zeros((10, 8), np.uint8)
    keys[:, 0] = 32
    keys[:, 7] = np.arange(10)
    with gate.create_map(MapSpec("trie", MapType.LPM_TRIE, 8, 4, 32, flags=1)) as live:
        assert gate.update_batch(live, keys, keys[:, 4:]) == 10
        assert live.count() == 10
        assert gate.delete_batch(live, keys[:4]) == 4
    with gate.create_map(MapSpec("slots", MapType.PROG_ARRAY, 4, 4, 8)) as live:
        assert gate.delete_batch(live, np.arange(4, dtype="<u4")) == 0


def test_a_map_of_maps_takes_maps_like_its_inner_spec(gate: Gate) -> None:
    outer = MapSpec("cilium_lb4_maglev", MapType.HASH_OF_MAPS, 4, 4, 16, inner=SPEC)
    with gate.create_map(outer) as live, gate.create_map(SPEC) as inner:
        gate.update(live, b"key1", inner.fd.to_bytes(4, "little"))
        assert live.lookup(b"key1") == inner.info.id.to_bytes(4, "little")
    with pytest.raises(UsageError, match="cilium_lb4_maglev holds maps"):
        gate.create_map(MapSpec("cilium_lb4_maglev", MapType.HASH_OF_MAPS, 4, 4, 16))


def test_what_the_kernel_refuses_is_named(gate: Gate) -> None:
    with pytest.raises(BpfError, match=r"BPF_MAP_CREATE bad \(LRU_HASH, 0 entries\)"):
        gate.create_map(MapSpec("bad", MapType.LRU_HASH, 4, 4, 0))


def test_a_pinned_map_outlives_its_handle(gate: Gate, bpffs: Path) -> None:
    path = bpffs / "tc/globals/cilium_lxc"
    with gate.create_map(SPEC) as live:
        gate.pin(live, path)
        assert live.info.pin == path
        number = live.info.id
    with BpfMap.open(path) as again:
        assert (again.info.id, again.info.pin) == (number, path)
        assert spec_of(again.info) == SPEC
    gate.unpin(path)
    with pytest.raises(NoSuchMapError):
        gate.unpin(path)
    with pytest.raises(NoSuchMapError):
        BpfMap.from_id(number)


def test_a_rename_over_a_pin_is_an_exchange(gate: Gate, bpffs: Path) -> None:
    old, pending = bpffs / "cilium_ct4_global", bpffs / "cilium_ct4_global-pending"
    with gate.create_map(SPEC) as first, gate.create_map(SPEC) as second:
        gate.pin(first, old)
        gate.pin(second, pending)
        gate.rename(pending, old)
        with BpfMap.open(old) as now:
            assert now.info.id == second.info.id
        assert list(pinned_maps(bpffs)) == [old]
        assert not pending.exists()


def test_pins_refuse_a_taken_path_and_a_dot(gate: Gate, bpffs: Path) -> None:
    with gate.create_map(SPEC) as live:
        gate.pin(live, bpffs / "m")
        with pytest.raises(BpfError, match="File exists"):
            gate.pin(live, bpffs / "m")
        with pytest.raises(UsageError, match="dots"):
            gate.pin(live, bpffs / "a.b")


def test_ordinary_files_are_never_touched(gate: Gate, tmp_path: Path) -> None:
    plain = tmp_path / "precious"
    plain.touch()
    with gate.create_map(SPEC) as live, pytest.raises(UsageError, match="not on a bpffs"):
        gate.pin(live, tmp_path / "m")
    attempts: tuple[Callable[[], None], ...] = (
        partial(gate.unpin, plain),
        partial(gate.rename, plain, tmp_path / "other"),
        partial(gate.remove_tree, tmp_path),
        partial(gate.make_folder, tmp_path / "folder"),
        partial(gate.unmount_bpffs, tmp_path),
    )
    for attempt in attempts:
        with pytest.raises(UsageError, match="not on a bpffs"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_tree_is_removed_with_its_pins(gate: Gate, bpffs: Path) -> None:
    with gate.create_map(SPEC) as live:
        gate.pin(live, bpffs / "tc/globals/a")
        gate.pin(live, bpffs / "tc/b")
    gate.remove_tree(bpffs / "tc")
    assert not (bpffs / "tc").exists()
    gate.remove_tree(bpffs / "tc")


def test_a_bpffs_is_unmounted_also_under_somebody_s_feet(gate: Gate, tmp_path: Path) -> None:
    root = tmp_path / "bpf"
    gate.mount_bpffs(root)
    watcher = os.open(root, os.O_RDONLY)
    try:
        gate.unmount_bpffs(root)
        assert not root.is_mount()
    finally:
        os.close(watcher)
    with pytest.raises(UsageError):
        gate.unmount_bpffs(root)
