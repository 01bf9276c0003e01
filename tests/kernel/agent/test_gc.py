from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from ctconsole.agent import gc
from ctconsole.errors import GoneError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.mapwrite import EXIST
from ctconsole.manager.revived import Revived
from ctconsole.model.event import EventKind
from tests.support.ct_entries import ALIVE, DEAD, ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ctconsole.kernel.gate import Gate


def test_expired_entries_go_and_live_ones_stay(gate: Gate, table: BpfMap, path: Path) -> None:
    report = gc.collect(gate, [path])
    assert (report.alive, report.deleted, report.revived) == (ALIVE, DEAD, 0)
    assert report.delete_ratio == DEAD / 4096
    assert table.count() == ALIVE
    event = report.event(300.0)
    assert event.kind is EventKind.GC_PASS
    assert event.fields["deleted"] == DEAD


def test_entry_revived_since_the_read_is_kept(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For the bulk read every entry is expired; when each one comes up, the clock is right.
    clock = itertools.chain([ktime() + 1000], iter(ktime, None))
    monkeypatch.setattr(gc, "ktime", lambda: next(clock))
    report = gc.collect(gate, [path])
    assert (report.alive, report.deleted, report.revived) == (ALIVE, DEAD, ALIVE)
    assert table.count() == ALIVE


def test_entry_revived_between_look_and_deletion_is_put_back(
    gate: Gate, table: BpfMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, values = ct4_rows(1, lifetime=ktime() + 100)
    clock = itertools.chain([ktime() + 1000], iter(ktime, None))
    monkeypatch.setattr(gc, "ktime", lambda: next(clock))
    assert not gc.delete_expired(
        gate, table, keys[0].tobytes(), Revived(gate, table, table.count())
    )
    assert table.lookup(keys[0].tobytes()) is not None
    del values


def test_connection_that_sends_while_the_gc_runs_never_loses_its_entry(
    gate: Gate, table: BpfMap, path: Path
) -> None:
    keys, values = ct4_rows(DEAD, lifetime=ktime() + 100, first=5000)
    revived = []
    running = threading.Event()

    def send() -> None:
        with BpfMap.from_id(table.info.id) as mine:
            running.set()
            # From the far end, so that sender and collector meet in the middle.
            for key, value in zip(reversed(keys), reversed(values), strict=True):
                try:
                    mapwrite.update(gate, mine, key.tobytes(), value.tobytes(), EXIST)
                except GoneError:
                    continue
                revived.append(key.tobytes())

    sender = threading.Thread(target=send)
    sender.start()
    running.wait()
    report = gc.collect(gate, [path])
    sender.join()
    assert all(table.lookup(key) is not None for key in revived)
    assert table.count() == ALIVE + len(revived)
    assert report.deleted == DEAD - len(revived)


def test_pass_ends_early_when_told_to(gate: Gate, table: BpfMap, path: Path) -> None:
    answers = iter([False, True])
    report = gc.collect(gate, [path], lambda: next(answers))
    assert report.deleted == gc.BATCH
    assert table.count() == ALIVE + DEAD - gc.BATCH
    assert report.event(300.0).message == "Garbage collection CT map failed to finish"


def test_missing_map_is_passed_over(gate: Gate, bpffs: Path) -> None:
    report = gc.collect(gate, [bpffs / "none"])
    assert (report.maps, report.delete_ratio) == ((), 0.0)
