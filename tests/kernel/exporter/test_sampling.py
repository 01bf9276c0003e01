"""Samples of a node that changes: what is counted, what comes and goes, what nobody knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, DeniedError
from ctconsole.exporter import sampling
from ctconsole.exporter.sampling import NodeSampler
from ctconsole.happening import happened
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.procs import Process
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.exporter.figures import MapFigures
    from ctconsole.kernel.gate import Gate


@pytest.fixture
def folder(gate: Gate, bpffs: Path) -> Path:
    """Cilium's pins, with one conntrack table."""
    pin(gate, bpffs / GLOBALS, CT4)
    return bpffs / GLOBALS


@pytest.fixture
def sampler(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeSampler]:
    """Every census is due at once."""
    monkeypatch.setattr(sampling, "CENSUS_SHARE", float("inf"))
    with NodeSampler(folder.parents[1], tmp_path / "history.db") as made:
        yield made


def pin(gate: Gate, folder: Path, spec: MapSpec) -> int:
    """Make a map and pin it under its name, instead of what is there; its id."""
    with mapwrite.create(gate, spec) as made:
        fresh = folder / "fresh"
        pins.pin(gate, made, fresh)
        pins.rename(gate, fresh, folder / spec.name)
        return made.info.id


def fill(gate: Gate, path: Path, count: int, *, left: int = 1000, first: int = 0) -> None:
    with BpfMap.open(path) as live:
        rows = ct4_rows(count, lifetime=ktime() + left, first=first)
        mapwrite.update_batch(gate, live, *rows)


def table(sampler: NodeSampler, label: str = "ct4_global") -> MapFigures:
    [found] = [one for one in sampler.sample().maps if one.label == label]
    return found


