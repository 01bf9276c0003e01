from __future__ import annotations

import os
import signal

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


def test_the_old_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in STOPPING]
    with stopping():
        assert signal.getsignal(signal.SIGHUP) not in before
    assert [signal.getsignal(number) for number in STOPPING] == before
