"""Threads that go on: one supervised loop for all work that is done again and again.

A step that raises does not end its loop: it is told, and tried again after a pause that grows.
What the loops of this process are worth can be asked at any time (`troubles`), so that none of
them stands still in silence.
"""

from __future__ import annotations

import threading
import time
import traceback
import weakref
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ctconsole.errors import CtconsoleError
from ctconsole.happening import happened
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.model.event import Scalar

    Step: TypeAlias = Callable[[], float | None]

FIRST_PAUSE: Final = 0.1
"""Seconds until a step that raised is tried again for the first time; then twice as long."""

LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries at most."""

_lock = threading.Lock()
_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class LoopState:
    """How a loop is doing.

    Attributes:
        name: which loop.
        running: whether it goes on.
        failures: steps in a row that raised; 0 while all is well.
        error: what the last of them said; empty while all is well.
        since: when the first of them raised, seconds since the Unix epoch; 0 while all is well.
    """

    name: str
    running: bool = False
    failures: int = 0
    error: str = ""
    since: float = 0.0

    def __str__(self) -> str:
        if not self.error:
            return f"The {self.name} loop {'runs' if self.running else 'does not run'}"
        if self.running:
            return f"The {self.name} loop fails and is tried again: {self.error}"
        return f"The {self.name} loop has ended: {self.error}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> LoopState:
        """Undo `as_dict`; more fields than these are no fault."""
        return cls(**{one.name: found[one.name] for one in fields(cls)})


class Loop:
    """Calls a step again and again, in a thread of its own (`start`) or in this one (`run`).

    Args:
        name: of the loop and of its thread.
        step: one turn. Answers how many seconds to rest before the next, None where there is
            nothing left to do. Whatever it raises is told and tried again; only what is no
            ``Exception`` (the interpreter's own wish to end) ends the loop.
        on_failure: told the first failure in a row, each one that says something else, and an
            end by failure. Called in the loop's thread; what it raises is lost.
        finish: called in the loop's thread when it ends, however it ends.

    Attributes:
        stopping: set when it is to end; a long step looks at it.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        on_failure: Callable[[LoopState], None],
        *,
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._step = step
        self._on_failure = on_failure
        self._finish = finish
        self._wake = threading.Event()
        self._state = LoopState(name)
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> LoopState:
        """How it is doing; answers at once."""
        return self._state

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    @property
    def alive(self) -> bool:
        """Whether its thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> bool:
        """Begin in a thread of its own; False where it had begun before."""
        if self._thread is not None:
            return False
        self._thread = threading.Thread(target=self.run, name=self.name, daemon=True)
        self._thread.start()
        return True

    def run(self) -> None:
        """Be the loop, until stopped or until there is nothing left to do."""
        self._state = replace(self._state, running=True)
        with _lock:
            _loops.add(self)
        try:
            self._turns()
        except BaseException as error:
            self._failed(error, running=False)
            raise
        else:
            self._state = LoopState(self.name)
            with _lock:
                _loops.discard(self)
        finally:
            if self._finish is not None:
                _quietly(self._finish)

    def hurry(self) -> None:
        """End the rest, or the pause after a failure: the next step comes now."""
        self._wake.set()

    def stop(self, patience: float = 1.0) -> bool:
        """Have it end after the step under way.

        Args:
            patience: seconds to wait for that at most.

        Returns:
            Whether it has ended. One that has not ends by itself when its step does.
        """
        self.stopping.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(patience)
        with _lock:
            # Who is told to end is no trouble any more.
            _loops.discard(self)
        return not self.alive

    def _turns(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            try:
                rest = self._step()
            except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
                rest = self._failed(error, running=True)
            else:
                if self._state.failures:
                    self._state = LoopState(self.name, running=True)
            # stop() may have come before the wish to hurry was forgotten.
            if rest is None or self.stopping.is_set():
                return
            if rest > 0:
                self._wake.wait(rest)

    def _failed(self, error: BaseException, *, running: bool) -> float:
        """Take note of a failure; seconds until the next try."""
        before = self._state
        said = sentence(error)
        self._state = LoopState(
            self.name, running, before.failures + 1, said, before.since or time.time()
        )
        if (said != before.error or not running) and not self.stopping.is_set():
            _quietly(lambda: self._on_failure(self._state))
        return pause_after(self._state.failures)


def pause_after(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))


def states() -> tuple[LoopState, ...]:
    """Every loop of this process that runs, or that has ended by a failure, by name."""
    with _lock:
        found = [loop.state for loop in _loops]
    return tuple(sorted(found, key=lambda state: state.name))


def troubles() -> tuple[LoopState, ...]:
    """Those of them that fail or have ended."""
    return tuple(state for state in states() if state.error)


def event(state: LoopState, source: str, subject: str) -> Event:
    """A loop's trouble as an event."""
    about: dict[str, Scalar] = {
        "loop": state.name,
        "failures": state.failures,
        "error": state.error,
    }
    level = Level.WARNING if state.running else Level.ERROR
    return happened(EventKind.WARNING, source, subject, str(state), about, level=level)


def sentence(error: BaseException) -> str:
    """What an error says; of a fault of this program also where it is."""
    if isinstance(error, CtconsoleError | OSError):
        return str(error)
    if isinstance(error, MemoryError):
        more = str(error)
        return f"There is not enough memory: {more}" if more else "There is not enough memory"
    place = traceback.extract_tb(error.__traceback__, limit=-1)
    where = f" at {Path(place[-1].filename).name}:{place[-1].lineno}" if place else ""
    return f"a fault of this program{where}: {error!r}"


def _quietly(work: Callable[[], None]) -> None:
    """Run what must not end a loop."""
    try:
        work()
    except Exception:  # noqa: BLE001 - the loop has said what there is to say in its state
        return
