"""How far something is that takes its time, on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ctconsole.cli.common import message
from ctconsole.cli.streams import Terminal, stream_width
from ctconsole.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE: Final = 1.0
"""Seconds after which it is shown: what is over sooner needs no line."""

_PAUSE: Final = 0.2
"""Seconds between two texts."""

_AGAIN: Final = "\r\x1b[K"
"""To the beginning of the line, and nothing left of what stood there (ECMA-48 CR and EL)."""


class ProgressLine(Closing):
    """One line on a terminal, written over again; nothing where stderr is none.

    It is gone when it is closed, and may be used again for the next thing.

    Args:
        clock: seconds that go on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock() + _PATIENCE
        self._is_shown = False

    def show(self, text: str) -> None:
        """Show this in the place of what was shown, if it is time for it."""
        now = self._clock()
        if now >= self._due and isinstance(sys.stderr, Terminal):
            from ctconsole.model.text.safe import cell

            self._due = now + _PAUSE
            self._is_shown = True
            _write(sys.stderr, _AGAIN + cell(text)[: stream_width(sys.stderr) - 1])

    def close(self) -> None:
        """Leave the line empty."""
        if self._is_shown and isinstance(sys.stderr, Terminal):
            _write(sys.stderr, _AGAIN)
        self._is_shown = False
        self._due = self._clock() + _PATIENCE


def wait(seconds: float, what: str) -> None:
    """Wait, and tell a person for how long yet.

    Args:
        seconds: how long.
        what: what is waited for; the seconds that are left follow.
    """
    end = time.monotonic() + seconds
    with ProgressLine() as line:
        while (left := end - time.monotonic()) > 0:
            line.show(f"{what} {left:.0f} s")
            time.sleep(min(left, _PAUSE))


def each_once() -> Callable[[str], None]:
    """Tells what is going on, a line for each thing and none again for the same."""
    said = ""

    def tell(text: str) -> None:
        nonlocal said
        if text != said:
            said = text
            message(text)

    return tell


def _write(stream: Terminal, text: str) -> None:
    # Where it cannot be said, what is being done goes on.
    with suppress(OSError):
        stream.styled(text)
        stream.flush()
