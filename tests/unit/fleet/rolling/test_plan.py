"""Which nodes a rolling resize would leave out and why, and what it warns of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import ClusterError
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.fleet.rolling.node import Pods
from ctconsole.fleet.rolling.plan import RollingPlan, plan_rolling
from ctconsole.lab.kube.objects import NAMESPACE, POD_LABEL
from tests.support.fake_prometheus import fake_prometheus, series
from tests.support.rolling import FakeNodes

if TYPE_CHECKING:
    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.rolling.answers import NodeResized, RollingLook
    from ctconsole.lab.kube.api import KubeApi

OPTION = "bpf-ct-global-tcp-max"


class PlannedNodes(FakeNodes):
    """Nodes whose looks can be told."""

    def __init__(self) -> None:
        super().__init__({"n1": 1000, "n2": 1000, "n3": 2000})
        self.changed: dict[str, dict[str, object]] = {}

    def look(self, node: str, entries: int) -> RollingLook:
        if "error" in (changed := self.changed.get(node, {})):
            raise ClusterError(f"{node}: {changed['error']}")
        return replace(super().look(node, entries), **changed)  # type: ignore[arg-type] # a test's own

    def resize(self, node: str, entries: int, *, foreign: bool) -> NodeResized:
        raise AssertionError(node, entries, foreign)


@pytest.fixture
def nodes() -> PlannedNodes:
    return PlannedNodes()


def planned(
    cluster: KubeCluster, nodes: PlannedNodes, config_map: str = "cilium-config"
) -> RollingPlan:
    with fake_prometheus(
        told={"up{": [series(1, instance=f"x:{n}", node=f"n{n}") for n in (1, 3)]}
    ) as prometheus:
        return plan_rolling(
            cluster,
            Pods(NAMESPACE, POD_LABEL),
            nodes,
            PrometheusClient(prometheus.url),
            selector="pool=a",
            map_name="ct4_global",
            entries=2000,
            config_map=(NAMESPACE, config_map),
        )


def does(plan: RollingPlan) -> dict[str, object]:
    return {one.node.name: one.as_dict()["does"] for one in plan.nodes}


def test_a_node_that_has_the_size_is_left_alone(cluster: KubeCluster, nodes: PlannedNodes) -> None:
    plan = planned(cluster, nodes)
    assert does(plan) == {"n1": "is resized", "n2": "is resized", "n3": "has the size already"}
    assert plan.map_name == "cilium_ct4_global"
    assert plan.warnings == [
        "Prometheus knows no exporter on n2: how they are after it could not be seen"
    ]
    assert nodes.did == []


def test_who_cannot_be_resized_is_left_out_and_told(
    api: KubeApi, cluster: KubeCluster, nodes: PlannedNodes
) -> None:
    api.objects.nodes["n1"].ready = False
    api.objects.pods["p-n2"].ready = False
    nodes.changed["n3"] = {"error": "it says no"}
    plan = planned(cluster, nodes)
    assert does(plan) == {
        "n1": "is not ready",
        "n2": f"no pod with {POD_LABEL} runs there",
        "n3": "it says no",
    }
    assert plan.due == []
    assert plan.map_name == "ct4_global", "as it was named: nobody told more"
    assert "n1, n2, n3 would be left out, and keep their size" in plan.warnings


def test_what_would_be_lost_is_not_begun(cluster: KubeCluster, nodes: PlannedNodes) -> None:
    nodes.changed["n1"] = {"dropped": 5, "smallest": 1500}
    assert "5 living entries would not fit" in str(does(planned(cluster, nodes))["n1"])


def test_an_agent_that_restarts_makes_its_table_by_the_option(
    api: KubeApi, cluster: KubeCluster, nodes: PlannedNodes
) -> None:
    api.objects.set_config_map("cilium-config", {OPTION: "1000"})
    nodes.changed["n1"] = {"foreign": True}
    nodes.changed["n2"] = {"error": "no"}
    plan = planned(cluster, nodes)
    assert plan.restarts == ["n1"]
    assert (plan.config.option, plan.config.now, plan.config.fits) == (OPTION, "1000", False)
    assert plan.config.patch("2000") == (
        f"kubectl -n {NAMESPACE} patch configmap cilium-config --type merge "
        f"""-p '{{"data":{{"{OPTION}":"2000"}}}}'"""
    )
    assert [one for one in plan.warnings if "hold ctconsole guard" in one]
    assert [one for one in plan.warnings if "The ConfigMap holds for n2 too" in one]
    api.objects.set_config_map("cilium-config", {OPTION: "2000"})
    assert planned(cluster, nodes).config.fits


def test_a_config_map_that_is_not_there_is_said(cluster: KubeCluster, nodes: PlannedNodes) -> None:
    config = planned(cluster, nodes, "another").config
    assert (config.now, config.fits) == (None, False)
    assert "another" in config.problem
