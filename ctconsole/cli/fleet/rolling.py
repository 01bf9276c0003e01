"""What ``ctconsole fleet resize`` is told of the cluster, and how its plan and report are shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import GivenPath
from ctconsole.cli.plans import NOTHING
from ctconsole.cli.printing import print_json, show_rows
from ctconsole.errors import UsageError
from ctconsole.model.listing.rows import ColumnForm, RowColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.prometheus import PrometheusClient
    from ctconsole.fleet.rolling.health import NodeHealth
    from ctconsole.fleet.rolling.journal import RunNotes
    from ctconsole.fleet.rolling.node import Pods, PodWork
    from ctconsole.fleet.rolling.plan import RollingPlan
    from ctconsole.fleet.rolling.run import RollingReport

_F = TypeVar("_F", bound="Callable[..., Any]")

_COLUMNS = (
    RowColumn("node", "NODE"),
    RowColumn("does", "WHAT", rank=0),
    RowColumn("entries_now", "NOW", ColumnForm.COUNT),
    RowColumn("entries_then", "THEN", ColumnForm.COUNT),
    RowColumn("held", "HELD", ColumnForm.COUNT, rank=1),
    RowColumn("needed", "NEEDS", ColumnForm.SIZE, rank=2),
    RowColumn("free", "FREE", ColumnForm.SIZE, rank=2),
    RowColumn("seconds", "ABOUT", ColumnForm.SECONDS, rank=3),
    RowColumn("fill", "FILL", ColumnForm.SHARE, rank=3),
    RowColumn("agent", "AGENT", rank=4),
    RowColumn("cordoned", "CORDONED", rank=5),
)

_STEPS = (
    RowColumn("node", "NODE"),
    RowColumn("state", "STATE"),
    RowColumn("before", "BEFORE", ColumnForm.COUNT),
    RowColumn("note", "NOTE", rank=1),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new run is to do.

    Attributes:
        selector: of the nodes.
        entries: what the table is to hold.
        map_name: which.
    """

    selector: str
    entries: int
    map_name: str


