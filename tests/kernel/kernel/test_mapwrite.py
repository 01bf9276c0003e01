"""Writes into maps that allocate each entry when it comes, from a store that may be empty."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import mapwrite, syscall
from ctconsole.kernel.syscall import Cmd
from ctconsole.model.spec import MapFlag, MapSpec, MapType

if TYPE_CHECKING:
    import ctypes

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

LAZY = MapSpec("lazy", MapType.HASH, 4, 8, 64, MapFlag.NO_PREALLOC)
UPDATES = {Cmd.BPF_MAP_UPDATE_ELEM, Cmd.BPF_MAP_UPDATE_BATCH}


def without_memory(monkeypatch: pytest.MonkeyPatch, times: float) -> list[Cmd]:
    """Refuse so many updates with ENOMEM; the list grows by each update that is asked for."""
    real, asked = syscall.call, list[Cmd]()

    def call(cmd: Cmd, attr: ctypes.Structure) -> int:
        if cmd not in UPDATES:
            return real(cmd, attr)
        asked.append(cmd)
        if len(asked) > times:
            return real(cmd, attr)
        if cmd is Cmd.BPF_MAP_UPDATE_BATCH:
            attr.count = 0
        return -errno.ENOMEM

    for module in (syscall, mapwrite):
        monkeypatch.setattr(module, "call", call)
    monkeypatch.setattr(mapwrite, "_REFILL", 0)
    return asked


def fill(gate: Gate, live: BpfMap) -> None:
    keys = np.arange(10, dtype="<u4").view(np.uint8).reshape(10, 4)
    mapwrite.update_batch(gate, live, keys, np.zeros((10, 8), np.uint8))


def test_an_allocators_empty_store_is_waited_for(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, LAZY) as live:
        asked = without_memory(monkeypatch, 3)
        fill(gate, live)
        assert (asked, live.count()) == ([Cmd.BPF_MAP_UPDATE_BATCH] * 4, 10)
    with mapwrite.create(gate, LAZY) as live:
        asked = without_memory(monkeypatch, 3)
        mapwrite.update(gate, live, b"abcd", bytes(8))
        assert (asked, live.count()) == ([Cmd.BPF_MAP_UPDATE_ELEM] * 4, 1)


def test_memory_that_does_not_come_is_told(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    with mapwrite.create(gate, LAZY) as live:
        without_memory(monkeypatch, math.inf)
        with pytest.raises(BpfError, match="after 0 entries: Cannot allocate memory"):
            fill(gate, live)
        with pytest.raises(BpfError, match="Cannot allocate memory"):
            mapwrite.update(gate, live, b"abcd", bytes(8))


def test_a_map_that_has_its_memory_is_not_asked_again(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mapwrite.create(gate, MapSpec("ready", MapType.HASH, 4, 8, 64)) as live:
        asked = without_memory(monkeypatch, math.inf)
        with pytest.raises(BpfError):
            fill(gate, live)
        assert asked == [Cmd.BPF_MAP_UPDATE_BATCH]


def test_entries_for_every_cpu_come_faster_than_the_kernel_allocates(gate: Gate) -> None:
    spec = MapSpec("lazy", MapType.PERCPU_HASH, 38, 128, 8192, MapFlag.NO_PREALLOC)
    keys = np.zeros((8000, 38), np.uint8)
    keys[:, :4] = np.arange(8000, dtype="<u4").view(np.uint8).reshape(8000, 4)
    for _ in range(3):
        with mapwrite.create(gate, spec) as live:
            values = np.ones((8000, math.prod(live.value_shape)), np.uint8)
            assert mapwrite.update_batch(gate, live, keys, values) == 8000
            assert live.count() == 8000
