"""``ctconsole fleet resize``: the same table of many nodes, one node after the other."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.common import message
from ctconsole.cli.ending import carry_out
from ctconsole.cli.fleet.asking import prometheus_options
from ctconsole.cli.fleet.rolling import Fleet, Wishes, fleet_options, show_plan, show_report
from ctconsole.cli.options import GivenPath, Seconds
from ctconsole.cli.shown import json_option
from ctconsole.errors import CtconsoleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.prometheus import PrometheusClient
    from ctconsole.fleet.rolling.journal import RollingJournal, RunNotes
    from ctconsole.fleet.rolling.plan import NodePlan, RollingPlan
    from ctconsole.fleet.rolling.run import RollingRun
    from ctconsole.fleet.rolling.watch import Limits

_TURN: Final = 0.2
"""Seconds after which it is looked whether somebody asked to stop."""


@click.command("resize")
@click.option(
    "--selector", metavar="LABELS", help="The nodes, by their labels as kubectl takes them."
)
@click.option("--entries", metavar="N", help="What the table is to hold on each of them: 1M.")
@click.option(
    "--map",
    "map_name",
    metavar="MAP",
    default="ct4_global",
    show_default=True,
    help="Which table; those that the same option sizes change with it.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done where, and stop.")
@click.option("--yes", is_flag=True, help="Do it; without this only the plan is printed.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in the journal, which was cut off or stopped.",
)
@click.option(
    "--undo",
    is_flag=True,
    help="Give the nodes of the journal's run the size before, the last first.",
)
@click.option(
    "--undo-on-trouble", is_flag=True, help="Do that at once when a node is not as it should be."
)
@click.option(
    "--at-a-time",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Resize so many nodes together.",
)
@click.option(
    "--watch",
    "seconds",
    type=Seconds(min=0.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Watch the nodes' figures so long, and two new samples of each, before the next is begun.",
)
@click.option(
    "--patience",
    type=Seconds(min=1.0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Take it for trouble when nothing is heard of a node for so long.",
)
@click.option(
    "--max-fill",
    type=click.FloatRange(0.01, 1.0),
    default=0.9,
    show_default=True,
    metavar="SHARE",
    help="Take it for trouble when a resized table is fuller than this.",
)
@click.option(
    "--journal",
    "journal_path",
    type=GivenPath(),
    metavar="FILE",
    help="Where it is kept how far the run is.  [default: in ~/.local/state/ctconsole]",
)
@fleet_options
@prometheus_options
@json_option
def resize(
    *,
    prometheus: PrometheusClient,
    fleet: Fleet,
    journal_path: Path | None,
    only_plan: bool,
    yes: bool,
    resume: bool,
    undo: bool,
    as_json: bool,
    selector: str | None,
    entries: str | None,
    map_name: str,
    **limits: Any,  # noqa: ANN401 - `_limits` takes them
) -> int:
    """Give the same table of many nodes another capacity and lose nothing on any of them.

    On each node ``ctconsole map resize`` does it, in a pod that runs there
    (deploy/kubernetes/fleet-resize.yaml): one node at a time. Between two nodes the figures of all
    that were done are watched in Prometheus: whether their exporters answer, whether entries are
    evicted or cannot be created, whether a pin and its programs part, how full the tables are. On
    trouble, and on Ctrl-C (exit code 130, once the node that is at work is done), it stops.

    How far it is stands in a journal before each step. --resume goes on, also after a crash: what
    became of a node that was begun is asked of the node. --undo leads all of them back. One run at
    a time: a Lease in Kubernetes sees to that.

    Without --yes it prints what would be done where, and changes nothing (exit code 1; 0 with
    --plan). It exits with 1 too if a node was left out or is not resized.

    \b
    Examples:
      ctconsole fleet resize --selector pool=web --entries 1M --plan
      ctconsole fleet resize --selector pool=web --entries 1M --yes --undo-on-trouble
      ctconsole fleet resize --selector pool=web --entries 1M --yes --restart-agents \
        --patch-configmap
      ctconsole fleet resize --resume --yes
      ctconsole fleet resize --undo --yes
    """
    from ctconsole.fleet.rolling.journal import RollingJournal
    from ctconsole.fleet.rolling.run import RollingReport
    from ctconsole.paths import state_home

    wishes = _wishes(selector, entries, map_name, resumed=resume or undo)
    if yes and only_plan:
        raise UsageError("--plan only looks; it excludes --yes")
    if resume and undo:
        raise UsageError("--resume and --undo exclude each other")
    path = journal_path or state_home() / "fleet-resize.json"
    carry_out = partial(_carry_out, fleet, limits=_limits(**limits), as_json=as_json)
    if wishes is None:
        with RollingJournal(path) as journal:
            notes = _begun(journal)
            with fleet.opened() as cluster:
                _require_cluster(cluster, notes, path)
                if yes:
                    return carry_out(cluster, prometheus, journal, notes, undo=undo)
        show_report(RollingReport(notes), as_json=as_json)
        message(f"Nothing was changed. Give --yes to {'undo' if undo else 'go on with'} it")
        return 1
    with fleet.opened() as cluster:
        plan = fleet.plan(cluster, prometheus, wishes)
        if not yes:
            show_plan(plan, as_json=as_json)
            return 0 if only_plan else 1
        fleet.require_possible(plan)
        with RollingJournal(path) as journal:
            _require_over(journal)
            notes = _new_run(cluster.url, wishes, plan, patch=fleet.patch)
            return carry_out(cluster, prometheus, journal, notes, undo=False)


def _wishes(
    selector: str | None, entries: str | None, map_name: str, *, resumed: bool
) -> Wishes | None:
    """What a new run is to do; None for one that is in the journal."""
    if resumed:
        if selector or entries:
            raise UsageError(
                "The journal says which nodes and which size",
                hint="Leave --selector and --entries away with --resume and --undo",
            )
        return None
    if not selector or not entries:
        raise UsageError(
            "Give --selector and --entries",
            hint="ctconsole fleet resize --selector pool=web --entries 1M --plan",
        )
    from ctconsole.model.units import parse_size

    return Wishes(selector, parse_size(entries), map_name)


def _require_over(journal: RollingJournal) -> None:
    """See that a new run makes nobody forget another one.

    Raises:
        UsageError: that of the journal is not over.
    """
    found = journal.read()
    if found is not None and not found.over:
        raise UsageError(
            f"{journal.path} has a run that is not over: {found.told}",
            hint="Go on with --resume, lead it back with --undo, or name another --journal",
        )


def _begun(journal: RollingJournal) -> RunNotes:
    """The run in the journal, to be gone on with.

    Raises:
        UsageError: there is none.
    """
    found = journal.read()
    if found is None:
        raise UsageError(f"There is no run in {journal.path}", hint="Name it with --journal")
    return found


def _require_cluster(cluster: KubeCluster, notes: RunNotes, journal: Path) -> None:
    """See that a run is of this cluster; raise UsageError where it is of another."""
    if notes.cluster != cluster.url:
        raise UsageError(
            f"The run in {journal} is of the cluster {notes.cluster}, and this is {cluster.url}",
            hint="Name its --kubeconfig and --context",
        )


def _new_run(url: str, wishes: Wishes, plan: RollingPlan, *, patch: bool) -> RunNotes:
    from ctconsole.fleet.kube.lease import new_identity
    from ctconsole.fleet.rolling.journal import NodeState, NodeStep, RunNotes

    def step(node: NodePlan) -> NodeStep:
        if not node.skipped:
            return NodeStep(node.node.name, NodeState.TODO, node.look.entries if node.look else 0)
        return NodeStep(node.node.name, NodeState.LEFT_OUT, note=node.skipped)

    nodes = tuple(step(one) for one in plan.nodes if not one.is_done)
    return RunNotes(
        cluster=url,
        selector=wishes.selector,
        map_name=plan.map_name,
        entries=int(plan.config.wished),
        identity=new_identity(),
        nodes=nodes,
        option=plan.config.option if patch and not plan.config.fits else "",
        option_before=plan.config.now,
    )


def _carry_out(
    fleet: Fleet,
    cluster: KubeCluster,
    prometheus: PrometheusClient,
    journal: RollingJournal,
    notes: RunNotes,
    *,
    limits: Limits,
    undo: bool,
    as_json: bool,
) -> int:
    """Hold the Lease, and do it."""
    from ctconsole.fleet.kube.lease import FleetLease, new_identity
    from ctconsole.fleet.rolling.run import RollingRun, StoppedError
    from ctconsole.fleet.rolling.watch import HealthWatch
    from ctconsole.manager.interrupts import Interrupts

    code = 0

    def act() -> None:
        nonlocal code
        with Interrupts() as heard:
            wait = _waiting(lambda: bool(heard.noted), StoppedError("Stopped as asked"))
            with FleetLease(
                cluster.again(),
                fleet.pods.namespace,
                identity := new_identity(),
                before=notes.identity,
                wait=wait,
                say=message,
            ) as lease:
                now = replace(notes, identity=identity, over=False)
                journal.write(now)
                run = RollingRun(
                    now,
                    journal,
                    fleet.work(cluster, now.map_name, limits.silence),
                    HealthWatch(fleet.health(cluster, prometheus, now), limits, wait, message),
                    fleet.option(cluster, now),
                    lease.check,
                    lambda: bool(heard.noted),
                    message,
                )
                code = _ended(run, undo=undo, as_json=as_json)

    return carry_out(act) or code


def _ended(run: RollingRun, *, undo: bool, as_json: bool) -> int:
    """Do it, tell what came of it, and raise what stopped it."""
    report = run.back() if undo else run.forward()
    show_report(report, as_json=as_json)
    if report.failure:
        hint = "--resume goes on, --undo leads the nodes of this run back"
        raise CtconsoleError(report.failure, hint=f"{report.run.told}; {hint}")
    return 0 if undo or report.ok else 1


def _limits(
    *, at_a_time: int, seconds: float, patience: float, max_fill: float, undo_on_trouble: bool
) -> Limits:
    from ctconsole.fleet.rolling.watch import Limits

    return Limits(seconds, patience, max_fill, at_a_time, undo_on_trouble)


def _waiting(is_cancelled: Callable[[], bool], stopped: Exception) -> Callable[[float], None]:
    """Rests that whoever presses Ctrl-C breaks off."""

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if is_cancelled():
                raise stopped
            time.sleep(min(left, _TURN))

    return wait
