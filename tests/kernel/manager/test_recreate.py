from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError, DatapathError, GoneError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ct_now, ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.manager.bpfmap import create_map, open_or_create_map, pinned_id
from ctconsole.manager.recreate import plan_recreate, recreate
from ctconsole.manager.swap import let_go_of_pending
from ctconsole.manager.switch import SwitchEnding
from ctconsole.manager.users import users
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.ct.reading import Reading
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import using_map
from tests.support.ct_entries import ct4_rows
from tests.support.tickets import Inline, Late, no_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

JIFFIES = ClockSource("jiffies", 250)
CT4 = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 2048)


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    """A table with 30 established, 20 opening and 10 expired entries."""
    path = bpffs / "cilium_ct4_global"
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=ktime() + 100))
        mapwrite.update_batch(
            gate, live, *ct4_rows(20, lifetime=ktime() + 100, first=100, established=False)
        )
        mapwrite.update_batch(gate, live, *ct4_rows(10, lifetime=1, first=200))
    return path


def user_of(gate: Gate, live: BpfMap) -> int:
    """A program that uses a map; its fd."""
    return load_program(gate, using_map(live.fd), name="user")


@pytest.fixture
def user(gate: Gate, pin: Path) -> Iterator[int]:
    """A program that uses the pinned table."""
    with BpfMap.open(pin) as live:
        fd = user_of(gate, live)
    yield fd
    os.close(fd)


def test_plan_says_what_it_costs_and_changes_nothing(pin: Path) -> None:
    before = BpfMap.open(pin)
    plan = plan_recreate(pin, 4096)
    assert (plan.entries, plan.alive, plan.established) == (60, 50, 30)
    # Whether policy is enforced is not known, and the established ones are quiet since boot.
    assert {(risk.name, why.name): number for risk, why, number in plan.verdicts} == {
        ("AT_RISK", "QUIET"): 30,
        ("COMES_BACK", "FORWARD"): 20,
        ("DEAD", "EXPIRED"): 10,
    }
    assert [(one.property, one.old, one.new) for one in plan.differences] == [
        ("Max entries", 2048, 4096)
    ]
    assert plan.memory_new > plan.memory_old > 2048 * 100
    assert plan.memory_free > 0
    assert "All 60 entries will be lost" in plan.warnings[0]
    with before, BpfMap.open(pin) as after:
        assert after.info.id == before.info.id
        assert after.count() == 60


def test_a_plan_reads_stamps_by_the_nodes_clock(gate: Gate, bpffs: Path) -> None:
    path, now = bpffs / "cilium_ct4_global", ct_now(JIFFIES)
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=now + 100))
        mapwrite.update_batch(gate, live, *ct4_rows(10, lifetime=now - 100, first=200))
    plan = plan_recreate(path, 4096, Reading(clock=JIFFIES))
    assert (plan.entries, plan.alive) == (40, 30)


def test_memory_of_the_new_map_is_what_the_kernel_then_charges(gate: Gate, pin: Path) -> None:
    plan = plan_recreate(pin, 65536)
    recreate(gate, plan)
    with BpfMap.open(pin) as live:
        assert live.info.memlock
        assert plan.memory_new == pytest.approx(live.info.memlock, rel=0.02)


def test_recreated_map_is_empty_larger_and_the_only_pin(gate: Gate, pin: Path) -> None:
    plan = plan_recreate(pin, 4096)
    report = recreate(gate, plan)
    report.check()
    with BpfMap.open(pin) as live:
        assert (live.info.id, live.info.max_entries) == (report.new_id, 4096)
        assert live.count() == 0
    assert report.old_id == plan.info.id
    assert report.lost == 60
    assert list(pinned_maps(pin.parent)) == [pin]
    assert [event.message for event in report.events] == [
        "Max entries mismatch for BPF map",
        "Removing map to allow for property upgrade (expect map data loss)",
        "Re-created BPF map",
    ]


