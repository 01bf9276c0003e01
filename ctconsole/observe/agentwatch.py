"""The agent's process going and coming, and the options that differ between two of its lives."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.errors import FormatError
from ctconsole.happening import happened
from ctconsole.kernel import procs
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.readers import agentjson
from ctconsole.observe import agentflags, agents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.model.event import Scalar
    from ctconsole.observe.agents import AgentProcess

SEARCH_SECONDS = 1.0
"""Between two searches through all processes while no agent is known; one takes some 10 ms."""

HURRIED_SECONDS = 0.2
"""The same for a minute after an agent went, because the next one is due."""

_HURRY = 60.0


class AgentWatch:
    """Follows the agent in charge of a folder of pins; `step` says what happened.

    Args:
        folder: the folder of pins; asked for each time it is needed.
        agent: who was in charge when somebody looked last; what became of it is told.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        *,
        agent: AgentProcess | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._agent = agent
        self._next_search = 0.0
        self._went_at = 0.0
        self._ended = 0.0
        self._flags = dict(agent.flags) if agent else {}
        self._runtime: dict[str, str] = {}
        self._runtime_read = 0.0
        self._told: dict[str, str] = {}
        self._first = agent is None

    @property
    def agent(self) -> AgentProcess | None:
        """Who is in charge now."""
        return self._agent

    def step(self) -> list[Event]:
        """Look once; costs a tenth of a millisecond while the agent runs."""
        events = list(self._gone())
        if self._agent is None:
            events.extend(self._come())
        if self._agent is not None:
            events.extend(self._configured(self._agent))
        self._first = False
        return events

    def _gone(self) -> Iterator[Event]:
        agent = self._agent
        if agent is None or procs.is_same(agent.process):
            return
        self._agent = None
        self._went_at, self._next_search = time.monotonic(), 0.0
        fields: dict[str, Scalar] = {
            "pid": agent.process.pid,
            "started": agent.process.started,
        }
        text = f"The agent's process {agent.process.pid} ended"
        event = self._event(EventKind.AGENT_STOP, "cilium-agent", text, fields, Level.WARNING)
        self._ended = event.time
        yield event

    def _come(self) -> Iterator[Event]:
        now = time.monotonic()
        if now < self._next_search:
            return
        hurried = self._went_at and now - self._went_at < _HURRY
        self._next_search = now + (HURRIED_SECONDS if hurried else SEARCH_SECONDS)
        agent = agents.find_agent(self._folder())
        if agent is None:
            return
        self._agent = agent
        self._runtime_read = 0.0
        self._told = {}
        if not self._first:
            fields: dict[str, Scalar] = {
                "pid": agent.process.pid,
                "started": agent.process.started,
                "contained": agent.contained,
            }
            text = f"The agent's process {agent.process.pid} started"
            event = self._event(EventKind.AGENT_START, "cilium-agent", text, fields)
            yield replace(event, time=self._began(agent, event.time))
        before, self._flags = self._flags, dict(agent.flags)
        if before:
            for event in self._changes(before, self._flags, "its arguments and config folder"):
                # It had them from its start on, and what followed from them came after.
                yield replace(event, time=self._began(agent, event.time))

    def _began(self, agent: AgentProcess, now: float) -> float:
        """When an agent started, which is a moment before it was found.

        No start lies before the end of the agent that went: clocks are read apart.
        """
        return min(now, max(agent.process.started, self._ended))

    def _configured(self, agent: AgentProcess) -> Iterator[Event]:
        """What the agent itself says it runs with, once it has written it down."""
        file = agent.state_dir / agents.RUNTIME_CONFIG
        try:
            written = file.stat().st_mtime
        except OSError:
            return
        if written == self._runtime_read:
            return
        # The file of the life before is still there until the agent has come that far.
        stale = written < agent.process.started - 1.0
        if stale and self._runtime:
            return
        text = agentflags.read_text(agent.state_dir, agents.RUNTIME_CONFIG)
        with suppress(FormatError):
            found = agentjson.flags(agentjson.document((text or "").encode(), str(file)))
            before, self._runtime = self._runtime, found
            self._runtime_read = written
            # What one release holds and another does not has not been changed by anybody.
            shared = before.keys() & found.keys()
            yield from self._changes(
                {name: before[name] for name in shared},
                {name: found[name] for name in shared},
                str(file),
            )

    def _changes(
        self, before: Mapping[str, str], after: Mapping[str, str], where: str
    ) -> Iterator[Event]:
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ""), after.get(name, "")
            # The command line and the agent's own file tell the same change; once is enough,
            # but only the file knows the default a flag had before it was set.
            known = self._told.get(name)
            if old != new and known != f"{old} {new}":
                self._told[name] = f"{old} {new}"
                fields: dict[str, Scalar] = {"old": old, "new": new, "where": where}
                text = f"--{name} changed: {old or 'not set'} -> {new or 'not set'}"
                yield self._event(EventKind.AGENT_OPTION, name, text, fields)

    def _event(
        self,
        kind: EventKind,
        subject: str,
        text: str,
        fields: Mapping[str, Scalar],
        level: Level = Level.INFO,
    ) -> Event:
        now = self._clock()
        return happened(kind, "observe", subject, text, fields, level=level, at=now)
