"""The numbers of a report against what was done to the maps, each made to be another one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.passes import Tally
from ctconsole.kernel.slices import SlicedPasses
from ctconsole.manager.resize import run as running
from ctconsole.manager.resize import stages
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.sides import Side
from ctconsole.model.ct.layout import CtFlag, Layout, value_dtype
from tests.support.counting_more import count_more
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Journal
    from tests.support.resized import ProgramOwner


def put(gate: Gate, live: BpfMap, numbers: range, **fields: int) -> None:
    """Store entries of these numbers with these fields, everything else 0."""
    keys, values = ct4_rows(len(numbers), lifetime=0, first=numbers.start)
    values[:] = 0
    rows = values.view(value_dtype(Layout.V1_9))
    for name, value in fields.items():
        rows[name] = value
    mapwrite.update_batch(gate, live, keys, values)


def test_entries_are_counted_as_what_became_of_them(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    now = ktime()
    with BpfMap.open(pin) as old:
        plan = plan_resize({pin: MapWish(4096)})

        def traffic(step: int) -> None:
            if step != 1:
                return
            # 30 new ones by old programs, which have counted 20 of them.
            put(gate, old, range(9000, 9010), lifetime=now + 500)
            put(gate, old, range(9010, 9030), lifetime=now + 500, rx_packets=1)
            # They count 25 more packets of others.
            count_more(gate, old, ct4_rows(25, lifetime=0, first=100)[0], 1)
            # Both sides store 12 anew, with other flags.
            put(gate, old, range(12), lifetime=now + 1000, flags=CtFlag.TX_CLOSING)
            with BpfMap.open(pin) as new:
                put(gate, new, range(12), lifetime=now + 1000, flags=CtFlag.RX_CLOSING)

        owner.on_step = traffic
        report = resize(gate, plan, owner, journal)
    report.check()
    [told] = report.maps
    assert (told.old_id, told.new_id) == (plan.maps[0].info.id, told.pinned_id)
    assert (told.old_entries, told.new_entries) == (2048, 4096)
    assert told.carried == 1130
    assert told.merged == 25
    assert (told.touched, told.recreated) == (12, 12)
    assert (told.contended, told.dropped, told.lost) == (0, 0, 0)
    assert told.verified
    assert (told.verified.entries, told.verified.there) == (1130, 1130)


def test_what_stays_behind_is_counted_by_its_reason(
    gate: Gate, pin: Path, owner: ProgramOwner, journal: Journal
) -> None:
    now = ktime()
    with BpfMap.open(pin) as old:
        put(gate, old, range(40), lifetime=now + 300, flags=CtFlag.RX_CLOSING)
        put(gate, old, range(40, 60), lifetime=now + 100, rx_packets=3)
    # Room for 950, 128 of it in reserve: 150 stay behind.
    plan = plan_resize({pin: MapWish(1334 // 128 * 128)})
    expected = {"expired": 100, "closing": 40, "alive": 1100 - 140 - (1024 - 128)}
    assert plan.maps[0].dropped == expected
    report = resize(gate, plan, owner, journal)
    report.check()
    [told] = report.maps
    assert told.verified
    assert told.verified.dropped == expected
    assert told.carried == told.verified.there == 1024 - 128
    # Who chose to lose them is told how many, and nobody looks for their counts.
    assert told.merged == 0
    assert told.verified.counting == 0


def test_what_the_passes_tell_is_handed_on(
    gate: Gate, pin: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries made anew and words that others keep writing are rare; see the passes' tests."""
    settle = SlicedPasses.settle
    rare = [Tally(moved=3, touched=5, replaced=7, contended=11)]

    def told_rare(passes: SlicedPasses, **asked: int) -> Tally:
        found = settle(passes, **asked)
        return rare.pop() if rare else found

    monkeypatch.setattr(SlicedPasses, "settle", told_rare)
    report = resize(gate, plan_resize({pin: MapWish(4096)}), None, journal)
    [told] = report.maps
    assert (told.merged, told.touched, told.recreated, told.contended) == (3, 5, 7, 11)


class Clock:
    """Time that passes when a stage is at its work, and not else."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def takes(self, monkeypatch: pytest.MonkeyPatch, name: str, seconds: float) -> None:
        """Have a method of `Side` take so long."""
        method = getattr(Side, name)

        def slow(*args: object) -> object:
            self.now += seconds
            return method(*args)

        monkeypatch.setattr(Side, name, slow)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    time = SimpleNamespace(perf_counter=made.read, monotonic=made.read, thread_time=lambda: 0.0)
    for module in (running, stages):
        monkeypatch.setattr(module, "time", time)
    return made


def test_each_stage_has_its_own_time_and_all_together_theirs(
    owner: ProgramOwner, journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = {"choose": 1, "seed": 2, "take_pin": 4, "finish": 16, "prove": 32, "release": 64}
    for name, seconds in spent.items():
        clock.takes(monkeypatch, name, seconds)

    def moved(step: int) -> None:
        clock.now += 8 if step == 1 else 0

    owner.on_step = moved
    report = resize(owner.gate, plan_resize({owner.pin: MapWish(4096)}), owner, journal)
    assert report.stages == {
        "stage": 0.0,
        "seed": 3.0,
        "switch": 12.0,
        "settle": 16.0,
        # Which ends with a look for what has come.
        "verify": 32.0 + 16.0,
        "release": 64.0,
    }
    assert report.seconds == sum(spent.values()) + 8 + 16


def test_the_gap_is_the_longest_time_from_a_pass_to_the_end_of_the_next(
    owner: ProgramOwner, journal: Journal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.takes(monkeypatch, "settle", 3)
    report = resize(owner.gate, plan_resize({owner.pin: MapWish(4096)}), owner, journal)
    assert report.gap == 6
    assert report.facts["gap"] == 6
