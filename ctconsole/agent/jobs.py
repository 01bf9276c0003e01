"""The agent's side of a switch: a job that says how far it is and ends when it is told to.

Who asks for a switch chooses its id. So it can be cancelled although the answer to its beginning
was lost, and an id that was cancelled before it began never begins.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from typing import TYPE_CHECKING

from ctconsole.errors import AgentError, CtconsoleError, EndedEarlyError
from ctconsole.manager.bpfmap import pinned_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.agent.answers import SwitchState

_KEPT = 32
"""Jobs that are remembered."""


class JobState(StrEnum):
    """How a job stands; but for the first they are for good."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One switch. Safe to use from several threads.

    Args:
        number: its id.
        pin: where the map is pinned that programs are to be bound to; None for whatever is
            pinned everywhere.
        map_id: that map's kernel id.
    """

    def __init__(self, number: str, pin: Path | None, map_id: int) -> None:
        self.id = number
        self._pin, self._map_id = pin, map_id
        self._changed = threading.Condition()
        self._state = JobState.RUNNING
        self._progress = (0, 0, "waiting for its turn")
        self._alive = time.monotonic()
        self._error = ""
        self._told_to_end = ""

    def step(self, done: int, of: int, now: str) -> None:
        """Say how far it is; to be called before whatever cannot be taken back.

        Raises:
            EndedEarlyError: it was told to end, or another map is pinned by now.
        """
        with self._changed:
            self._progress, self._alive = (done, of, now), time.monotonic()
            self._changed.notify_all()
            self._check()
        if self._pin is not None and (found := pinned_id(self._pin)) != self._map_id:
            what = f"map {found}" if found else "nothing"
            raise EndedEarlyError(
                f"{self._pin} was to be map {self._map_id}, and {what} is pinned there now"
            )

    def finish(self) -> None:
        """All is done: from here on it cannot be cancelled.

        Raises:
            EndedEarlyError: it was told to end before.
        """
        with self._changed:
            self._check()
            self._end(JobState.DONE, "")

    def run(self, work: Callable[[Job], None]) -> None:
        """Do the work, which calls `step` and at last `finish`; whatever it raises is kept."""
        try:
            work(self)
        except EndedEarlyError as error:
            self._fail(JobState.CANCELLED, str(error))
        except CtconsoleError as error:
            self._fail(JobState.FAILED, str(error))
        except Exception as error:  # noqa: BLE001 - whoever waits is to hear of it
            self._fail(JobState.FAILED, f"{type(error).__name__}: {error}")

    def cancel(self, reason: str) -> None:
        """Have it end before its next step; `answer` tells when it has."""
        with self._changed:
            self._told_to_end = self._told_to_end or reason
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it will load nothing more."""
        return self._state is not JobState.RUNNING

    def answer(self, seconds: float = 0.0) -> SwitchState:
        """How it stands, after waiting so long for it to end."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended, seconds)
            done, of, now = self._progress
            return {
                "id": self.id,
                "state": self._state.value,
                "done": done,
                "of": of,
                "now": now,
                "age": time.monotonic() - self._alive,
                "error": self._error,
            }

    def _check(self) -> None:
        if self._told_to_end:
            raise EndedEarlyError(self._told_to_end)

    def _fail(self, state: JobState, error: str) -> None:
        with self._changed:
            if not self.ended:
                self._end(state, error)

    def _end(self, state: JobState, error: str) -> None:
        self._state, self._error = state, error
        self._changed.notify_all()


class Jobs:
    """The switches of an agent, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._closed = ""

    def begin(
        self, number: str, pin: Path | None, map_id: int, work: Callable[[Job], None]
    ) -> SwitchState:
        """Begin a switch in a thread of its own; one that was begun or cancelled stays so.

        Raises:
            AgentError: another one is under way, or the agent stops.
        """
        with self._lock:
            if number in self._jobs:
                return self._jobs[number].answer()
            if self._closed:
                raise AgentError(f"The agent loads no programs any more: {self._closed}")
            if any(not one.ended for one in self._jobs.values()):
                raise AgentError("The agent is moving programs already", hint="Try again later")
            job = self._keep(Job(number, pin, map_id))
            thread = threading.Thread(target=job.run, args=(work,), name="switch", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                job.run(_raising(AgentError(f"The agent has no room for a thread: {error}")))
        return job.answer()

    def progress(self, number: str, seconds: float) -> SwitchState:
        """How a switch stands, after waiting so long for it to end.

        Raises:
            AgentError: it is not known.
        """
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise AgentError("The agent knows nothing of this switch: it was started anew")
        return job.answer(seconds)

    def cancel(self, number: str, reason: str, seconds: float) -> SwitchState:
        """Have a switch end; the answer says whether it has. An unknown one will never begin."""
        with self._lock:
            job = self._jobs.get(number)
            if job is None:
                job = self._keep(Job(number, None, 0))
                job.run(_raising(EndedEarlyError(reason)))
        job.cancel(reason)
        return job.answer(seconds)

    def close(self, reason: str) -> None:
        """Take no more, end those under way, and return when they have ended."""
        with self._lock:
            self._closed = reason
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel(reason)
        for job in jobs:
            while not job.ended:
                job.answer(1.0)

    def _keep(self, job: Job) -> Job:
        over = len(self._jobs) + 1 - _KEPT
        for number in [one.id for one in self._jobs.values() if one.ended][: max(0, over)]:
            del self._jobs[number]
        self._jobs[job.id] = job
        return job


def _raising(error: AgentError) -> Callable[[Job], None]:
    def work(_job: Job) -> None:
        raise error

    return work
