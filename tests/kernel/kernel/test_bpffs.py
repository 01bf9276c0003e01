from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import GoneError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps, watch
from ctconsole.kernel.mounts import find_bpffs, is_bpffs
from ctconsole.kernel.programs import load_program
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import returning

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SPEC = MapSpec("cilium_metrics", MapType.HASH, 4, 8, 16)


def test_the_private_bpffs_is_found(gate: Gate, bpffs: Path) -> None:
    assert bpffs in find_bpffs()
    assert is_bpffs(bpffs)
    assert not is_bpffs(bpffs.parent)
    assert not is_bpffs(bpffs / "missing")
    odd = bpffs.parent / "with blank\\and backslash"
    pins.mount_bpffs(gate, odd)
    try:
        assert odd in find_bpffs()
    finally:
        pins.unmount_bpffs(gate, odd)


def test_pinned_maps_are_listed_without_programs(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, SPEC) as live:
        pins.pin(gate, live, bpffs / "tc/globals/b")
        pins.pin(gate, live, bpffs / "tc/globals/a")
    program = load_program(gate, returning(0))
    pins.pin_fd(gate, program, bpffs / "program")
    os.close(program)
    found = pinned_maps(bpffs)
    assert list(found) == [bpffs / "tc/globals/a", bpffs / "tc/globals/b"]
    assert all(info.pin == path for path, info in found.items())
    with pytest.raises(GoneError):
        pinned_maps(bpffs / "missing")


async def test_a_replaced_pin_is_seen_at_once(gate: Gate, bpffs: Path) -> None:
    stop = asyncio.Event()
    path = bpffs / "cilium_metrics"
    changes = aiter(watch(bpffs, stop))
    first = asyncio.ensure_future(anext(changes))
    with mapwrite.create(gate, SPEC) as live:
        while not first.done():
            pins.pin(gate, live, path)
            await asyncio.sleep(0.05)
            pins.unpin(gate, path)
    assert path in await first
    stop.set()
    async for _ in changes:
        pass


@pytest.mark.parametrize("older", [False, True])
def test_two_pins_change_places(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch, *, older: bool
) -> None:
    """Linux before 5.16 refuses to do it in one step on a bpffs, as any kernel an unknown flag."""
    if older:
        monkeypatch.setattr(pins, "_EXCHANGE", 1 << 7)
    one, other = bpffs / "one", bpffs / "other"
    ids = []
    for path in (one, other):
        with mapwrite.create(gate, SPEC) as live:
            pins.pin(gate, live, path)
            ids.append(live.info.id)
    pins.exchange(gate, one, other)
    assert [pinned_id(other), pinned_id(one)] == ids
    assert list(pinned_maps(bpffs)) == [one, other]
    with pytest.raises(GoneError):
        pins.exchange(gate, bpffs / "missing", other)
    assert pinned_id(other) == ids[0]
