from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError, CtconsoleError, FormatError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.knowledge import read_knowledge
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.outcomes import Reason, Risk
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.reading import Reading
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.flushing import BATCH, flush, plan_flush
from tests.support.ct_entries import ALIVE, CT4, DEAD, ct4_rows
from tests.support.ct_tables import Entry, ct_table
from tests.support.translated import translated_connection

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.node.flush_plan import FlushProgress

EVERY = ALIVE + DEAD
NAT = MapSpec("cilium_snat_v4_external", MapType.LRU_HASH, 14, 40, 4096)
SERVICES = MapSpec("cilium_lb4_services_v2", MapType.HASH, 12, 12, 64)


def test_a_whole_map(gate: Gate, table: BpfMap, path: Path) -> None:
    plan = plan_flush(path)
    assert (plan.entries, plan.chosen, plan.count(Risk.DEAD)) == (EVERY, EVERY, DEAD)
    report = flush(gate, plan)
    assert (report.deleted, report.kept, report.vanished) == (EVERY, 0, 0)
    assert table.count() == 0
    [event] = report.events
    assert event.kind is EventKind.ENTRIES_DELETED
    assert event.message == f"Flushed {EVERY} entries from {path}"


def test_all_that_match_a_filter(gate: Gate, table: BpfMap, path: Path) -> None:
    plan = plan_flush(path, Query.parse("state:dead"))
    assert plan.chosen == DEAD
    assert flush(gate, plan).deleted == DEAD
    assert table.count() == ALIVE


def test_one_entry_by_its_key(gate: Gate, table: BpfMap, path: Path) -> None:
    key = ct4_rows(1, lifetime=0)[0][0].tobytes()
    assert flush(gate, plan_flush(path, key=key)).deleted == 1
    assert table.lookup(key) is None
    assert table.count() == ALIVE + DEAD - 1
    with pytest.raises(UsageError, match="no entry with the key"):
        plan_flush(path, key=key)
    with pytest.raises(UsageError, match="14 bytes"):
        plan_flush(path, key=b"short")


def test_a_cancelled_deletion_says_what_is_deleted_and_what_stays(
    gate: Gate, table: BpfMap, path: Path
) -> None:
    heard: list[FlushProgress] = []
    report = flush(gate, plan_flush(path), heard.append, lambda: len(heard) == 2)
    assert [one.done for one in heard] == [BATCH, 2 * BATCH]
    assert (report.deleted, report.left) == (2 * BATCH, EVERY - 2 * BATCH)
    assert table.count() == report.left
    assert report.failure == (
        f"{path.name}: 128 of 1,030 entries deleted; the other 902 stay: it was cancelled"
    )
    assert report.facts["left"] == 902
    with pytest.raises(CtconsoleError, match="the other 902 stay"):
        report.check()


def test_cancelled_when_all_is_done_it_is_done(gate: Gate, table: BpfMap, path: Path) -> None:
    heard: list[FlushProgress] = []
    report = flush(
        gate, plan_flush(path), heard.append, lambda: heard[-1:] == [(path.name, EVERY, EVERY)]
    )
    assert (report.failure, report.left, table.count()) == ("", 0, 0)


