"""Nodes and a Prometheus of no machine, for tests of a rolling resize."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ctconsole.errors import ClusterError
from ctconsole.fleet.rolling.answers import NodeResized, RollingLook
from ctconsole.fleet.rolling.health import NodeHealth
from ctconsole.fleet.rolling.journal import NodeState, NodeStep, RollingJournal, RunNotes
from ctconsole.fleet.rolling.run import RollingRun
from ctconsole.fleet.rolling.watch import HealthWatch, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

BEFORE = 1000
SIZE = 2000


@dataclass
class FakeNodes:
    """`NodeWork` on nodes that are a number each.

    Attributes:
        sizes: by name.
        did: every deed, in order.
        fails: raised by the resize of a node instead; what it may do before is `then`.
        then: called with these nodes after a resize of this node, before it is told.
    """

    sizes: dict[str, int]
    did: list[str] = field(default_factory=list)
    fails: dict[str, Exception] = field(default_factory=dict)
    then: Callable[[str], None] = lambda _: None
    busy: dict[str, int] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    lost: int = 0

    def look(self, node: str, entries: int) -> RollingLook:
        if self.busy.get(node, 0):
            self.busy[node] -= 1
            return RollingLook(
                "cilium_ct4_global", 1, 1, all_so=False, changed_by="process 1 resizes"
            )
        now = self.sizes[node]
        return RollingLook(
            "cilium_ct4_global", now, entries, now == entries, cut_off=node in self.cut_off
        )

    def resize(self, node: str, entries: int, *, foreign: bool) -> NodeResized:
        del foreign
        self.did.append(f"{node} {entries}")
        error = self.fails.pop(node, None)
        self.then(node)
        if error is not None:
            raise error
        self.sizes[node] = entries
        self.cut_off.discard(node)
        return NodeResized(10, self.lost, 0.1)

    def undo(self, node: str, before: int, *, foreign: bool) -> NodeResized:
        del foreign
        self.did.append(f"{node} undo")
        self.sizes[node] = before
        return NodeResized(10, 0, 0.1)


@dataclass
class FakeHealth:
    """What Prometheus says, a new sample with each question; its clock goes with them.

    Attributes:
        nodes: whose sizes it sees.
        changed: by node, what is otherwise; fields of `NodeHealth`.
        silent: nodes of which no new sample comes.
        gone: questions that are not answered.
    """

    nodes: FakeNodes
    changed: dict[str, dict[str, object]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    gone: int = 0
    now: float = 0.0

    def read(self, names: Collection[str]) -> Mapping[str, NodeHealth]:
        if self.gone:
            self.gone -= 1
            raise ClusterError("Prometheus is away")
        return {name: self._of(name) for name in names}

    def _of(self, name: str) -> NodeHealth:
        sampled = 1.0 if name in self.silent else 1.0 + self.now
        well = NodeHealth(name, True, sampled, 0, 0, 0, self.nodes.sizes[name], 10)  # noqa: FBT003 - up
        return replace(well, **self.changed.get(name, {}))  # type: ignore[arg-type] # a test's own

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


@dataclass
class FakeOption:
    """`OptionStore`; every value it was given."""

    values: list[str | None] = field(default_factory=list)

    def write(self, value: str | None) -> None:
        self.values.append(value)


def notes(*names: str, option: str = "") -> RunNotes:
    nodes = tuple(NodeStep(name, NodeState.TODO, BEFORE) for name in names)
    return RunNotes("http://x", "a=b", "cilium_ct4_global", SIZE, "me", nodes, option, "old")


@dataclass
class FakeFleet:
    """Three nodes, and a run on them.

    Attributes:
        path: of the journal.
    """

    path: Path
    limits: Limits = field(default_factory=lambda: Limits(seconds=10, silence=50))
    names: tuple[str, ...] = ("a", "b", "c")
    said: list[str] = field(default_factory=list)
    option: FakeOption | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.nodes = FakeNodes(dict.fromkeys(self.names, BEFORE))
        self.health = FakeHealth(self.nodes)

    def run(self, journal: RollingJournal, run: RunNotes | None = None) -> RollingRun:
        """A run, new or of these notes."""
        run = run or notes(*self.names, option="size" if self.option else "")
        journal.write(run)
        watch = HealthWatch(
            self.health.read, self.limits, self.health.wait, self.said.append, self.health.clock
        )
        return RollingRun(
            run,
            journal,
            self.nodes,
            watch,
            self.option,
            is_cancelled=lambda: self.cancelled,
            say=self.said.append,
            patience=0.5,
            wait=lambda _: None,
        )
