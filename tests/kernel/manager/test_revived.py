"""A revived entry that is put back costs no other connection its entry."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import gc
from ctconsole.errors import BpfError, bpf_error
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.revived import Revived
from ctconsole.model.ct.query import Query
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.flushing import flush, plan_flush
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

FULL = 1024
CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, FULL)


@pytest.fixture
def path(bpffs: Path) -> Path:
    return bpffs / CT4.name


@pytest.fixture
def table(gate: Gate, path: Path) -> Iterator[BpfMap]:
    with open_or_create_map(gate, path, CT4).map as live:
        yield live


def revive(monkeypatch: pytest.MonkeyPatch, keys: set[bytes]) -> None:
    """Have packets revive entries just before they are taken out."""
    take = mapwrite.take

    def taken(gate: Gate, live: BpfMap, key: bytes) -> bytes | None:
        value = take(gate, live, key)
        if value is not None and key in keys:
            _, alive = ct4_rows(1, lifetime=ktime() + 100)
            revived: bytes = alive[0].tobytes()
            return revived
        return value

    monkeypatch.setattr(mapwrite, "take", taken)


def test_in_a_full_table_the_others_stay(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = ct4_rows(FULL - 500, lifetime=ktime() + 100)
    dead = ct4_rows(500, lifetime=1, first=5000)
    mapwrite.update_batch(gate, table, *living)
    mapwrite.update_batch(gate, table, *dead)
    revived = {key.tobytes() for key in dead[0][:20]}
    revive(monkeypatch, revived)
    report = gc.collect(gate, [path])
    there = {key.tobytes() for key in table.read().keys}
    assert there == {key.tobytes() for key in living[0]} | revived
    assert (report.revived, report.deleted) == (20, 480)


def test_where_no_room_comes_it_is_the_one_that_goes(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 128 others for it."""
    living = ct4_rows(FULL - 10, lifetime=ktime() + 100)
    dead = ct4_rows(10, lifetime=1, first=5000)
    mapwrite.update_batch(gate, table, *living)
    mapwrite.update_batch(gate, table, *dead)
    revive(monkeypatch, {dead[0][0].tobytes()})
    report = gc.collect(gate, [path])
    assert {key.tobytes() for key in table.read().keys} == {key.tobytes() for key in living[0]}
    assert (report.revived, report.deleted) == (0, 10)


def test_what_a_packet_made_anew_is_not_overwritten(gate: Gate, table: BpfMap) -> None:
    [key], [older] = ct4_rows(1, lifetime=50)
    _, [newer] = ct4_rows(1, lifetime=90)
    mapwrite.update(gate, table, key.tobytes(), newer.tobytes())
    back = Revived(gate, table, 1)
    back.put_back(key.tobytes(), older.tobytes())
    assert back.finish() == 0
    assert table.lookup(key.tobytes()) == newer.tobytes()


@pytest.mark.parametrize("collected", [True, False])
def test_what_lives_comes_back_when_the_deletions_break_off(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch, *, collected: bool
) -> None:
    mapwrite.update_batch(gate, table, *ct4_rows(FULL - 500, lifetime=ktime() + 100))
    dead = ct4_rows(500, lifetime=1, first=5000)
    mapwrite.update_batch(gate, table, *dead)
    plan = plan_flush(path, Query.parse("state:dead"))
    revived = {key.tobytes() for key in dead[0][:20]}
    revive(monkeypatch, revived)
    # The last deletion of the pass meets a kernel that refuses it.
    take, taken, refused = mapwrite.take, [0], set[bytes]()

    def refusing(gate: Gate, live: BpfMap, key: bytes) -> bytes | None:
        taken[0] += 1
        if taken[0] == 500:
            refused.add(key)
            raise bpf_error(errno.EIO, "BPF_MAP_LOOKUP_AND_DELETE_ELEM", str(path))
        return take(gate, live, key)

    monkeypatch.setattr(mapwrite, "take", refusing)
    if collected:
        with pytest.raises(BpfError, match="Input/output"):
            gc.collect(gate, [path])
    else:
        report = flush(gate, plan)
        # Which one is the last is up to the table: it may be one that would have been revived.
        assert (report.deleted, report.left) == (499 - len(revived - refused), 1)
        assert "Input/output" in report.failure
    assert revived <= {key.tobytes() for key in table.read().keys}