def test_there_is_a_map_at_the_pin_while_the_switch_runs(gate: Gate, pin: Path) -> None:
    seen = []

    def switch() -> None:
        with BpfMap.open(pin) as live:
            seen.append(live.info.max_entries)

    recreate(gate, plan_recreate(pin, 1024), Inline(switch)).check()
    assert seen == [1024]


def test_programs_that_were_not_switched_are_named(gate: Gate, pin: Path, user: int) -> None:
    plan = plan_recreate(pin, 4096)
    assert len(plan.users) == 1
    assert "1 programs keep using map" in plan.warnings[1]
    report = recreate(gate, plan)
    assert report.old_users == plan.users
    os.fstat(user)


def test_failed_switch_pins_the_old_map_again(gate: Gate, pin: Path, user: int) -> None:
    plan = plan_recreate(pin, 4096)

    def switch() -> None:
        raise DatapathError("lxc.c does not compile")

    report = recreate(gate, plan, Inline(switch))
    with BpfMap.open(pin) as live:
        assert live.info.id == plan.info.id == report.pinned_id
        assert live.count() == 60
    assert report.lost == 0
    with pytest.raises(CtconsoleError, match=r"does not compile\. Every program still uses map"):
        report.check()
    assert report.events[-2].kind is EventKind.MAP_PINNED
    os.fstat(user)


def test_switch_that_failed_half_way_keeps_the_new_map(gate: Gate, pin: Path, user: int) -> None:
    moved = []

    def switch() -> None:
        with BpfMap.open(pin) as live:
            moved.append(user_of(gate, live))
        raise DatapathError("the second endpoint was refused")

    report = recreate(gate, plan_recreate(pin, 4096), Inline(switch))
    assert report.pinned_id == report.new_id
    assert "1 programs use the new map and 1 still use the old one" in report.failure
    os.close(moved[0])
    os.fstat(user)


def test_a_switch_that_is_not_waited_for_any_more_moves_nothing(
    gate: Gate, pin: Path, user: int
) -> None:
    plan = plan_recreate(pin, 4096)
    held: list[int] = []
    opened = threading.Event()

    def work(cancelled: threading.Event) -> None:
        """Open the pin and be at it for a while, as a verifier is, before anything is loaded."""
        with BpfMap.open(pin) as live:
            opened.set()
            assert cancelled.wait(10)
            if live.info.id == pinned_id(pin) and not cancelled.is_set():
                held.append(user_of(gate, live))

    def lose() -> None:
        assert opened.wait(10)
        no_answer()

    report = recreate(gate, plan, Late(work, lose))
    assert report.pinned_id == plan.info.id == pinned_id(pin)
    assert "Every program still uses map" in report.failure
    assert users(report.new_id) == ()
    assert users(plan.info.id) == plan.users
    assert not held
    os.fstat(user)


@pytest.mark.parametrize("end", ["timeout", "interrupt", "strange"])
def test_a_program_that_was_loaded_after_the_wait_ended_is_told_of(
    gate: Gate, pin: Path, user: int, end: str
) -> None:
    """The roll back waits for the other side: it was loading one more when it was cancelled."""
    plan = plan_recreate(pin, 4096)
    held: list[int] = []
    opened = threading.Event()

    def work(cancelled: threading.Event) -> None:
        with BpfMap.open(pin) as live:
            opened.set()
            assert cancelled.wait(10)
            held.append(user_of(gate, live))

    def lose() -> None:
        assert opened.wait(10)
        if end == "interrupt":
            signal.raise_signal(signal.SIGINT)
        if end == "strange":
            raise TypeError("an int is wanted")
        no_answer()

    report = recreate(gate, plan, Late(work, lose))
    with BpfMap.open(pin) as live:
        assert live.info.id == report.new_id == report.pinned_id
    assert "1 programs use the new map and 1 still use the old one" in report.failure
    assert report.old_users == plan.users
    assert len(users(report.new_id)) == 1
    assert report.interrupted == (signal.SIGINT if end == "interrupt" else 0)
    assert report.events[-1].message == report.failure
    os.close(held[0])
    os.fstat(user)


