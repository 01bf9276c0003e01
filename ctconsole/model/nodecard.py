"""What is known of a node and of its agent, as values to be shown and to be recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownFact:
    """One thing known of a node.

    Attributes:
        name: what it is about.
        value: what is known; ``not known`` where nothing is.
        origin: how it is known, or why not.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class AgentCard:
    """The agent of a node at one moment.

    Attributes:
        what: ``Cilium`` or ``ctconsole``; empty where none runs.
        release: which; empty where not known.
        pid: its process; 0 where not known.
        started: when that began, seconds since the Unix epoch; 0 where not known.
        cpu: share of one CPU it used since the look before; None where that was the first.
        memory: bytes resident; None where not known.
        why: why there is no agent, or nothing more is known of it; empty where all is known.
    """

    what: str = ""
    release: str = ""
    pid: int = 0
    started: float = 0.0
    cpu: float | None = None
    memory: int | None = None
    why: str = ""