@dataclass(frozen=True, slots=True)
class ConfigOption:
    """An option in a ConfigMap; see `OptionStore`.

    Attributes:
        cluster: whose.
        config_map: namespace and name.
        option: the key.
    """

    cluster: KubeCluster
    config_map: tuple[str, str]
    option: str

    def write(self, value: str | None) -> None:
        """Give it a value, if it has another; None takes it away.

        Raises:
            ClusterError: it cannot be, or somebody else changes the ConfigMap.
        """
        found = self.cluster.config_map(*self.config_map)
        if found.data.get(self.option) != value:
            self.cluster.patch_config_map(*self.config_map, {self.option: value}, found.version)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the nodes are and how they are reached.

    Attributes:
        kubeconfig: as it was given.
        context: of it.
        pods: in which commands run.
        config_map: namespace and name of the one that agents read.
        patch: whether it may be changed.
    """

    kubeconfig: Path | None
    context: str
    pods: Pods
    config_map: tuple[str, str]
    patch: bool

    def opened(self) -> KubeCluster:
        """Its API, to be closed."""
        from ctconsole.fleet.kube.cluster import KubeCluster

        return KubeCluster(self.kubeconfig, self.context)

    def work(self, cluster: KubeCluster, map_name: str, patience: float) -> PodWork:
        """What is done on a node."""
        from ctconsole.fleet.rolling.node import PodWork

        return PodWork(cluster, self.pods, map_name, patience, message)

    def plan(
        self, cluster: KubeCluster, prometheus: PrometheusClient, wishes: Wishes
    ) -> RollingPlan:
        """What a run would do."""
        from ctconsole.fleet.rolling.plan import plan_rolling

        return plan_rolling(
            cluster,
            self.pods,
            self.work(cluster, wishes.map_name, 1.0),
            prometheus,
            selector=wishes.selector,
            map_name=wishes.map_name,
            entries=wishes.entries,
            config_map=self.config_map,
        )

    def health(
        self, cluster: KubeCluster, prometheus: PrometheusClient, run: RunNotes
    ) -> Callable[[Collection[str]], Mapping[str, NodeHealth]]:
        """How nodes are, by their names."""
        from ctconsole.fleet.rolling.health import healths

        def read(names: Collection[str]) -> Mapping[str, NodeHealth]:
            nodes = [one for one in cluster.nodes(run.selector) if one.name in names]
            pods = cluster.pods(self.pods.namespace, self.pods.selector)
            addresses = {one.node: one.address for one in pods if one.running}
            known = [(one, addresses.get(one.name, "")) for one in nodes]
            return healths(prometheus, run.map_name, known)

        return read

    def option(self, cluster: KubeCluster, run: RunNotes) -> ConfigOption | None:
        """What the agents read when they start, where it is ours to change."""
        return ConfigOption(cluster, self.config_map, run.option) if run.option else None

    def require_possible(self, plan: RollingPlan) -> None:
        """See that a run can be begun.

        Raises:
            UsageError: nothing is to be done, an agent must restart and nobody may do that, or
                would find another size.
        """
        if not plan.nodes:
            raise UsageError("No node has these labels", hint="kubectl get nodes --show-labels")
        if not plan.due:
            why = "; ".join(f"{one.node.name} {one.skipped}" for one in plan.nodes[:4])
            raise UsageError(f"There is nothing to do: {why}")
        if not plan.restarts:
            return
        if not plan.config.fits and not self.patch:
            raise UsageError(
                f"{plan.config.option} is {plan.config.now or 'not set'} for the agents, which "
                "have to restart and would make their tables anew",
                hint=f"Give --patch-configmap, or run: {plan.config.patch(plan.config.wished)}",
            )
        if not self.pods.restart:
            message("Each agent has to be restarted in its turn, by you: it is said when")


def fleet_options(function: _F) -> _F:
    """Which cluster, which pods, what may be changed there; handed over as ``fleet``."""

    @wraps(function)
    def run(
        *,
        kubeconfig: Path | None,
        context: str,
        namespace: str,
        pods: str,
        container: str,
        agents: str,
        config_map: str,
        restart_agents: bool,
        patch_configmap: bool,
        **given: Any,  # noqa: ANN401 - the verb's own
    ) -> Any:  # noqa: ANN401 - likewise
        from ctconsole.fleet.rolling.node import Pods

        where = Pods(namespace, pods, container, agents, restart_agents)
        space, slash, name = config_map.partition("/")
        named = (space, name) if slash else (namespace, config_map)
        return function(fleet=Fleet(kubeconfig, context, where, named, patch_configmap), **given)

    for option in reversed(_FLEET_OPTIONS):
        run = option(run)
    return cast("_F", run)


_FLEET_OPTIONS = (
    click.option(
        "--kubeconfig",
        type=GivenPath(),
        metavar="FILE",
        help="Whose cluster and rights, as kubectl takes it.",
    ),
    click.option("--context", default="", metavar="NAME", help="Which context of it."),
    click.option(
        "--namespace",
        default="kube-system",
        show_default=True,
        metavar="NAME",
        help="Of the pods, the agents, the Lease and the ConfigMap.",
    ),
    click.option(
        "--pods",
        default="app.kubernetes.io/name=ctconsole-node",
        show_default=True,
        metavar="LABELS",
        help="The pods in which ctconsole is run, one on each node.",
    ),
    click.option(
        "--container", default="", metavar="NAME", help="Which of their containers, if several."
    ),
    click.option(
        "--agents",
        default="k8s-app=cilium",
        show_default=True,
        metavar="LABELS",
        help="The agents' pods, for --restart-agents.",
    ),
    click.option(
        "--restart-agents",
        is_flag=True,
        help="Delete the pod of an agent that has to restart in its node's turn.",
    ),
    click.option(
        "--config-map",
        default="cilium-config",
        show_default=True,
        metavar="NAME",
        help="What agents read when they start.",
    ),
    click.option(
        "--patch-configmap",
        is_flag=True,
        help="Write the size into it before the first node is begun.",
    ),
)


def show_plan(plan: RollingPlan, *, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        print_json(plan.as_dict())
    else:
        show_rows([one.as_dict() for one in plan.nodes], _COLUMNS)
        config = plan.config
        if config.problem:
            message(f"The agents' configuration is not known: {config.problem}")
        elif config.option and not config.fits:
            message(
                f"{config.option} in ConfigMap {config.namespace}/{config.name} is "
                f"{config.now or 'not set'}, and has to be {config.wished} before agents restart: "
                f"--patch-configmap, or {config.patch(config.wished)}"
            )
        elif config.option:
            message(f"{config.option} is {config.wished} already")
        for warning in plan.warnings:
            message(f"warning: {warning}")
    message(f"{len(plan.due)} of {len(plan.nodes)} nodes would be resized. {NOTHING}")


def show_report(report: RollingReport, *, as_json: bool) -> None:
    """Print what became of a run."""
    told = report.as_dict()
    if as_json:
        print_json(told)
    else:
        show_rows(told["nodes"], _STEPS)
    message(
        f"{report.run.map_name} to {report.run.entries} entries: {report.run.told or 'no node'}"
    )
