"""The ticket of a switch that an agent of ours carries out, asked for over its socket."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, cast

from ctconsole.agent import wire
from ctconsole.agent.jobs import JobState
from ctconsole.agent.state import StateDir
from ctconsole.errors import AgentError, AgentRefusedError, RequestFailedError
from ctconsole.manager.switch import SwitchEnding, SwitchProgress

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.agent.answers import SwitchState
    from ctconsole.agent.state import AgentSettings

SILENCE = 90.0
"""Seconds without a sign of life of the work after which it is given up."""

_ANSWER = 10.0
"""Seconds for one answer about a switch, which needs no work."""

_PAUSE = 0.2


class AgentTicket:
    """A switch of all the endpoints of an agent (see `ctconsole.manager.switch.Ticket`).

    Args:
        settings: of the running agent.
        pin: where the map is pinned that the programs are to be bound to; None for whatever
            maps are pinned.
        map_id: that map's kernel id.
    """

    def __init__(self, settings: AgentSettings, pin: Path | None = None, map_id: int = 0) -> None:
        self._id = secrets.token_hex(8)
        self._state = StateDir(settings.state_dir)
        self._pin, self._map_id = pin, map_id
        self._refused = False

    def begin(self) -> None:
        """See `Ticket`."""
        pin = str(self._pin.absolute()) if self._pin else None
        try:
            self._ask("switch-begin", pin=pin, map_id=self._map_id)
        except RequestFailedError:
            # It has answered: there is no such job.
            self._refused = True
            raise

    def progress(self) -> SwitchProgress:
        """See `Ticket`."""
        found = self._ask("switch-progress")
        return SwitchProgress(found["done"], found["of"], found["now"])

    def wait(self) -> None:
        """See `Ticket`."""
        while True:
            found = self._look("switch-progress")
            if found is None:
                raise AgentError("the agent ended while it moved the programs")
            if found["state"] == JobState.DONE:
                return
            if found["state"] != JobState.RUNNING:
                raise AgentError(found["error"])
            if found["age"] > SILENCE:
                raise AgentError(
                    f"the agent has got no further for {found['age']:.0f} s with {found['now']}"
                )

    def cancel(self) -> SwitchEnding:
        """See `Ticket`."""
        if self._refused:
            return SwitchEnding.STOPPED
        while True:
            try:
                found = self._look("switch-cancel")
            except AgentError:
                return SwitchEnding.UNKNOWN
            if found is None:
                return SwitchEnding.STOPPED
            if found["state"] == JobState.DONE:
                return SwitchEnding.DONE
            if found["state"] != JobState.RUNNING:
                return SwitchEnding.STOPPED
            if found["age"] > SILENCE:
                return SwitchEnding.UNKNOWN

    def _look(self, verb: str) -> SwitchState | None:
        """The agent's answer, asked for again while it is silent; None where it is no more.

        Raises:
            AgentError: it runs and stays silent, or does not answer as an agent does.
        """
        end = time.monotonic() + SILENCE
        while True:
            try:
                return self._ask(verb, wait=_PAUSE)
            except (RequestFailedError, AgentRefusedError):
                raise
            except AgentError as error:
                # A process that is gone has taken all its threads along, before its lock.
                if self._state.running_pid() is None:
                    return None
                if time.monotonic() > end:
                    raise AgentError(
                        f"the agent has been silent for {SILENCE:.0f} s: {error.message}"
                    ) from error
                time.sleep(_PAUSE)

    def _ask(self, verb: str, **fields: Any) -> SwitchState:  # noqa: ANN401 - JSON
        answer = wire.request(self._state.socket, verb, total=_ANSWER, id=self._id, **fields)
        return cast("SwitchState", answer)