def test_a_table_is_counted_without_being_read(
    gate: Gate, sampler: NodeSampler, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(gate, folder / CT4.name, 30)
    fill(gate, folder / CT4.name, 12, left=-5, first=1000)

    # Of other maps of this machine the arrays of programs may be read.
    for name in ("read", "read_chunks", "read_conntrack", "count"):
        before = getattr(BpfMap, name)

        def refuse(live: BpfMap, *given: object, before: Callable[..., object] = before) -> object:
            assert live.info.type is not MapType.LRU_HASH, "the table was dumped"
            return before(live, *given)

        monkeypatch.setattr(BpfMap, name, refuse)
    found = table(sampler)
    assert found.entries == 42
    assert found.census is not None
    kinds = found.census.kinds
    assert (kinds.alive, kinds.expired, kinds.established) == (30, 12, 30)
    assert (found.totals.came, found.totals.gone, found.totals.evicted) == (None, None, None)


def test_what_comes_and_goes_is_added_up(gate: Gate, sampler: NodeSampler, folder: Path) -> None:
    table(sampler)
    fill(gate, folder / CT4.name, 30)
    table(sampler)
    with BpfMap.open(folder / CT4.name) as live:
        for key in live.read().keys[:10]:
            mapwrite.delete(gate, live, key.tobytes())
    fill(gate, folder / CT4.name, 5, first=1000)
    totals = table(sampler).totals
    # The table was never full, so that nothing was thrown out of it.
    assert (totals.came, totals.gone, totals.evicted) == (35, 10, 0)


def test_what_a_full_table_throws_out_is_told(
    gate: Gate, sampler: NodeSampler, folder: Path
) -> None:
    room = CT4.max_entries
    fill(gate, folder / CT4.name, room)
    before = table(sampler)
    assert before.entries is not None
    fill(gate, folder / CT4.name, 500, first=100_000)
    after = table(sampler)
    assert after.totals.evicted == after.totals.gone
    assert after.totals.evicted is not None
    assert after.entries == before.entries + 500 - after.totals.evicted
    assert after.totals.evicted > 0


def test_a_recreated_map_is_told_with_what_it_lost(
    gate: Gate, sampler: NodeSampler, folder: Path
) -> None:
    fill(gate, folder / CT4.name, 30)
    first = table(sampler)
    assert (first.totals.recreations, first.totals.lost) == (0, 0)
    number = pin(gate, folder, CT4)
    fill(gate, folder / CT4.name, 4)
    found = table(sampler)
    assert found.info.id == number != first.info.id
    assert (found.totals.recreations, found.totals.lost, found.entries) == (1, 26, 4)
    assert found.totals.recreated_at is not None
    assert found.census is not None
    assert found.census.kinds.entries == 4
    # The new map's nodes are not those of the old one: nothing came or went in it.
    assert found.totals.came is None


def test_a_pin_that_is_away_for_a_sample_goes_on_counting(
    gate: Gate, sampler: NodeSampler, folder: Path
) -> None:
    table(sampler)
    for recreations in (1, 2):
        fill(gate, folder / CT4.name, 30)
        table(sampler)
        (folder / CT4.name).unlink()
        assert sampler.sample().maps == ()
        pin(gate, folder, CT4)
        totals = table(sampler).totals
        assert (totals.recreations, totals.lost) == (recreations, 30 * recreations)


def test_a_history_that_cannot_be_read_leaves_all_else(
    sampler: NodeSampler, tmp_path: Path
) -> None:
    (tmp_path / "history.db").write_text("no database at all")
    for _ in range(2):
        found = table(sampler)
        assert (found.entries, found.totals.resizes) == (0, None)
    [note] = sampler.notes
    assert note.startswith("What resizes carried over is not known: The history ")


def test_only_ciliums_maps_with_entries_are_told_of(
    gate: Gate, sampler: NodeSampler, folder: Path
) -> None:
    for spec in (
        MapSpec("cilium_lxc", MapType.HASH, 20, 48, 100),
        MapSpec("cilium_calls_00042", MapType.PROG_ARRAY, 4, 4, 64),
        MapSpec("somebody_elses", MapType.HASH, 4, 4, 64),
        MapSpec("cilium_ipcache", MapType.LPM_TRIE, 24, 12, 512, 1),
    ):
        pin(gate, folder, spec)
    found = {one.label: one.entries for one in sampler.sample().maps}
    # Nobody counts the entries of a trie without walking through it.
    assert found == {"ct4_global": 0, "lxc": 0, "ipcache": None}


def test_resizes_are_those_that_came_to_the_history(
    sampler: NodeSampler, folder: Path, tmp_path: Path
) -> None:
    assert table(sampler).totals.resizes is None
    subject = folder / CT4.name
    with History(tmp_path / "history.db") as history:
        fields = {"carried": 7}
        history.append([happened(EventKind.MAP_RESIZED, "manager", subject, "before", fields)])
        totals = table(sampler).totals
        assert (totals.resizes, totals.carried, totals.dropped) == (0, 0, 0)
        fields = {"carried": 30, "dropped": 2, "missing": 1}
        history.append([happened(EventKind.MAP_CARRIED, "manager", subject, "since", fields)])
        totals = table(sampler).totals
        assert (totals.resizes, totals.carried, totals.dropped) == (1, 30, 3)
        fields = {"carried": 5, "left_behind": 4}
        history.append([happened(EventKind.MAP_RESIZED, "manager", subject, "less", fields)])
        totals = table(sampler).totals
    assert (totals.resizes, totals.carried, totals.dropped) == (2, 35, 7)


def test_an_agent_that_is_another_process_was_restarted(
    sampler: NodeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "AGENT_SECONDS", 0.0)
    found = sampler.sample()
    assert (found.agent_up, found.agent_started, found.agent_restarts) == (False, None, 0)
    for number, restarts in ((1, 0), (1, 0), (2, 1)):
        process = Process(number, "agent", (), number, 1000.0 + number)
        monkeypatch.setattr(NodeSampler, "_own_agent", lambda _, process=process: process)
        found = sampler.sample()
        assert (found.agent_up, found.agent_started) == (True, 1000.0 + number)
        assert found.agent_restarts == restarts
    monkeypatch.setattr(NodeSampler, "_own_agent", lambda _: None)
    found = sampler.sample()
    assert (found.agent_up, found.agent_started, found.agent_restarts) == (False, None, 1)


def test_a_split_brain_is_told_until_it_is_over(
    sampler: NodeSampler, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert table(sampler).split is False
    looks: list[int] = []
    monkeypatch.setattr(sampler._splits, "step", lambda _: looks.append(1))
    sampler._splits.alarmed = frozenset({folder / CT4.name})
    for _ in range(3):
        assert table(sampler).split is True
    # It is looked for in every sample then.
    assert len(looks) == 3
    sampler._splits.alarmed = frozenset()
    assert table(sampler).split is False


def test_who_may_not_list_programs_does_not_know_of_splits(
    sampler: NodeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise DeniedError(1, "BPF_PROG_GET_NEXT_ID", "programs")

    monkeypatch.setattr(sampler._splits, "step", refuse)
    for _ in range(2):
        assert table(sampler).split is None
    [note] = sampler.notes
    assert note.startswith("Whether pins show what programs use is not known: BPF_PROG_GET_NEXT")


def test_the_datapaths_own_count_of_failures_is_taken(
    gate: Gate, sampler: NodeSampler, folder: Path
) -> None:
    assert sampler.sample().insert_failures is None
    pin(gate, folder, MapSpec("cilium_metrics", MapType.PERCPU_HASH, 8, 16, 1024))
    assert sampler.sample().insert_failures == 0
    with BpfMap.open(folder / "cilium_metrics") as live:
        cpus = live.value_shape[0]
        for reason, direction in ((155, 1), (155, 2), (132, 1)):
            values = np.zeros((cpus, 2), np.uint64)
            values[:, 0] = 3
            mapwrite.update(gate, live, bytes([reason, direction, *[0] * 6]), values.tobytes())
    assert sampler.sample().insert_failures == 2 * 3 * cpus


def test_a_node_that_may_not_be_read_has_no_maps(
    sampler: NodeSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = sampler.sample()

    def refuse(*_: object) -> None:
        raise DeniedError(1, "BPF_OBJ_GET", "x")

    monkeypatch.setattr(sampling, "pin_numbers", refuse)
    with pytest.raises(BpfError):
        sampler.sample()
    failed = sampler.newest
    assert (failed.maps, failed.failures, failed.samples) == ((), 1, good.samples + 1)
    assert failed.taken_at == good.taken_at
    monkeypatch.undo()
    assert [one.label for one in sampler.sample().maps] == ["ct4_global"]


def test_a_node_that_is_not_there_yet_has_nothing(tmp_path: Path) -> None:
    with NodeSampler(tmp_path / "nowhere", tmp_path / "history.db") as made:
        found = made.sample()
    assert (found.maps, found.failures, found.agent_up) == ((), 0, False)
    assert found.insert_failures is None
