from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError, DatapathError, NoSuchMapError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.clock import ct_now, ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.recreate import plan_recreate, recreate
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.ct.reading import Reading
from ctconsole.model.event import EventKind
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import using_map
from tests.support.ct_entries import ct4_rows

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

    recreate(gate, plan_recreate(pin, 1024), switch).check()
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

    report = recreate(gate, plan, switch)
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

    report = recreate(gate, plan_recreate(pin, 4096), switch)
    assert report.pinned_id == report.new_id
    assert "1 programs use the new map and 1 still use the old one" in report.failure
    os.close(moved[0])
    os.fstat(user)


def test_interrupted_switch_rolls_back(gate: Gate, pin: Path) -> None:
    def switch() -> None:
        raise KeyboardInterrupt

    plan = plan_recreate(pin, 4096)
    with pytest.raises(KeyboardInterrupt):
        recreate(gate, plan, switch)
    with BpfMap.open(pin) as live:
        assert live.info.id == plan.info.id


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
    with pytest.raises(NoSuchMapError):
        plan_recreate(bpffs / "none", 2048)
