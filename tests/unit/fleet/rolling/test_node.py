"""What is run in a node's pod, how its agent is restarted, and what becomes of answers."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import ClusterError, UsageError
from ctconsole.fleet.rolling.node import Pods, PodWork
from ctconsole.lab.kube.objects import AGENT_LABEL, NAMESPACE, POD_LABEL, LabPod, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.lab.kube.api import KubeApi

REPORT = {
    "failure": None,
    "seconds": 0.5,
    "maps": [{"carried": 12, "verified": {"no_room": 0, "missing": 0}}],
}
RESTART = (
    'while [ $# -gt 1 ]; do [ "$1" = --restart-command ] && sh -c "$2"; shift; done; sleep 0.1; '
)
"""What ``map resize`` does with its restart command: a shell that is its child."""


class Told:
    """What a pod was asked, and what it does and prints."""

    def __init__(self, *scripts: str) -> None:
        self.asked: list[tuple[str, ...]] = []
        self._scripts = list(scripts)

    def __call__(self, argv: Sequence[str]) -> Sequence[str]:
        self.asked.append(tuple(argv[3:-2]))
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        return ["/bin/sh", "-c", script, "sh", *argv]


def printing(told: object, code: int = 0) -> str:
    return f"echo {shlex.quote(json.dumps(told))}; exit {code}"


def work(
    api: KubeApi, cluster: KubeCluster, told: Told, heard: list[str], *, restart: bool = False
) -> PodWork:
    """The work on the nodes of a cluster whose n1 does as it is told."""
    api.objects.pods["p-n1"].argv = told
    pods = Pods(NAMESPACE, POD_LABEL, agents=AGENT_LABEL, restart=restart)
    return PodWork(cluster, pods, "ct4_global", 30.0, heard.append)


def agents(api: KubeApi, *nodes: str) -> list[str]:
    """Put an agent's pod on nodes; which of them were deleted."""
    deleted: list[str] = []

    def ending(node: str) -> LabPod:
        return LabPod(
            f"cilium-{node}",
            node,
            labels_of(AGENT_LABEL),
            deleted=lambda: deleted.append(node),
        )

    api.objects.pods |= {f"cilium-{one}": ending(one) for one in nodes}
    return deleted


def test_an_agent_of_ours_is_asked_for_nothing_but_the_size(
    api: KubeApi, cluster: KubeCluster
) -> None:
    told = Told(printing(REPORT))
    assert work(api, cluster, told, []).resize("n1", 2000, foreign=False).carried == 12
    assert told.asked == [("ct4_global", "2000", "--yes")]


def test_the_pod_of_the_nodes_own_agent_is_deleted_when_the_node_says_so(
    api: KubeApi, cluster: KubeCluster
) -> None:
    heard: list[str] = []
    deleted = agents(api, "n1", "n2")
    told = Told(RESTART + printing(REPORT))
    done = work(api, cluster, told, heard, restart=True).resize("n1", 2000, foreign=True)
    assert (done.carried, done.lost) == (12, 0)
    assert deleted == ["n1"]
    assert heard == ["n1: its agent's pod cilium-n1 is deleted, to start anew"]
    assert "--allow-writes" in told.asked[0]


def test_nobody_deletes_a_pod_unasked(api: KubeApi, cluster: KubeCluster) -> None:
    heard: list[str] = []
    deleted = agents(api, "n1")
    work(api, cluster, Told(RESTART + printing(REPORT)), heard).resize("n1", 2000, foreign=True)
    assert deleted == []
    assert heard == ["n1: its agent has to be restarted now, by you (or with --restart-agents)"]


def test_an_agent_that_is_not_there_is_told(api: KubeApi, cluster: KubeCluster) -> None:
    heard: list[str] = []
    told = Told(RESTART + printing(REPORT))
    work(api, cluster, told, heard, restart=True).resize("n1", 2000, foreign=True)
    assert heard == ["n1: no pod with k8s-app=cilium is there to be restarted"]


def test_an_undo_after_its_hour_is_a_resize_to_the_size_before(
    api: KubeApi, cluster: KubeCluster
) -> None:
    heard: list[str] = []
    told = Told("echo 'ctconsole: no resize of the last hour' >&2; exit 2", printing(REPORT))
    assert work(api, cluster, told, heard).undo("n1", 1000, foreign=False).carried == 12
    assert told.asked == [("ct4_global", "--undo", "--yes"), ("ct4_global", "1000", "--yes")]
    assert heard == ["n1: ctconsole: no resize of the last hour"] * len(heard)
    assert heard


def test_an_undo_whose_size_before_is_not_known_fails(api: KubeApi, cluster: KubeCluster) -> None:
    told = Told("echo 'ctconsole: no resize of the last hour' >&2; exit 2")
    with pytest.raises(ClusterError, match=r"^n1: no resize of the last hour"):
        work(api, cluster, told, []).undo("n1", 0, foreign=False)
    assert len(told.asked) == 1


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'ctconsole: the disk is full' >&2; exit 1", "n1: the disk is full"),
        ("exit 3", "n1: it ended with 3"),
        (printing({**REPORT, "failure": "led \x1b[31mback"}, 1), r"n1: led \x1b[31mback"),
        ("echo '{'", "n1: its answer is no report of a resize"),
        (printing(REPORT, 4), "n1: it ended with 4"),
    ],
)
def test_a_resize_that_fails_says_why(
    api: KubeApi, cluster: KubeCluster, script: str, sentence: str
) -> None:
    with pytest.raises(ClusterError) as caught:
        work(api, cluster, Told(script), []).resize("n1", 2000, foreign=False)
    assert caught.value.message == sentence


def test_a_node_without_a_pod_of_ours_is_told(api: KubeApi, cluster: KubeCluster) -> None:
    api.objects.pods["p-n1"].ready = False
    with pytest.raises(ClusterError, match="n1: no pod with"):
        work(api, cluster, Told("true"), []).look("n1", 2000)


@pytest.mark.parametrize("name", ["", "ct4;reboot", "../ct4", "--yes", "x" * 65])
def test_what_is_no_map_never_reaches_a_node(cluster: KubeCluster, name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a map"):
        PodWork(cluster, Pods(NAMESPACE, POD_LABEL), name, 1.0)
