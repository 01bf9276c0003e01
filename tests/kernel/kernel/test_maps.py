from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, FormatError, GoneError
from ctconsole.kernel import maps, mapwrite, pins, syscall, walk
from ctconsole.kernel.maps import BpfMap, all_map_ids, all_maps, possible_cpus
from ctconsole.kernel.programs import load_program
from ctconsole.kernel.syscall import Cmd, ElemAttr
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import returning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.syscall import BatchAttr

CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096)
SMALL = MapSpec("small", MapType.HASH, 4, 8, 64)


def rows(count: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Rows that start with their number, so that no two are equal."""
    made = np.zeros((count, width), np.uint8)
    made[:, :4] = np.arange(count, dtype="<u4")[:, None].view(np.uint8)
    return made


def fill(gate: Gate, live: BpfMap, count: int) -> None:
    mapwrite.update_batch(
        gate, live, rows(count, live.info.key_size), rows(count, live.info.value_size)
    )


def numbers(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    return sorted(np.ascontiguousarray(array[:, :4]).view("<u4").ravel().tolist())


HUGE = MapSpec("huge", MapType.HASH, 14, 56, 1 << 25, flags=1)  # BPF_F_NO_PREALLOC


def test_a_read_takes_memory_for_the_entries_there_are_not_for_the_capacity(gate: Gate) -> None:
    with mapwrite.create(gate, HUGE) as live:
        fill(gate, live, 3)
        dump = live.read()
    assert numbers(dump.keys) == [0, 1, 2]
    assert dump.keys.base is not None
    assert dump.keys.base.size <= 14 * (maps.FIRST_ROWS + maps.DEFAULT_CHUNK)


def test_a_read_of_more_than_the_first_room_grows(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "FIRST_ROWS", 16)
    with mapwrite.create(gate, CT4) as live:
        fill(gate, live, 1000)
        dump = live.read(chunk=32)
    assert numbers(dump.keys) == numbers(dump.values) == list(range(1000))
    assert dump.walk.complete


def test_info_is_what_was_asked_for(gate: Gate) -> None:
    with mapwrite.create(gate, CT4) as live:
        info = live.info
        assert (info.name, info.type, info.key_size) == ("cilium_ct4_glob", MapType.LRU_HASH, 14)
        assert (info.value_size, info.max_entries, info.flags, info.pin) == (56, 4096, 0, None)
        assert info.memlock is not None
        assert info.memlock > 4096 * 120
        assert info.id in all_map_ids()
        assert info in all_maps()
        number = info.id
    with pytest.raises(GoneError, match=f"map {number}"):
        BpfMap.from_id(number)


@pytest.mark.parametrize("chunk", [1, 7, 1000, 65536])
def test_a_read_brings_every_entry_whatever_the_chunk(gate: Gate, chunk: int) -> None:
    with mapwrite.create(gate, CT4) as live:
        fill(gate, live, 3000)
        dump = live.read(chunk)
        assert numbers(dump.keys) == list(range(3000))
        assert np.array_equal(dump.keys[:, :4], dump.values[:, :4])
        assert dump.values.shape == (3000, 56)
        assert (dump.walk.complete, dump.walk.duplicates, dump.walk.note) == (True, 0, "")
        assert live.count() == 3000
        chunks = list(live.read_chunks(chunk))
        assert numbers(np.concatenate([keys for keys, _ in chunks])) == list(range(3000))


def test_an_empty_map_reads_as_no_rows(gate: Gate) -> None:
    with mapwrite.create(gate, CT4) as live:
        dump = live.read()
        assert (dump.keys.shape, dump.values.shape) == ((0, 14), (0, 56))
        assert live.count() == 0
        assert list(live.read_chunks()) == []


def test_per_cpu_values_have_a_column_for_each_possible_cpu(gate: Gate) -> None:
    cpus = possible_cpus()
    with mapwrite.create(gate, MapSpec("metrics", MapType.PERCPU_HASH, 8, 12, 16)) as live:
        cells = np.arange(cpus * 16, dtype=np.uint8)
        mapwrite.update(gate, live, b"\x01" * 8, cells.tobytes())
        dump = live.read()
        assert dump.values.shape == (1, cpus, 16)
        # The kernel keeps value_size bytes rounded up to 8 for each CPU.
        assert np.array_equal(dump.values[0], cells.reshape(cpus, 16))
        assert live.lookup(b"\x01" * 8) == cells.tobytes()


@pytest.mark.parametrize(
    "spec",
    [
        MapSpec("odd", MapType.HASH, 5, 13, 32),
        MapSpec("trie", MapType.LPM_TRIE, 8, 12, 32, flags=1),
        MapSpec("lru_percpu", MapType.LRU_PERCPU_HASH, 14, 4, 512),
        MapSpec("array", MapType.ARRAY, 4, 3, 20),
        MapSpec("percpu_array", MapType.PERCPU_ARRAY, 4, 3, 20),
        MapSpec("prog_array", MapType.PROG_ARRAY, 4, 4, 20),
        MapSpec("maps", MapType.HASH_OF_MAPS, 4, 4, 20, inner=SMALL),
    ],
    ids=lambda spec: spec.type.name,
)
def test_every_type_of_a_cilium_node_can_be_read(gate: Gate, spec: MapSpec) -> None:
    entries = {MapType.ARRAY: 20, MapType.PERCPU_ARRAY: 20}.get(spec.type, 0)
    with mapwrite.create(gate, spec) as live:
        dump = live.read()
        assert dump.keys.shape == (entries, spec.key_size)
        assert dump.values.shape == (entries, *live.value_shape)
        assert live.count() == entries


def test_a_trie_reads_its_prefixes(gate: Gate) -> None:
    with mapwrite.create(gate, MapSpec("trie", MapType.LPM_TRIE, 8, 4, 64, flags=1)) as live:
        prefixes = {bytes([32, 0, 0, 0, 10, 0, 0, last]) for last in range(20)}
        for key in prefixes:
            mapwrite.update(gate, live, key, key[4:])
        dump = live.read()
        assert {bytes(key) for key in dump.keys} == prefixes
        assert live.count() == 20


def test_what_cannot_be_walked_says_so(gate: Gate) -> None:
    spec = MapSpec("cilium_events", MapType.PERF_EVENT_ARRAY, 4, 4, 2)
    with mapwrite.create(gate, spec) as live, pytest.raises(BpfError, match="not supported"):
        live.read()


def test_lookup_answers_none_for_a_missing_key_and_refuses_a_wrong_size(gate: Gate) -> None:
    with mapwrite.create(gate, SMALL) as live:
        assert live.lookup(b"\0\0\0\1") is None
        with pytest.raises(FormatError, match="has 4 bytes, not 3"):
            live.lookup(b"abc")


def test_a_pin_that_is_missing_or_no_map_is_told_apart(bpffs: Path) -> None:
    with pytest.raises(GoneError, match="nothing"):
        BpfMap.open(bpffs / "nothing")
    plain = bpffs.parent / "plain"
    plain.touch()
    with pytest.raises(FormatError, match="not on a bpffs"):
        BpfMap.open(plain)


def test_a_pinned_program_is_no_map(gate: Gate, bpffs: Path) -> None:
    program = load_program(gate, returning(0))
    pins.pin_fd(gate, program, bpffs / "program")
    with pytest.raises(BpfError, match="It is no map"):
        BpfMap.adopt(program)
    with pytest.raises(BpfError, match=r"program: Invalid argument\. It is no map"):
        BpfMap.open(bpffs / "program")


def key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the kernel look as one without batch operations, as before Linux 5.6."""

    def refuse(_cmd: Cmd, _attr: BatchAttr) -> int:
        return -22

    monkeypatch.setattr(walk, "call", refuse)


def before_each_step(monkeypatch: pytest.MonkeyPatch, disturb: Callable[[bytes], None]) -> None:
    """Call ``disturb`` with the key a walk stands on, before the kernel is asked for the next."""
    real = syscall.retrying

    def step(cmd: Cmd, attr: ElemAttr) -> int:
        if cmd is Cmd.BPF_MAP_GET_NEXT_KEY and attr.key:
            disturb(ctypes.string_at(attr.key, 4))
        return real(cmd, attr)

    monkeypatch.setattr(walk, "retrying", step)


def test_without_batch_operations_a_map_is_read_key_by_key(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, CT4) as live:
        fill(gate, live, 300)
        key_by_key(monkeypatch)
        dump = live.read()
        assert numbers(dump.keys) == list(range(300))
        assert np.array_equal(dump.keys[:, :4], dump.values[:, :4])
        assert dump.walk.complete
        assert live.count() == 300
        assert sum(len(keys) for keys, _ in live.read_chunks()) == 300


def test_a_key_vanishing_under_the_walk_costs_a_restart_and_no_entry(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, SMALL) as live:
        fill(gate, live, 40)
        key_by_key(monkeypatch)
        steps: list[bytes] = []

        def delete_the_tenth(key: bytes) -> None:
            steps.append(key)
            if len(steps) == 10:
                mapwrite.delete(gate, live, key)

        before_each_step(monkeypatch, delete_the_tenth)
        dump = live.read()
        assert numbers(dump.keys) == list(range(40))
        assert (dump.walk.restarts, dump.walk.duplicates) == (1, 9)
        assert dump.walk.complete


def test_a_walk_that_never_gets_ahead_is_given_up_and_says_so(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, SMALL) as live:
        fill(gate, live, 40)
        key_by_key(monkeypatch)

        seen: list[bytes] = []

        def flicker(key: bytes) -> None:
            if seen:
                mapwrite.update(gate, live, seen.pop(), b"\0" * 8)
            mapwrite.delete(gate, live, key)
            seen.append(key)

        before_each_step(monkeypatch, flicker)
        dump = live.read()
        assert not dump.walk.complete
        assert "given up" in dump.walk.note
        assert dump.walk.restarts > 0


def test_a_batch_walk_that_breaks_off_reports_what_it_has(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, CT4) as live:
        fill(gate, live, 3000)
        real, calls = syscall.call, []

        def lose_the_map(cmd: Cmd, attr: BatchAttr) -> int:
            calls.append(cmd)
            if len(calls) == 3:
                attr.map_fd = 0xFFFF
            return real(cmd, attr)

        monkeypatch.setattr(walk, "call", lose_the_map)
        dump = live.read(chunk=500)
        assert not dump.walk.complete
        assert "Bad file descriptor" in dump.walk.note
        assert 0 < len(dump.keys) <= 1000
        calls.clear()
        with pytest.raises(BpfError, match="Bad file descriptor"):
            list(live.read_chunks(500))


def test_a_repeated_key_is_dropped_and_its_later_value_kept(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, SMALL) as live:
        fill(gate, live, 40)
        real, calls = syscall.call, []

        def start_over_once(cmd: Cmd, attr: BatchAttr) -> int:
            calls.append(cmd)
            if len(calls) == 2:
                attr.in_batch = 0
                for number in range(40):
                    mapwrite.update(gate, live, number.to_bytes(4, "little"), b"\xff" * 8)
            return real(cmd, attr)

        monkeypatch.setattr(walk, "call", start_over_once)
        dump = live.read(chunk=20)
        assert numbers(dump.keys) == list(range(40))
        assert dump.walk.duplicates > 0
        assert (dump.values == 0xFF).all()


def test_a_walk_given_up_never_looks_like_a_whole_map(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_by_key(monkeypatch)
    monkeypatch.setattr(walk, "LOOKUPS_PER_ENTRY", 0)
    with mapwrite.create(gate, MapSpec("m", MapType.HASH, 4, 8, 10)) as live:
        fill(gate, live, 5)
        with pytest.raises(BpfError, match="given up"):
            list(live.read_chunks(4))


class BtfLoadAttr(ctypes.Structure):
    """``BPF_BTF_LOAD``."""

    _fields_ = (
        ("btf", ctypes.c_uint64),
        ("log", ctypes.c_uint64),
        ("size", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
    )


def types_of(live: BpfMap) -> tuple[int, int, int]:
    """Id of the types of a map, and which of them are its key's and its value's."""
    raw = syscall.MapTypesStruct()
    attr = syscall.InfoAttr(bpf_fd=live.fd, info_len=ctypes.sizeof(raw), info=ctypes.addressof(raw))
    syscall.bpf(Cmd.BPF_OBJ_GET_INFO_BY_FD, attr)
    return raw.btf_id, raw.btf_key_type_id, raw.btf_value_type_id


def test_a_map_like_another_has_the_types_of_its_entries(gate: Gate) -> None:
    """As the agent that is to take it over made them; two structures without members do."""
    kind_struct = 4 << 24
    types = struct.pack("=6I", 0, kind_struct, CT4.key_size, 0, kind_struct, CT4.value_size)
    blob = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), 1) + types + b"\0"
    text = ctypes.create_string_buffer(blob, len(blob))
    load = BtfLoadAttr(btf=ctypes.addressof(text), size=len(blob))
    fd = syscall.bpf(Cmd.BPF_BTF_LOAD, load)
    attr = syscall.MapCreateAttr(
        map_type=CT4.type,
        key_size=CT4.key_size,
        value_size=CT4.value_size,
        max_entries=CT4.max_entries,
        btf_fd=fd,
        btf_key_type_id=1,
        btf_value_type_id=2,
    )
    with (
        BpfMap.adopt(syscall.bpf(Cmd.BPF_MAP_CREATE, attr), writable=True) as typed,
        mapwrite.create(gate, replace(CT4, max_entries=8192), typed) as made,
        mapwrite.create(gate, replace(CT4, value_size=64), typed) as other,
        mapwrite.create(gate, CT4, other) as plain,
    ):
        os.close(fd)
        assert types_of(typed)[1:] == (1, 2)
        assert types_of(made) == types_of(typed)
        assert made.info.max_entries == 8192
        # Types that do not fit are left away.
        assert types_of(other) == types_of(plain) == (0, 0, 0)