def test_a_deletion_that_fails_on_its_way_says_what_is_deleted(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = mapwrite.take
    took: list[bytes] = []

    def take(gate: Gate, live: BpfMap, key: bytes) -> bytes | None:
        if len(took) == 100:
            raise BpfError(errno.EPERM, "BPF_MAP_LOOKUP_AND_DELETE_ELEM", path.name)
        took.append(key)
        return really(gate, live, key)

    monkeypatch.setattr(mapwrite, "take", take)
    report = flush(gate, plan_flush(path))
    assert (report.deleted, table.count()) == (100, EVERY - 100)
    assert "100 of 1,030 entries deleted; the other 930 stay" in report.failure
    assert "BPF_MAP_LOOKUP_AND_DELETE_ELEM" in report.failure
    with pytest.raises(BpfError):
        flush(gate, plan_flush(path))


def test_an_entry_revived_since_the_plan_is_kept(gate: Gate, table: BpfMap, path: Path) -> None:
    plan = plan_flush(path, Query.parse("state:dead"))
    revived, values = ct4_rows(3, lifetime=ktime() + 100, first=5000)
    mapwrite.update_batch(gate, table, revived, values)
    gone = ct4_rows(1, lifetime=0, first=5050)[0][0].tobytes()
    mapwrite.delete(gate, table, gone)
    report = flush(gate, plan)
    assert (report.deleted, report.kept, report.vanished) == (DEAD - 4, 3, 1)
    assert all(table.lookup(key.tobytes()) for key in revived)


def test_an_entry_revived_between_look_and_deletion_is_put_back(
    gate: Gate, table: BpfMap, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [key], [value] = ct4_rows(1, lifetime=ktime() + 100, first=5000)
    plan = plan_flush(path, Query.parse("state:dead"), key.tobytes())
    looked = type(table).lookup

    def packet_comes_after_the_look(live: BpfMap, wanted: bytes) -> bytes | None:
        found = looked(live, wanted)
        mapwrite.update(gate, table, key.tobytes(), value.tobytes())
        return found

    monkeypatch.setattr(BpfMap, "lookup", packet_comes_after_the_look)
    report = flush(gate, plan)
    monkeypatch.undo()
    assert (report.deleted, report.kept) == (0, 1)
    assert table.lookup(key.tobytes()) == value.tobytes()


@pytest.mark.parametrize("family", [4, 6])
def test_translations_go_with_their_connection(gate: Gate, bpffs: Path, family: int) -> None:
    with translated_connection(gate, bpffs, family) as nat:
        plan = plan_flush(bpffs / f"cilium_ct{family}_global")
        assert plan.mappings == 2
        assert (Risk.BREAKS, Reason.SNAT, 1) in plan.verdicts
        assert any("NAT" in warning for warning in plan.warnings)
        assert flush(gate, plan).mappings == 2
        assert nat.count() == 0


def test_the_services_maps_say_who_breaks(gate: Gate, path: Path, bpffs: Path) -> None:
    through = Entry(destination="10.96.0.1:80", tuple_flags=4, rev_nat=1, backend=3)
    entries = ct_table(through, layout=Layout.V1_9)
    front = bytes([10, 96, 0, 1, 0, 80, 0, 0, 0, 0, 0, 0])
    content = bytes([0, 0, 0, 0, 3, 0, 0, 1, 0, 0, 0, 0])
    with (
        open_or_create_map(gate, path, CT4).map as live,
        open_or_create_map(gate, bpffs / "cilium_lb4_services_v2", SERVICES).map as services,
    ):
        values = entries.values.copy()
        values["lifetime"] = ktime() + 100
        mapwrite.update_batch(
            gate, live, entries.keys.view("u1").reshape(1, 14), values.view("u1").reshape(1, 56)
        )
        assert plan_flush(path).verdicts == ((Risk.AT_RISK, Reason.UNKNOWN_SERVICE, 1),)
        mapwrite.update(gate, services, front, content)
        reading = Reading(knowledge=read_knowledge(bpffs))
        assert plan_flush(path, reading=reading).verdicts == (
            (Risk.BREAKS, Reason.RANDOM_BACKEND, 1),
        )


def test_a_nat_table_of_another_size_is_not_guessed_at(
    gate: Gate, path: Path, bpffs: Path, table: BpfMap
) -> None:
    odd = replace(NAT, value_size=24)
    with (
        open_or_create_map(gate, bpffs / NAT.name, odd).map,
        pytest.raises(FormatError, match="14 and values of 24 bytes: no NAT table"),
    ):
        plan_flush(path)
    assert table.count() == EVERY


def test_only_conntrack_maps_are_flushed(gate: Gate, bpffs: Path) -> None:
    path = bpffs / "cilium_snat_v4_external"
    open_or_create_map(gate, path, NAT).map.close()
    with pytest.raises(UsageError, match="no conntrack map"):
        plan_flush(path)


def test_a_plan_for_another_map_is_refused(gate: Gate, path: Path) -> None:
    open_or_create_map(gate, path, CT4).map.close()
    plan = plan_flush(path)
    pins.unpin(gate, path)
    open_or_create_map(gate, path, CT4).map.close()
    with pytest.raises(UsageError, match="Plan again"):
        flush(gate, plan)
