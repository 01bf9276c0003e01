"""The line that tells how far something is, on a terminal and elsewhere."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli import progress
from ctconsole.cli.progress import ProgressLine
from ctconsole.cli.streams import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """Stands still unless it is put forward."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """The other end of the terminal that stderr is."""

    def __init__(self, ours: int, its: int) -> None:
        self._ours, self._its = ours, its

    def shown(self) -> str:
        """What came since it was last asked."""
        os.write(self._its, b"|")
        found = b""
        while not found.endswith(b"|"):
            found += os.read(self._ours, 4096)
        return found[:-1].decode()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A terminal for stderr."""
    ours, its = os.openpty()
    with Terminal(os.fdopen(its, "wb", buffering=0), encoding="utf-8") as stream:
        # Pytest puts its own back into sys before the test begins.
        monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
        yield Screen(ours, its)
    os.close(ours)


def test_it_is_shown_after_a_second_and_not_at_every_call(screen: Screen) -> None:
    clock = Clock()
    with ProgressLine(clock) as line:
        clock.now += 0.5
        line.show("one")
        assert screen.shown() == ""
        clock.now += 0.5
        line.show("two")
        line.show("three")
        assert screen.shown() == "\r\x1b[Ktwo"
        clock.now += 0.25
        line.show("four")
        assert screen.shown() == "\r\x1b[Kfour"
    assert screen.shown() == "\r\x1b[K"


def test_what_is_over_sooner_leaves_no_trace(screen: Screen) -> None:
    with ProgressLine(Clock()) as line:
        line.show("one")
    assert screen.shown() == ""


def test_it_stays_on_one_line_and_nothing_in_it_acts(screen: Screen) -> None:
    clock = Clock()
    with ProgressLine(clock) as line:
        clock.now += 1
        line.show("a\nb\x1b]0;title\x07" + "x" * 200)
        text = screen.shown().removeprefix("\r\x1b[K")
    assert text.startswith("a\\x0ab\\x1b]0;title\\x07xx")
    assert len(text) == 79


def test_where_stderr_is_no_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with ProgressLine(clock) as line:
        clock.now += 5
        line.show("one")
    assert capsys.readouterr().err == ""