def test_what_cannot_be_cancelled_is_never_rolled_back(gate: Gate, pin: Path, user: int) -> None:
    plan = plan_recreate(pin, 4096)
    report = recreate(gate, plan, Inline(no_answer, SwitchEnding.UNKNOWN))
    assert report.pinned_id == report.new_id == pinned_id(pin)
    assert "is not known" in report.failure
    assert "0 programs use the new map and 1 the old one" in report.failure
    assert report.old_users == plan.users
    os.fstat(user)


def test_a_lost_answer_to_a_switch_that_was_done_is_no_failure(gate: Gate, pin: Path) -> None:
    report = recreate(gate, plan_recreate(pin, 4096), Inline(no_answer, SwitchEnding.DONE))
    report.check()
    assert report.pinned_id == report.new_id


def test_who_insists_on_ending_waits_for_no_answer(gate: Gate, pin: Path) -> None:
    class Deaf(Inline):
        def cancel(self) -> SwitchEnding:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the second Ctrl-C ends the wait")

    plan = plan_recreate(pin, 4096)
    report = recreate(gate, plan, Deaf(lambda: signal.raise_signal(signal.SIGINT)))
    assert report.pinned_id == report.new_id
    assert "is not known" in report.failure


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_switch_rolls_back_and_is_reported(
    gate: Gate, pin: Path, number: signal.Signals
) -> None:
    # Where the suite runs without a terminal some of them come ignored.
    before = signal.signal(number, signal.default_int_handler)
    try:
        plan = plan_recreate(pin, 4096)
        report = recreate(gate, plan, Inline(lambda: signal.raise_signal(number)))
    finally:
        signal.signal(number, before)
    assert report.interrupted == number
    assert report.pinned_id == plan.info.id == pinned_id(pin)
    assert "it was interrupted. Every program still uses map" in report.failure
    assert [event.kind for event in report.events[-2:]] == [
        EventKind.MAP_PINNED,
        EventKind.WARNING,
    ]
    assert list(pinned_maps(pin.parent)) == [pin]


def test_an_interrupt_before_the_new_map_is_pinned_changes_nothing(
    gate: Gate, pin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_recreate(pin, 4096)
    count = BpfMap.count

    def interrupted(live: BpfMap) -> int:
        signal.raise_signal(signal.SIGINT)
        return count(live)

    monkeypatch.setattr(BpfMap, "count", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recreate(gate, plan)
    assert pinned_id(pin) == plan.info.id
    assert list(pinned_maps(pin.parent)) == [pin]


def test_what_somebody_else_pinned_meanwhile_is_left_alone(gate: Gate, pin: Path) -> None:
    def replace() -> None:
        pins.unpin(gate, pin)
        with create_map(gate, CT4) as live:
            pins.pin(gate, live, pin)
        no_answer()

    plan = plan_recreate(pin, 4096)
    report = recreate(gate, plan, Inline(replace))
    assert report.pinned_id == pinned_id(pin)
    assert report.pinned_id not in {plan.info.id, report.new_id}
    assert f"Somebody else has pinned map {report.pinned_id}" in report.failure


def replaced(gate: Gate, pin: Path) -> int:
    """Somebody else pins a map of their own there, with three entries; its id."""
    pins.unpin(gate, pin)
    with create_map(gate, CT4) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=1, first=9000))
        pins.pin(gate, live, pin)
        return live.info.id


def interferes(monkeypatch: pytest.MonkeyPatch, pin: Path) -> list[int]:
    """Somebody replaces the pin between a last look and the exchange; the ids of their maps."""
    exchange = pins.exchange
    theirs: list[int] = []

    def exchange_late(gate: Gate, one: Path, other: Path) -> None:
        if not theirs:
            theirs.append(replaced(gate, pin))
        exchange(gate, one, other)

    monkeypatch.setattr(pins, "exchange", exchange_late)
    return theirs


