"""What a rolling resize would do: each node's own plan, their order, and what they share."""

from __future__ import annotations

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import CtconsoleError
from ctconsole.fleet.rolling.health import healths
from ctconsole.model.catalogue import option_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.kube.objects import KubeNode
    from ctconsole.fleet.prometheus import PrometheusClient
    from ctconsole.fleet.rolling.answers import RollingLook
    from ctconsole.fleet.rolling.health import NodeHealth
    from ctconsole.fleet.rolling.node import NodeWork, Pods

_AT_A_TIME: Final = 8
"""Nodes that are asked for their plans at the same time; it changes nothing there."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node.

    Attributes:
        node: as Kubernetes has it.
        look: its own plan; None where it could not be asked.
        health: as Prometheus has it; None where it knows no exporter there.
        skipped: why nothing would be done there; empty where something would.
        is_done: whether that is because it has the size already.
    """

    node: KubeNode
    look: RollingLook | None = None
    health: NodeHealth | None = None
    skipped: str = ""
    is_done: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For a table and for JSON."""
        look, health = self.look, self.health
        return {
            "node": self.node.name,
            "does": self.skipped or "is resized",
            "skipped": bool(self.skipped),
            "cordoned": self.node.cordoned,
            "entries_now": look.entries if look else None,
            "entries_then": look.wished if look else None,
            "held": look.held if look else None,
            "needed": look.needed if look else None,
            "free": look.free if look else None,
            "seconds": look.seconds if look else None,
            "agent": None if look is None else ("restarts" if look.foreign else "stays"),
            "fill": health.fill if health else None,
            "instance": health.instance if health else None,
        }


@dataclass(frozen=True, slots=True)
class ConfigPlan:
    """The option that the agents' next starts size the table by.

    Attributes:
        namespace: of the ConfigMap.
        name: its name.
        option: the key; empty where none sizes the map.
        now: what it is; None where it is not there.
        wished: what it has to be.
        problem: why the ConfigMap could not be read; empty where it was.
    """

    namespace: str
    name: str
    option: str
    now: str | None
    wished: str
    problem: str = ""

    @property
    def fits(self) -> bool:
        """Whether nothing has to be changed."""
        return not self.option or (not self.problem and self.now == self.wished)

    def patch(self, value: str | None) -> str:
        """What a person runs to give it a value; None takes the key away."""
        data = json.dumps({"data": {self.option: value}}, separators=(",", ":"))
        return (
            f"kubectl -n {self.namespace} patch configmap {self.name} --type merge "
            f"-p {shlex.quote(data)}"
        )


@dataclass(frozen=True, slots=True)
class RollingPlan:
    """All of it.

    Attributes:
        map_name: of the pin; as it was named where no node could be asked.
        entries: wished for.
        nodes: in the order in which they would be resized.
        config: what their agents have in common.
        warnings: sentences for whoever decides.
    """

    map_name: str
    entries: int
    nodes: tuple[NodePlan, ...]
    config: ConfigPlan

    @property
    def due(self) -> list[NodePlan]:
        """The nodes that would be resized."""
        return [one for one in self.nodes if not one.skipped]

    @property
    def restarts(self) -> list[str]:
        """Those whose agents have to be restarted for it."""
        return [one.node.name for one in self.due if one.look and one.look.foreign]

    @property
    def warnings(self) -> list[str]:
        """Sentences for whoever decides."""
        left = [one.node.name for one in self.nodes if one.skipped and not one.is_done]
        blind = [one.node.name for one in self.due if one.health is None]
        found = []
        if left:
            found.append(f"{_some(left)} would be left out, and keep their size")
        if blind:
            found.append(
                f"Prometheus knows no exporter on {_some(blind)}: how they are after it could not "
                "be seen"
            )
        if self.restarts:
            found.append(
                f"The agents of {_some(self.restarts)} are not ours and restart in their turn; "
                "hold ctconsole guard on every node meanwhile, because one that restarts out of "
                "turn makes its tables anew"
            )
        if not self.config.fits and left and self.config.option:
            found.append(
                f"The ConfigMap holds for {_some(left)} too: their agents' next start makes their "
                "tables anew"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "map": self.map_name,
            "entries": self.entries,
            "nodes": [one.as_dict() for one in self.nodes],
            "configmap": {
                "name": f"{self.config.namespace}/{self.config.name}",
                "option": self.config.option or None,
                "now": self.config.now,
                "wished": self.config.wished,
                "fits": self.config.fits,
                "patch": None if self.config.fits else self.config.patch(self.config.wished),
                "problem": self.config.problem or None,
            },
            "warnings": self.warnings,
        }


def plan_rolling(
    cluster: KubeCluster,
    pods: Pods,
    work: NodeWork,
    prometheus: PrometheusClient,
    *,
    selector: str,
    map_name: str,
    entries: int,
    config_map: tuple[str, str],
) -> RollingPlan:
    """Ask every node what the size would change there; changes nothing.

    Args:
        cluster: whose nodes.
        pods: in which they are asked.
        work: asks them.
        prometheus: knows how they are.
        selector: of the nodes.
        map_name: of the map.
        entries: wished for.
        config_map: namespace and name of the one that Cilium's agents read.

    Raises:
        ClusterError: nodes or pods cannot be listed.
        CtconsoleError: Prometheus does not answer.
    """
    nodes = cluster.nodes(selector)
    found = {one.node: one for one in cluster.pods(pods.namespace, pods.selector) if one.running}
    asked = [one for one in nodes if one.ready and one.name in found]
    looks: dict[str, RollingLook | str] = {}

    def ask(node: KubeNode) -> RollingLook | str:
        try:
            return work.look(node.name, entries)
        except CtconsoleError as error:
            return error.message

    with ThreadPoolExecutor(_AT_A_TIME) as several:
        looks |= zip((one.name for one in asked), several.map(ask, asked), strict=True)
    real = next((one.map_name for one in looks.values() if not isinstance(one, str)), map_name)
    known = healths(
        prometheus,
        real,
        [(one, found[one.name].address if one.name in found else "") for one in nodes],
    )
    plans = tuple(_node_plan(one, looks, known.get(one.name), pods) for one in nodes)
    return RollingPlan(real, entries, plans, plan_config(cluster, config_map, real, plans, entries))


def plan_config(
    cluster: KubeCluster,
    config_map: tuple[str, str],
    map_name: str,
    nodes: Sequence[NodePlan],
    entries: int,
) -> ConfigPlan:
    """What the agents read when they start, and what that has to be."""
    namespace, name = config_map
    wished = next((one.look.wished for one in nodes if one.look), entries)
    option = option_of(map_name) or ""
    try:
        data: Mapping[str, str] = cluster.config_map(namespace, name).data if option else {}
    except CtconsoleError as error:
        return ConfigPlan(namespace, name, option, None, str(wished), error.message)
    return ConfigPlan(namespace, name, option, data.get(option), str(wished))


def _node_plan(
    node: KubeNode,
    looks: Mapping[str, RollingLook | str],
    health: NodeHealth | None,
    pods: Pods,
) -> NodePlan:
    found = looks.get(node.name)
    if not node.ready:
        return NodePlan(node, health=health, skipped="is not ready")
    if found is None:
        return NodePlan(node, health=health, skipped=f"no pod with {pods.selector} runs there")
    if isinstance(found, str):
        return NodePlan(node, health=health, skipped=found.removeprefix(f"{node.name}: "))
    if found.is_done:
        return NodePlan(node, found, health, "has the size already", is_done=True)
    return NodePlan(node, found, health, found.obstacle)


def _some(names: Sequence[str], most: int = 4) -> str:
    """``a, b and 3 more``."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
