"""Looks at what is known of a node, at its agent and at this process."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import procs
from ctconsole.kernel.procstat import own_threads, process_use
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.observe.discovery import OWN_RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.kernel.procstat import ThreadUse
    from ctconsole.observe.discovery import Fact, NodeFacts, OwnAgentAt

_LOOK_AGAIN: Final = 5.0
"""Seconds between two searches for an agent of ours."""

_OPTIONS: Final = ("bpf-ct-global-tcp-max", "bpf-ct-global-any-max", "bpf-nat-global-max")


class AgentMeter:
    """Looks at the agent in charge, again and again.

    Args:
        own: see `discover`; may take milliseconds.
        clock: a clock in seconds.
    """

    def __init__(self, own: OwnAgentAt, clock: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._clock = clock
        self._due = 0.0
        self._own_pid: int | None = None
        self._before: tuple[int, int, float, float] | None = None

    def look(self, facts: NodeFacts | None) -> AgentCard | None:
        """The agent as it is now; None as long as nobody has looked for one."""
        if facts is None:
            return None
        if facts.agent is not None:
            release = str(facts.version.value) if facts.version else ""
            process = facts.agent.process
            return self._measured("Cilium", release, process.pid, process.ticks)
        now = self._clock()
        if now >= self._due:
            self._due = now + _LOOK_AGAIN
            own = self._own(facts.globals)
            self._own_pid = own.pid if own is not None else None
        if self._own_pid is None:
            return AgentCard(why="no agent that uses these maps runs")
        return self._measured("ctconsole", "", self._own_pid, None)

    def _measured(self, what: str, release: str, pid: int, ticks: int | None) -> AgentCard:
        use, now = process_use(pid), self._clock()
        if use is None or ticks not in {None, use.start}:
            self._before = None
            self._due = 0.0
            return AgentCard(what, release, why=f"its process {pid} has ended")
        cpu = None
        before, self._before = self._before, (pid, use.start, use.cpu_seconds, now)
        if before is not None and before[:2] == (pid, use.start) and now > before[3]:
            cpu = (use.cpu_seconds - before[2]) / (now - before[3])
        return AgentCard(what, release, pid, _started(pid), cpu, use.memory)


def _started(pid: int) -> float:
    found = procs.find(pid)
    return found.started if found is not None else 0.0


def facts_told(facts: NodeFacts | None) -> tuple[KnownFact, ...]:
    """What discovery found, each with how it is known."""
    return tuple(_told(facts)) if facts is not None else ()


def _told(facts: NodeFacts) -> Iterator[KnownFact]:
    yield KnownFact("kernel", os.uname().release, "uname")
    yield KnownFact("bpffs", str(facts.bpf_root), "looked at")
    yield KnownFact("maps", str(facts.globals), "where the pins are")
    agent, own = facts.agent, facts.own
    if own is not None:
        yield KnownFact("agent", f"ctconsole's own, process {own.pid}", "holds its state folder")
        yield KnownFact("state folder", str(own.state_dir), "its settings name this bpffs")
    if agent is not None:
        where = "in a container" if agent.contained else "on the node"
        yield KnownFact("agent", f"process {agent.process.pid}", f"runs {where}")
        yield KnownFact("socket", str(agent.socket), "its options, else the usual place")
    release = OWN_RELEASE if own is not None else facts.version
    yield _fact("release", release, _no_release(facts))
    clock = facts.clock
    unit = f"jiffies of {clock.value.hertz} Hz" if clock.value.uses_jiffies else "seconds"
    yield KnownFact("clock", unit, clock.origin)
    yield _fact("layout", facts.layout, "told by the entries themselves")
    for name in _OPTIONS:
        if name in facts.options:
            yield KnownFact(name, facts.options[name], facts.options_origin)
    if facts.options:
        yield KnownFact("options", f"{len(facts.options)} in all", facts.options_origin)
    for note in facts.notes:
        yield KnownFact("note", note, "")


def _no_release(facts: NodeFacts) -> str:
    """Why the release is not known."""
    return "no agent runs that tells it" if facts.agent is None else "the agent does not tell it"


def _fact(name: str, fact: Fact[Any] | None, why_not: str) -> KnownFact:
    if fact is None:
        return KnownFact(name, "not known", why_not)
    sure = "" if fact.certain else "a guess: "
    return KnownFact(name, str(fact.value), sure + fact.origin)


@dataclass(frozen=True, slots=True)
class OwnCost:
    """What this process costs.

    Attributes:
        pid: its id.
        cpu: share of one CPU since the look before; None where that was the first.
        cpu_seconds: since it began.
        memory: bytes resident.
        threads: each thread, those that used most first.
    """

    pid: int
    cpu: float | None
    cpu_seconds: float
    memory: int
    threads: tuple[ThreadUse, ...]


class CostMeter:
    """Looks at this process.

    Args:
        clock: a clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tuple[float, float] | None = None

    def look(self) -> OwnCost:
        """What it costs now."""
        use, now = process_use(os.getpid()), self._clock()
        assert use is not None, "a process that asks exists"  # noqa: S101 - cannot be otherwise
        cpu = None
        if self._before is not None and now > self._before[1]:
            cpu = (use.cpu_seconds - self._before[0]) / (now - self._before[1])
        self._before = (use.cpu_seconds, now)
        return OwnCost(os.getpid(), cpu, use.cpu_seconds, use.memory, tuple(own_threads()))