def test_a_pin_that_somebody_replaces_in_that_very_moment_stays_theirs(
    gate: Gate, pin: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_recreate(pin, 4096)
    theirs = interferes(monkeypatch, pin)
    with BpfMap.open(pin) as old, pytest.raises(UsageError, match="was left alone"):
        recreate(gate, plan, Inline(lambda: None))
    assert user
    assert old.info.id == plan.info.id
    with BpfMap.open(pin) as live:
        assert (live.info.id, live.count()) == (theirs[0], 3)
    assert list(pinned_maps(pin.parent)) == [pin]


def test_so_does_one_that_is_replaced_on_the_way_back(
    gate: Gate, pin: Path, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs: list[list[int]] = []

    def fail() -> None:
        theirs.append(interferes(monkeypatch, pin))
        raise DatapathError("lxc.c does not compile")

    report = recreate(gate, plan_recreate(pin, 4096), Inline(fail))
    assert user
    [[number]] = theirs
    assert f"Somebody else has pinned map {number}" in report.failure
    assert pinned_id(pin) == number == report.pinned_id
    assert list(pinned_maps(pin.parent)) == [pin]


def test_a_pin_that_is_gone_by_then_changes_nothing(
    gate: Gate, pin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = pins.exchange

    def exchange_late(gate: Gate, one: Path, other: Path) -> None:
        pins.unpin(gate, pin)
        exchange(gate, one, other)

    plan = plan_recreate(pin, 4096)
    monkeypatch.setattr(pins, "exchange", exchange_late)
    with pytest.raises(GoneError):
        recreate(gate, plan, Inline(lambda: None))
    assert list(pinned_maps(pin.parent)) == []


def test_what_a_killed_run_had_beside_the_pins_is_let_go_of(gate: Gate, pin: Path) -> None:
    with create_map(gate, CT4) as live:
        pins.pin(gate, live, pin.with_name(f"{pin.name}:pending"))
    let_go_of_pending(gate, pin.parent)
    assert list(pinned_maps(pin.parent)) == [pin]


def test_plan_for_a_map_that_was_replaced_meanwhile_is_refused(gate: Gate, pin: Path) -> None:
    plan = plan_recreate(pin, 4096)
    recreate(gate, plan)
    with pytest.raises(UsageError, match="Plan again"):
        recreate(gate, plan)


def test_pending_pin_of_a_killed_run_is_no_obstacle(gate: Gate, pin: Path) -> None:
    with mapwrite.create(gate, CT4) as left:
        pins.pin(gate, left, pin.with_name(f"{pin.name}:pending"))
    recreate(gate, plan_recreate(pin, 4096)).check()
    assert list(pinned_maps(pin.parent)) == [pin]


@pytest.mark.parametrize("entries", [0, -1, 1023, 16777217])
def test_capacity_out_of_range_is_refused(pin: Path, entries: int) -> None:
    with pytest.raises(UsageError, match="1024 to 16777216"):
        plan_recreate(pin, entries)


def test_types_without_a_capacity_to_choose_are_refused(gate: Gate, bpffs: Path) -> None:
    calls = MapSpec("cilium_call_policy", MapType.PROG_ARRAY, 4, 4, 8)
    open_or_create_map(gate, bpffs / "calls", calls).map.close()
    with pytest.raises(UsageError, match="PROG_ARRAY, which cannot be re-created"):
        plan_recreate(bpffs / "calls", 16)


def test_missing_map_is_refused(bpffs: Path) -> None:
    with pytest.raises(GoneError):
        plan_recreate(bpffs / "none", 2048)


def test_the_report_sets_the_forecast_beside_what_has_come_of_it(gate: Gate, pin: Path) -> None:
    plan = plan_recreate(pin, 8192)
    with BpfMap.open(pin) as old:
        dump = old.read()

    def speak() -> None:
        """Five of the connections send something as soon as the programs are there."""
        with BpfMap.open(pin) as new:
            mapwrite.update_batch(gate, new, dump.keys[:5], dump.values[:5])

    report = recreate(gate, plan, Inline(speak))
    rows = {row.label: row.text for row in report.rows}
    assert report.verdicts == plan.verdicts
    assert report.back == 5
    assert rows["outcome"].startswith(f"5 of {len(dump.keys):,} entries are back by now")
    for risk, _, _ in plan.verdicts:
        assert risk.word in rows["forecast"]
