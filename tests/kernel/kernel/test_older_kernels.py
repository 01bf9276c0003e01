"""What the kernel room does on kernels that lack something, by answers put into `syscall.call`.

Each row is a command and the errno an older kernel, or one that refuses, gives for it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, DatapathError, DeniedError, MissingFeatureError
from ctconsole.kernel import attachments, counts, hooks, mapwrite, pins, probes, syscall, walk
from ctconsole.kernel import ids as kernel_ids
from ctconsole.kernel.counts import count_maps
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program, program_info
from ctconsole.kernel.syscall import ENOTSUPP, Cmd
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.rows import read_rows
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.inventory import Inventory
from tests.support.bpf_insns import returning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

HASH = MapSpec("m", MapType.HASH, 4, 8, 32)
ROOM = (syscall, walk, mapwrite)
"""Modules that hold the call by name."""


@contextmanager
def answering(table: dict[Cmd, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Cmd, int]]:
    """Let the kernel refuse some commands; counts how often each was asked."""
    real, asked = syscall.call, dict.fromkeys(table, 0)

    def call(cmd: Cmd, attr: ctypes.Structure) -> int:
        if cmd not in table:
            return real(cmd, attr)
        asked[cmd] += 1
        number = table[cmd]
        return -errno.EOPNOTSUPP if number == ENOTSUPP else -number

    with monkeypatch.context() as patched:
        for module in ROOM:
            patched.setattr(module, "call", call)
        yield asked
    assert all(asked.values()), f"never asked: {asked}"


def fill(gate: Gate, live: BpfMap, count: int = 10) -> None:
    keys = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)
    mapwrite.update_batch(gate, live, keys, np.zeros((count, 8), np.uint8))


@pytest.mark.parametrize("number", [errno.EINVAL, ENOTSUPP])
def test_without_batches_a_map_is_read_counted_and_written_key_by_key(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    batches = {
        Cmd.BPF_MAP_LOOKUP_BATCH: number,
        Cmd.BPF_MAP_UPDATE_BATCH: number,
        Cmd.BPF_MAP_DELETE_BATCH: number,
    }
    with mapwrite.create(gate, HASH) as live, answering(batches, monkeypatch):
        fill(gate, live)
        assert not live.has_batch()
        assert len(live.read().keys) == live.count() == 10
        assert sum(len(keys) for keys, _ in live.read_chunks(4)) == 10
        assert mapwrite.delete_batch(gate, live, np.zeros((1, 4), np.uint8)) == 1
        assert count_maps([live.info], None)[live.info.id].entries == 9


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOMEM, errno.EFAULT])
def test_a_batch_that_is_refused_is_an_error_and_no_empty_map(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with (
        mapwrite.create(gate, HASH) as live,
        answering({Cmd.BPF_MAP_LOOKUP_BATCH: number}, monkeypatch),
        pytest.raises(BpfError, match="BPF_MAP_LOOKUP_BATCH"),
    ):
        live.read()


@pytest.mark.parametrize(
    ("command", "write"),
    [
        (Cmd.BPF_MAP_UPDATE_BATCH, mapwrite.update_batch),
        (Cmd.BPF_MAP_DELETE_BATCH, lambda *given: mapwrite.delete_batch(*given[:3])),
    ],
)
def test_a_batch_write_that_is_refused_says_how_far_it_came(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, command: Cmd, write: Callable[..., int]
) -> None:
    keys, values = np.zeros((1, 4), np.uint8), np.zeros((1, 8), np.uint8)
    with (
        mapwrite.create(gate, HASH) as live,
        answering({command: errno.ENOMEM}, monkeypatch),
        pytest.raises(BpfError, match="after 0 entries"),
    ):
        write(gate, live, keys, values)


@pytest.mark.parametrize("number", [errno.EINVAL, ENOTSUPP])
def test_taking_an_entry_is_refused_by_kernels_before_5_14(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with mapwrite.create(gate, HASH) as live:
        fill(gate, live, 1)
        with (
            answering({Cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM: number}, monkeypatch),
            pytest.raises(BpfError),
        ):
            mapwrite.take(gate, live, bytes(4))
        assert live.count() == 1


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (Cmd.BPF_MAP_LOOKUP_ELEM, errno.EPERM),
        (Cmd.BPF_MAP_UPDATE_ELEM, errno.E2BIG),
        (Cmd.BPF_MAP_DELETE_ELEM, errno.EPERM),
        (Cmd.BPF_MAP_UPDATE_ELEM, errno.EBUSY),
        (Cmd.BPF_MAP_DELETE_ELEM, errno.EAGAIN),
    ],
)
def test_a_refusal_of_one_entry_names_the_command(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, command: Cmd, number: int
) -> None:
    with mapwrite.create(gate, HASH) as live:
        calls: dict[Cmd, Callable[[], object]] = {
            Cmd.BPF_MAP_LOOKUP_ELEM: lambda: live.lookup(bytes(4)),
            Cmd.BPF_MAP_UPDATE_ELEM: lambda: mapwrite.update(gate, live, bytes(4), bytes(8)),
            Cmd.BPF_MAP_DELETE_ELEM: lambda: mapwrite.delete(gate, live, bytes(4)),
        }
        with (
            answering({command: number}, monkeypatch),
            pytest.raises(BpfError, match=command.name) as caught,
        ):
            calls[command]()
    assert caught.value.errno == number


def test_a_map_that_cannot_be_walked_at_all_is_not_counted(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {Cmd.BPF_MAP_LOOKUP_BATCH: ENOTSUPP, Cmd.BPF_MAP_GET_NEXT_KEY: ENOTSUPP}
    with mapwrite.create(gate, HASH) as live, answering(lacking, monkeypatch):
        assert count_maps([live.info], None) == {}


def test_before_linux_5_8_there_are_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_ids, "retrying", lambda *_: -errno.EINVAL)
    assert list(attachments.links()) == []


@pytest.mark.parametrize(
    "command",
    [Cmd.BPF_PROG_GET_NEXT_ID, Cmd.BPF_MAP_GET_NEXT_ID, Cmd.BPF_LINK_GET_NEXT_ID],
    ids=lambda cmd: cmd.name,
)
def test_ids_that_are_refused_fail_the_look_and_hide_nothing(
    monkeypatch: pytest.MonkeyPatch, command: Cmd
) -> None:
    with (
        answering({command: errno.EPERM}, monkeypatch),
        pytest.raises(DeniedError, match=command.name),
    ):
        Inventory().look(frozenset())


@pytest.mark.parametrize(
    "command",
    [Cmd.BPF_PROG_GET_FD_BY_ID, Cmd.BPF_MAP_GET_FD_BY_ID],
    ids=lambda cmd: cmd.name,
)
def test_what_goes_between_listing_and_opening_is_left_out(
    monkeypatch: pytest.MonkeyPatch, gate: Gate, command: Cmd
) -> None:
    program = load_program(gate, returning(0))
    with mapwrite.create(gate, HASH), answering({command: errno.ENOENT}, monkeypatch):
        known = Inventory()
        found = list(known.programs() if command is Cmd.BPF_PROG_GET_FD_BY_ID else known.maps())
    os.close(program)
    assert found == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM])
def test_a_hook_that_cannot_be_asked_is_told_from_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    hook = hooks.HOOKS[hooks.Target.INTERFACE][0]
    with answering({Cmd.BPF_PROG_QUERY: number}, monkeypatch):
        if number == errno.EINVAL:
            assert not hooks.known(hook)
        else:
            with pytest.raises(DeniedError, match="BPF_PROG_QUERY"):
                hooks.known(hook)


def test_a_map_whose_facts_are_refused_is_never_half_known(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, HASH) as live:
        pins.pin(gate, live, bpffs / "m")
    with (
        answering({Cmd.BPF_OBJ_GET_INFO_BY_FD: errno.EINVAL}, monkeypatch),
        pytest.raises(BpfError, match="BPF_OBJ_GET_INFO_BY_FD"),
    ):
        BpfMap.open(bpffs / "m")


def test_the_manager_reads_and_creates_without_batches(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bpffs / "tc/globals/cilium_lxc"
    with open_or_create_map(gate, path, HASH).map as live:
        fill(gate, live)
    with answering({Cmd.BPF_MAP_LOOKUP_BATCH: errno.EINVAL}, monkeypatch):
        assert len(read_rows(path)) == 10


def test_the_manager_says_what_the_kernel_refused_to_create(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bpffs / "tc/globals/cilium_lxc"
    with (
        answering({Cmd.BPF_MAP_CREATE: errno.ENOMEM}, monkeypatch),
        pytest.raises(BpfError, match=r"BPF_MAP_CREATE .*Cannot allocate memory"),
    ):
        open_or_create_map(gate, path, HASH)
    assert not path.exists()


def probed(name: str) -> probes.Probe:
    """What the doctor says of one feature."""
    (trial,) = [one for one in probes._TRIALS if one.name == name]
    return probes._tried(trial)


@pytest.mark.parametrize("number", [errno.EINVAL, ENOTSUPP])
def test_doctor_says_what_a_kernel_without_batches_does_instead(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lacking = {Cmd.BPF_MAP_UPDATE_BATCH: number, Cmd.BPF_MAP_LOOKUP_BATCH: number}
    with answering(lacking, monkeypatch):
        found = probed("batch operations")
    assert not found.ok
    assert not found.needed
    assert found.detail == "maps are read key by key, six times slower"
    assert found.remedy == "Linux 5.6 or later has them"


def test_doctor_says_what_refused_it_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering({Cmd.BPF_MAP_UPDATE_BATCH: errno.EPERM}, monkeypatch):
        found = probed("batch operations")
    assert not found.ok
    assert "BPF_MAP_UPDATE_BATCH" in found.detail
    assert "Operation not permitted" in found.detail


def test_without_the_counting_kfunc_maps_are_walked_and_the_doctor_says_so(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Path) -> None:
        log = f"libbpf: extern (func ksym) '{counts.KFUNC}': not found in kernel or module BTFs"
        raise DatapathError("the iterator was refused", log=log)

    monkeypatch.setattr(counts, "BpfObject", refused)
    with pytest.raises(MissingFeatureError, match=f"it has no {counts.KFUNC}"):
        counts.ElementCounter()
    assert counts.open_counter() is None
    with mapwrite.create(gate, HASH) as live:
        fill(gate, live)
        found = count_maps([live.info], counts.open_counter())[live.info.id]
    assert (found.entries, found.walked) == (10, True)
    monkeypatch.setattr(probes, "_btf_bytes", lambda: b"")
    told = probed("element count")
    assert (told.ok, told.needed) == (False, False)
    assert "slower walks" in told.detail


@contextmanager
def knowing(size: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the kernel fill only so many bytes of what it says of an object."""
    real = syscall.call

    def call(cmd: Cmd, attr: ctypes.Structure) -> int:
        result = real(cmd, attr)
        if isinstance(attr, syscall.InfoAttr) and attr.info_len > size:
            ctypes.memset(attr.info + size, 0, attr.info_len - size)
            attr.info_len = size
        return result

    with monkeypatch.context() as patched:
        for module in ROOM:
            patched.setattr(module, "call", call)
        yield


