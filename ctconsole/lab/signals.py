"""Ending in good order on SIGINT, SIGTERM and SIGHUP, so that nothing is left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_AGAIN: Final = 0.01
"""Seconds after which a signal comes again that was lost."""

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
        self._raised: BaseException | None = None

    def hold(self) -> None:
        """From now on signals do nothing: what runs now is the clearing up."""
        self._held = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: ask, else raise KeyboardInterrupt or SystemExit, once."""
        del frame
        if self._held or self._raised is not None:
            return
        self.number = self.number or number
        if self.politely is not None:
            ask, self.politely = self.politely, None
            ask()
            return
        self._raised = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        raise self._raised

    def end(self) -> None:
        """Nothing comes any more; what was raised is let go of, with the frames it went through."""
        self._held, self._raised = True, None

    def heard(self, lost: BaseException | None) -> bool:
        """Send the signal once more if what it raised was lost; whether it was.

        Python ignores what is raised while an object is finalised, and so do callbacks of C. The
        next one comes a moment later, from a thread: this is called in such a place.
        """
        if lost is None or lost is not self._raised:
            return False
        self._raised = None
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), self.number))
        again.daemon = True
        again.start()
        return True


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let the three signals unwind the stack; the old handlers come back afterwards.

    Only the main thread can use it.
    """
    stop, told = Stop(), sys.unraisablehook

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if not stop.heard(what.exc_value):
            told(what)

    before = {number: signal.signal(number, stop) for number in STOPPING}
    sys.unraisablehook = unraisable
    try:
        yield stop
    finally:
        sys.unraisablehook = told
        stop.end()
        for number, handler in before.items():
            signal.signal(number, handler)
