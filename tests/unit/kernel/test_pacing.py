from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import pacing
from ctconsole.kernel.pacing import LEAST, LONGEST, SLICE, Restraint, paced

if TYPE_CHECKING:
    from pathlib import Path


class Machine:
    """Two CPUs of which others want so much, and slices of work in between.

    Args:
        wanted: CPUs that others would take.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: float) -> None:
        self.now = 1000.0
        self.idle = 5000.0
        self.wanted = wanted
        self.worked = 0.0
        monkeypatch.setattr(pacing, "idle_seconds", lambda: self.idle)
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def run(self, slices: int, steps: int = 0) -> float:
        """Work; the CPUs that it took at the end."""
        restraint = Restraint(steps or slices, cpus=2)
        share = 0.0
        for done in range(1, slices + 1):
            pause = restraint.pause(SLICE, done)
            share = SLICE / (SLICE + pause)
            self.now += SLICE + pause
            self.idle += max(0.0, 2 - share - self.wanted) * (SLICE + pause)
        return share


@pytest.mark.parametrize(
    ("wanted", "share"), [(0.0, 1.0), (0.5, 1.0), (1.5, 0.4), (2.0, 2 * LEAST), (9.0, 2 * LEAST)]
)
def test_it_takes_what_is_idle_and_a_little_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch, wanted: float, share: float
) -> None:
    assert Machine(monkeypatch, wanted).run(500) == pytest.approx(share, abs=0.03)


def test_work_that_would_take_too_long_takes_more(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, wanted=2.0)
    began = machine.now
    machine.run(int(20 / SLICE))
    assert machine.now - began == pytest.approx(LONGEST, rel=0.1)


def test_parts_come_as_far_apart_as_their_work_took_and_others_want(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, wanted=2.0)
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("time.thread_time", lambda: machine.worked)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    seen = []
    for part in paced([b"abc", b"de"], 5, len):
        seen.append(part)
        machine.worked += 0.001 * len(part)
    assert seen == [b"abc", b"de"]
    # Nothing is idle: of two CPUs the work takes a small share.
    pauses = [used * (1 / (2 * LEAST) - 1) for used in (0.003, 0.002)]
    assert slept == pytest.approx(pauses)


def test_idle_time_is_read_from_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 20 30 400 50 0 0 0 0 0\ncpu0 1 2 3 4 5\n")
    monkeypatch.setattr(pacing, "Path", lambda _: stat)
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    assert pacing.idle_seconds() == 4.5
