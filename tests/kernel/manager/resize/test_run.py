from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import BpfError, UsageError
from ctconsole.kernel import mapwrite, slices
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.passes import Passes
from ctconsole.manager import users
from ctconsole.manager.resize.journal import Journal, Stage
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.resize.watching import CancelledError, Options, Watching
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.spec import MapFlag, spec_of
from tests.support.ct_entries import ct4_rows
from tests.support.resized import entries_at, only_pin, packets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.model.spec import MapSpec
    from tests.support.resized import ProgramOwner


def run(
    gate: Gate, pin: Path, entries: int, owner: ProgramOwner | None, journal: Journal
) -> ResizeReport:
    return resize(gate, plan_resize({pin: MapWish(entries)}), owner, journal)


def count_one(gate: Gate, live: BpfMap, keys: np.ndarray) -> None:
    """Count one packet more in each entry, where it is."""
    for key in keys:
        stored = live.lookup(key.tobytes())
        assert stored
        value = np.frombuffer(stored, value_dtype(Layout.V1_9)).copy()
        value["rx_packets"] += 1
        mapwrite.update(gate, live, key.tobytes(), value.tobytes())


@pytest.mark.parametrize("entries", [4096, 1536, 65536, 8191, 5000])
def test_no_entry_and_no_count_is_lost(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, entries: int
) -> None:
    before = entries_at(pin)
    report = run(gate, pin, entries, owner, journal)
    report.check()
    assert entries_at(pin) == before
    with BpfMap.open(pin) as live:
        assert (live.info.max_entries, live.info.id) == (entries, report.maps[0].new_id)
    assert (report.maps[0].carried, report.maps[0].dropped, report.left) == (1100, 0, ())
    assert only_pin(pin)
    assert journal.read() is None


def test_what_programs_write_meanwhile_is_carried_and_counted_once(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    with BpfMap.open(pin) as old:
        plan = plan_resize({pin: MapWish(4096)})

        def traffic(step: int) -> None:
            """Old programs make 10 entries in the old map, new ones count in the new map."""
            mapwrite.update_batch(
                gate, old, *ct4_rows(10, lifetime=ktime() + 500, first=9000 + 10 * step)
            )
            keys, _ = ct4_rows(10, lifetime=0)
            with BpfMap.open(pin) as new:
                count_one(gate, new, keys)

        owner.on_step = traffic
        resize(gate, plan, owner, journal).check()
    after = entries_at(pin)
    assert len(after) == 1130
    # Of ten entries the new map counted a packet in each of three steps, beside the old map's.
    assert packets(after) == 3 * (1130 + 10)


@pytest.mark.usefixtures("one_cpu")
def test_busy_connections_outlive_a_flood_after_the_resize(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    busy = ct4_rows(256, lifetime=ktime() + 1000, first=300)
    with BpfMap.open(pin) as live, mapwrite.create(gate, spec_of(live.info)) as same:
        mapwrite.update_batch(gate, same, *busy)
        with Passes(gate, same, live, joining_of(live.info, Layout.V1_9)) as looking_up:
            assert looking_up.seed().present == 256
    run(gate, pin, 1536, owner, journal).check()
    with BpfMap.open(pin) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3000, lifetime=ktime(), first=10_000))
    left = set(entries_at(pin))
    kept = {key.tobytes() for key in busy[0]}
    assert kept <= left
    # Nor were the others marked as used by having been carried: two in five would then be left.
    others = {key.tobytes() for key in ct4_rows(1000, lifetime=0)[0]} - kept
    assert len(others & left) <= len(others) // 10