def test_before_linux_4_15_a_map_has_no_name(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bpffs / "tc/globals/cilium_lxc"
    with mapwrite.create(gate, HASH) as live:
        pins.pin(gate, live, path)
    with knowing(syscall.MapInfoStruct.name.offset, monkeypatch), BpfMap.open(path) as live:
        assert live.info.name == ""
        assert live.info.label == "cilium_lxc"
        assert (live.info.type, live.info.max_entries) == (MapType.HASH, 32)
    with (
        knowing(syscall.MapInfoStruct.name.offset, monkeypatch),
        open_or_create_map(gate, path, HASH).map as again,
    ):
        assert again.info.id == live.info.id


def test_before_linux_5_1_a_program_has_not_counted_its_runs(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = load_program(gate, returning(0), name="p")
    with knowing(syscall.ProgInfoStruct.run_time_ns.offset, monkeypatch):
        found = program_info(program)
    os.close(program)
    assert (found.name, found.run_cnt, found.run_time_ns) == ("p", 0, 0)
    assert found.id > 0


def test_a_machine_without_numbers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    syscall._bpf_number.cache_clear()
    try:
        with pytest.raises(MissingFeatureError, match="vax"):
            BpfMap.from_id(1)
    finally:
        syscall._bpf_number.cache_clear()


def test_a_link_that_is_being_made_is_nowhere_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        counts.ElementCounter(),
        answering({Cmd.BPF_LINK_GET_FD_BY_ID: errno.EAGAIN}, monkeypatch),
    ):
        assert not list(attachments.links())
