"""One node, as a rolling resize sees to it: by ``ctconsole map resize`` in a pod that runs there.

That is what a person would do on the node: the same plan, the same lock and journal, the same
way back, with nobody's hands on its maps but of the program that knows them. Nothing of it comes
over the network but a command and what it prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from ctconsole.errors import ClusterError, CtconsoleError, UsageError
from ctconsole.fleet.kube.errors import said
from ctconsole.fleet.kube.inside import run_in_pod
from ctconsole.fleet.rolling.answers import read_look, read_resized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.kube.inside import PodRun
    from ctconsole.fleet.kube.objects import KubePod
    from ctconsole.fleet.rolling.answers import NodeResized, RollingLook

_LOOKING: Final = 120.0
"""Seconds for a plan, which reads the whole table."""

_DUE: Final = "ctconsole-restart-due"
_RESTART: Final = f"echo {_DUE} > /proc/$PPID/fd/2"
"""What the node runs as its restart command: a line on its stderr, which is heard here."""

_MAP_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_AGENT_FAILED: Final = 2
"""The exit code of what cannot be meant: an undo of what was not resized, or too long ago."""


class NodeWork(Protocol):
    """What a run asks of a node, by its name."""

    def look(self, node: str, entries: int) -> RollingLook:
        """How it is, and what the size would change."""
        ...

    def resize(self, node: str, entries: int, *, foreign: bool) -> NodeResized:
        """Give its maps the size."""
        ...

    def undo(self, node: str, before: int, *, foreign: bool) -> NodeResized:
        """Give its maps the size before."""
        ...


@dataclass(frozen=True, slots=True)
class Pods:
    """Where commands run, and what is restarted.

    Attributes:
        namespace: of the pods.
        selector: of those in which ctconsole is.
        container: of them; empty where they have one.
        agents: the selector of the agents' pods, of the same namespace.
        restart: whether those may be deleted to restart an agent.
    """

    namespace: str
    selector: str
    container: str = ""
    agents: str = "k8s-app=cilium"
    restart: bool = False


@dataclass(frozen=True, slots=True)
class PodWork:
    """`NodeWork` in pods. Safe from any thread: each command has connections of its own.

    Attributes:
        cluster: whose nodes.
        pods: where.
        map_name: of the map, as ``map resize`` takes it.
        patience: seconds for one resize.
        say: told what a node says, with its name.
    """

    cluster: KubeCluster
    pods: Pods
    map_name: str
    patience: float
    say: Callable[[str], None] = field(default=lambda _: None)

    def __post_init__(self) -> None:
        if not _MAP_NAME.fullmatch(self.map_name):
            raise UsageError(f"{said(self.map_name)} is no name of a map", hint="Give ct4_global")

    def look(self, node: str, entries: int) -> RollingLook:
        """How a node is, and what the size would change.

        Raises:
            ClusterError: it cannot be asked.
        """
        done = self._run(node, (self.map_name, str(entries), "--plan"), _LOOKING)
        if done.code:
            raise _failed(node, done)
        return read_look(node, done.out)

    def resize(self, node: str, entries: int, *, foreign: bool) -> NodeResized:
        """Give a node's maps the size.

        Raises:
            CutOffError: it is not known what became of it.
            ClusterError: it could not be, and the node says why.
        """
        done = self._run(node, (self.map_name, str(entries), *self._yes(foreign)), self.patience)
        return self._resized(node, done)

    def undo(self, node: str, before: int, *, foreign: bool) -> NodeResized:
        """Give a node's maps the size before, by its own undo or, where that is over, by a resize.

        Raises:
            CutOffError: it is not known what became of it.
            ClusterError: it could not be, and the node says why.
        """
        done = self._run(node, (self.map_name, "--undo", *self._yes(foreign)), self.patience)
        if done.code == _AGENT_FAILED and before:
            self.say(f"{node}: {done.last}")
            return self.resize(node, before, foreign=foreign)
        return self._resized(node, done)

    def _yes(self, foreign: bool) -> Sequence[str]:  # noqa: FBT001 - a fact handed on
        if not foreign:
            return ("--yes",)
        waiting = str(int(self.patience))
        return ("--yes", "--allow-writes", "--restart-command", _RESTART, "--patience", waiting)

    @staticmethod
    def _resized(node: str, done: PodRun) -> NodeResized:
        if done.code and not done.out.strip():
            raise _failed(node, done)
        told = read_resized(node, done.out)
        if done.code:
            raise _failed(node, done)
        return told

    def _run(self, node: str, more: Sequence[str], patience: float) -> PodRun:
        pod = self._pod(node)

        def hear(text: str) -> None:
            if text == _DUE:
                self._restart_agent(node)
            else:
                self.say(f"{node}: {text}")

        with self.cluster.again() as cluster:
            argv = ("ctconsole", "map", "resize", *more, "-o", "json")
            return run_in_pod(cluster, pod, self.pods.container, argv, patience=patience, hear=hear)

    def _pod(self, node: str) -> KubePod:
        """The pod of ours that runs on a node now."""
        with self.cluster.again() as cluster:
            found = cluster.pods(self.pods.namespace, self.pods.selector, node)
        running = [one for one in found if one.running]
        if not running:
            raise ClusterError(
                f"{node}: no pod with {self.pods.selector} runs there",
                hint="deploy/kubernetes/fleet-resize.yaml puts one on each node",
            )
        return running[0]

    def _restart_agent(self, node: str) -> None:
        if not self.pods.restart:
            self.say(
                f"{node}: its agent has to be restarted now, by you (or with --restart-agents)"
            )
            return
        try:
            with self.cluster.again() as cluster:
                found = cluster.pods(self.pods.namespace, self.pods.agents, node)
                for one in found:
                    self.say(f"{node}: its agent's pod {one.name} is deleted, to start anew")
                    cluster.delete_pod(one)
            if not found:
                self.say(f"{node}: no pod with {self.pods.agents} is there to be restarted")
        except CtconsoleError as error:
            # The node waits for its agent, and undoes everything if it does not come.
            self.say(f"{node}: {error}")


def _failed(node: str, done: PodRun) -> ClusterError:
    why = done.last.removeprefix("ctconsole: ") or f"it ended with {done.code}"
    return ClusterError(f"{node}: {why}")
