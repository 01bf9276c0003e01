"""Ending in good order on SIGINT, SIGTERM and SIGHUP, so that nothing is left behind."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """What a stopping signal does inside `stopping`.

    Attributes:
        politely: asks what runs to end by itself, e.g. the console's loop; None while nothing
            can be asked. The second signal does not ask again.
        number: the first signal that came, 0 while none has.
    """

    def __init__(self) -> None:
        self.politely: Callable[[], None] | None = None
        self.number = 0
        self._held = False
        self._done = False

    def hold(self) -> None:
        """From now on signals do nothing: what runs now is the clearing up."""
        self._held = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: ask, else raise KeyboardInterrupt or SystemExit, once."""
        del frame
        if self._held or self._done:
            return
        self.number = self.number or number
        if self.politely is not None:
            ask, self.politely = self.politely, None
            ask()
            return
        self._done = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let the three signals unwind the stack; the old handlers come back afterwards.

    Only the main thread can use it.
    """
    stop = Stop()
    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
