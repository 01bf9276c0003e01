"""Signals that ask to end during a change: they end a wait, and are only noted everywhere else.

Two steps that belong together are never parted by a signal. A change that was asked to end stops
where it can say how everything stands.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from ctconsole.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts(Closing):
    """Takes over the signals that ask to end while it is entered.

    In a thread that is not the main one it does nothing, because no signal comes there. A signal
    that is ignored stays ignored. One that is inside another tells it what it hears.

    Attributes:
        noted: the signal that came first, 0 for none.
    """

    def __init__(self) -> None:
        self.noted = 0
        self._pending = False
        self._waiting = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _POLITE:
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave us
        self._before = {}

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let a signal, also one noted before, end this block with KeyboardInterrupt."""
        self._waiting = True
        try:
            self.check()
            yield
        finally:
            self._waiting = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came that nothing was done about yet."""
        if self._pending:
            raise KeyboardInterrupt

    def again(self) -> None:
        """What came so far is being seen to; only one that comes from now on ends a block."""
        self._pending = False

    def note(self, number: int) -> None:
        """Note a signal, which one inside this one hears."""
        self.noted = self.noted or number
        self._pending = True
        outer = getattr(self._before.get(number), "__self__", None)
        if isinstance(outer, Interrupts):
            outer.note(number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.note(number)
        if self._waiting:
            raise KeyboardInterrupt
