from __future__ import annotations

import signal

import pytest

from ctconsole.cli.ending import carry_out
from ctconsole.errors import UsageError
from ctconsole.manager.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_a_signal_ended_tells_its_state_and_which_it_was(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    def act() -> None:
        with Interrupts() as heard:
            signal.raise_signal(number)
            if heard.noted:
                raise UsageError("It was cancelled, and everything is as it was")

    assert carry_out(act) == 128 + number
    assert capsys.readouterr().err == ("ctconsole: It was cancelled, and everything is as it was\n")


def test_what_was_torn_off_before_it_changed_anything_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def act() -> None:
        with Interrupts() as heard, heard.waiting():
            signal.raise_signal(signal.SIGTERM)

    assert carry_out(act) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == ""


def test_what_could_not_be_ended_any_more_is_done() -> None:
    assert carry_out(lambda: signal.raise_signal(signal.SIGINT)) == 0


def test_what_fails_by_itself_fails_as_ever() -> None:
    before = signal.getsignal(signal.SIGINT)  # not Python's own where the run came by nohup

    def act() -> None:
        raise UsageError("There is no such map")

    with pytest.raises(UsageError, match="no such map"):
        carry_out(act)
    assert signal.getsignal(signal.SIGINT) is before
