"""How fast the kernel counts jiffies is measured right, also when the machine is under load."""

from __future__ import annotations

import time

import pytest

from ctconsole.kernel import clock


class Machine:
    """A clock on the wall and jiffies that follow it, on which each look takes its time.

    The second look takes ``stall`` seconds longer: something else has the processor.
    """

    def __init__(self, hertz: float, look: float, stall: float) -> None:
        self.now, self.hertz, self.look = 50_000.0, hertz, look
        self.stalls = [0.0, stall]

    def pass_on(self) -> None:
        self.now += self.look + (self.stalls.pop(0) if self.stalls else 0.0)

    def monotonic(self) -> float:
        self.pass_on()
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.look

    def jiffies(self) -> int:
        self.pass_on()
        return int(self.now * self.hertz)


def measured(
    monkeypatch: pytest.MonkeyPatch, hertz: float, look: float, stall: float = 0.0
) -> int | None:
    machine = Machine(hertz, look, stall)
    monkeypatch.setattr(time, "monotonic", machine.monotonic)
    monkeypatch.setattr(time, "sleep", machine.sleep)
    monkeypatch.setattr(clock, "jiffies", machine.jiffies)
    return clock.measured_hertz()


@pytest.mark.parametrize("look", [1e-5, 0.005, 0.05], ids=["quiet", "busy", "starved"])
@pytest.mark.parametrize("hertz", clock.USUAL_HERTZ)
def test_each_usual_rate_is_told(monkeypatch: pytest.MonkeyPatch, hertz: int, look: float) -> None:
    assert measured(monkeypatch, hertz, look) == hertz


@pytest.mark.parametrize("hertz", clock.USUAL_HERTZ)
def test_a_look_that_is_held_up_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, hertz: int
) -> None:
    assert measured(monkeypatch, hertz, 1e-5, stall=0.08) == hertz


def test_no_usual_rate_is_told_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, 500, 1e-5) is None


def test_where_looks_take_too_long_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, 250, 5.0) is None
