from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from ctconsole.lab.signals import STOPPING, stopping


def test_sigterm_unwinds_the_block_with_its_own_exit_code() -> None:
    with pytest.raises(SystemExit) as raised, stopping():
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value.code == 128 + signal.SIGTERM


def test_sigint_stays_a_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), stopping():
        os.kill(os.getpid(), signal.SIGINT)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_the_first_signal_asks_and_the_second_insists() -> None:
    asked: list[int] = []
    with stopping() as stop:
        stop.politely = lambda: asked.append(1)
        send(signal.SIGTERM)
        assert (asked, stop.number) == ([1], signal.SIGTERM)
        with pytest.raises(SystemExit):
            send(signal.SIGTERM)
    assert asked == [1]


def test_clearing_up_is_not_interrupted() -> None:
    with stopping() as stop:
        with pytest.raises(SystemExit):
            send(signal.SIGTERM)
        stop.hold()
        send(*STOPPING)


class Finalised:
    """In whose end a signal comes; what is raised there Python ignores."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self._number)


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_that_comes_where_nothing_can_be_raised_is_not_lost(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    def work() -> None:
        Finalised(number)
        time.sleep(20)

    began = time.monotonic()
    with pytest.raises(raised), stopping():
        work()
    assert time.monotonic() - began < 15


def test_the_old_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with stopping():
        assert signal.getsignal(signal.SIGHUP) not in before
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_what_else_is_lost_is_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(str(what.exc_value)))

    class Broken:
        def __del__(self) -> None:
            raise ValueError("of its own")

    with stopping():
        Broken()
    assert told == ["of its own"]