def test_the_gap_reaches_from_one_pass_to_the_end_of_the_next(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, values = ct4_rows(1, lifetime=ktime() + 500, first=9000)
    times = []
    walk = Side.settle
    tried = threading.Event()

    def settle(side: Side) -> None:
        """Two slow passes: the first walks at its beginning, the second at its end."""
        walk(side)
        times.append(time.monotonic())
        mapwrite.update_batch(gate, side.old, keys, values)
        tried.wait(0.2)
        monkeypatch.setattr(Side, "settle", second)

    def second(side: Side) -> None:
        tried.wait(0.2)
        assert side.new.lookup(keys[0].tobytes()) is None
        walk(side)
        assert side.new.lookup(keys[0].tobytes())
        times.append(time.monotonic())
        monkeypatch.setattr(Side, "settle", walk)

    monkeypatch.setattr(Side, "settle", settle)
    report = run(gate, pin, 4096, owner, journal)
    assert report.gap >= times[1] - times[0]


def test_what_the_last_program_made_is_no_gap_that_nobody_tells_of(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ct4_rows(1, lifetime=ktime() + 500, first=9000)

    def left_on(*map_ids: int, but: Collection[int]) -> tuple[int, ...]:
        with BpfMap.from_id(map_ids[0]) as old:
            mapwrite.update_batch(gate, old, *rows)
        threading.Event().wait(0.2)
        return users.left_on(*map_ids, but=but)

    monkeypatch.setattr("ctconsole.manager.resize.run.left_on", left_on)
    report = run(gate, pin, 4096, owner, journal)
    assert rows[0][0].tobytes() in entries_at(pin)
    assert report.gap >= 0.2


def test_a_change_of_flags_keeps_everything_as_well(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before = entries_at(pin)
    for flags in (MapFlag.NO_COMMON_LRU, 0):
        plan = plan_resize({pin: MapWish(8192, flags)})
        resize(gate, plan, owner, journal).check()
        assert entries_at(pin) == before
        with BpfMap.open(pin) as live:
            assert live.info.flags == flags


def test_a_table_too_small_loses_the_expired_first(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    plan = plan_resize({pin: MapWish(1152 + 256)})
    assert plan.maps[0].dropped
    assert plan.maps[0].dropped == {"expired": 76}
    assert plan.drops_living == 0
    report = resize(gate, plan, owner, journal)
    report.check()
    assert report.maps[0].dropped in {76, 100}
    alive = ct4_rows(1000, lifetime=0)[0]
    assert {key.tobytes() for key in alive} <= set(entries_at(pin))


def test_a_switch_that_fails_leads_back_with_all_that_came_since(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before = entries_at(pin)
    plan = plan_resize({pin: MapWish(4096)})
    owner.fails_at = 2

    def traffic(step: int) -> None:
        if step == 1 and owner.begun == 1:
            with BpfMap.open(pin) as new:
                rows = ct4_rows(5, lifetime=ktime() + 500, first=9000)
                mapwrite.update_batch(gate, new, *rows)

    owner.on_step = traffic
    report = resize(gate, plan, owner, journal)
    assert "was not resized: lxc.c does not compile. Every program uses the old map" in (
        report.failure
    )
    assert all(one.pinned_id == one.old_id for one in report.maps)
    after = entries_at(pin)
    assert set(before) <= set(after)
    assert len(after) == len(before) + 5
    assert packets(after) == packets(before) + 15
    with BpfMap.open(pin) as live:
        assert live.info.id == plan.maps[0].info.id
    assert only_pin(pin)
    assert journal.read() is None


def test_options_are_stored_and_put_back(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    stored: list[Mapping[str, str | None]] = []
    options = Options({"size": None}, {"size": "4096"}, stored.append)
    plan = plan_resize({pin: MapWish(4096)})
    resize(gate, plan, owner, journal, options=options).check()
    assert stored == [{"size": "4096"}]
    owner.fails_at = 1
    plan = plan_resize({pin: MapWish(8192)})
    assert resize(gate, plan, owner, journal, options=options).failure
    assert stored[1:] == [{"size": "4096"}, {"size": None}]


def test_a_cancelled_resize_has_changed_nothing(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    before = entries_at(pin)
    plan = plan_resize({pin: MapWish(4096)})
    with pytest.raises(CancelledError):
        resize(gate, plan, owner, journal, watching=Watching(is_cancelled=lambda: True))
    assert entries_at(pin) == before
    assert owner.begun == 0
    assert only_pin(pin)
    assert journal.read() is None


def test_a_seed_is_cancelled_between_two_slices(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "SLICE", 0.0)
    before, asked = entries_at(pin), []

    def is_cancelled() -> bool:
        asked.append(1)
        # Of 2,048 nodes 32 are a slice.
        return len(asked) == 20

    plan = plan_resize({pin: MapWish(4096)})
    with pytest.raises(CancelledError, match="before anything was changed"):
        resize(gate, plan, owner, journal, watching=Watching(is_cancelled=is_cancelled))
    assert entries_at(pin) == before
    assert only_pin(pin)
    assert journal.read() is None


def test_a_resize_cancelled_while_programs_move_goes_back(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    plan = plan_resize({pin: MapWish(4096)})
    cancelled = threading.Event()

    def think(step: int) -> None:
        """The second program waits until the person has changed their mind."""
        if step == 1 and owner.begun == 1:
            assert cancelled.wait(20)

    def is_cancelled() -> bool:
        if owner.moved:
            cancelled.set()
        return owner.moved > 0

    owner.on_step = think
    report = resize(gate, plan, owner, journal, watching=Watching(is_cancelled=is_cancelled))
    assert "The resize was cancelled" in report.failure
    with BpfMap.open(pin) as live:
        assert live.info.id == plan.maps[0].info.id
        assert live.count() == 1100
    assert only_pin(pin)


def test_programs_that_nobody_can_move_are_no_matter_for_a_resize(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    assert owner.fds
    with pytest.raises(UsageError, match="3 programs use these maps, and nobody here can move"):
        run(gate, pin, 4096, None, journal)
    assert only_pin(pin)


def test_a_new_map_that_cannot_be_made_changes_nothing(
    gate: Gate, pin: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(gate: Gate, spec: MapSpec, like: BpfMap) -> BpfMap:
        del gate, like
        raise BpfError(12, "BPF_MAP_CREATE", spec.name)

    monkeypatch.setattr(mapwrite, "create", refuse)
    with pytest.raises(BpfError, match="Cannot allocate memory") as caught:
        run(gate, pin, 4096, None, journal)
    assert caught.value.hint.startswith("Nothing was changed. It needs ")
    assert "beside what is there: give fewer entries, or free memory" in caught.value.hint
    assert only_pin(pin)
    assert journal.read() is None


def test_a_journal_that_cannot_be_written_changes_nothing(
    gate: Gate, pin: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(gate, pin, 4096, None, Journal(tmp_path / "nowhere" / "resize.json"))
    assert only_pin(pin)


def test_each_stage_is_journaled_before_it_begins(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    seen = []

    def look(_: object) -> None:
        entry = journal.read()
        assert entry
        if entry.stage not in seen:
            seen.append(entry.stage)

    plan = plan_resize({pin: MapWish(4096)})
    resize(gate, plan, owner, journal, watching=Watching(tell=look)).check()
    assert seen == [Stage.STAGE, Stage.SWITCH, Stage.SETTLE, Stage.RELEASE]
