"""Which of the exporters that Prometheus scrapes is a node's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.errors import ClusterError
from ctconsole.fleet.kube.objects import KubeNode
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.fleet.rolling.health import NodeHealth, healths, troubles
from tests.support.fake_prometheus import FakePrometheus, fake_prometheus, series

if TYPE_CHECKING:
    from collections.abc import Iterator

MINE = KubeNode("worker-3", ready=True, addresses=frozenset({"192.0.2.3"}))


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with fake_prometheus() as one:
        yield one


def instance(fake: FakePrometheus, address: str = "10.0.3.7") -> str | None:
    """Whose exporter the node's is taken for."""
    found = healths(PrometheusClient(fake.url), "cilium_ct4_global", [(MINE, address)])
    return found["worker-3"].instance if found else None


@pytest.mark.parametrize("label", ["node", "kubernetes_node", "node_name", "nodename"])
def test_a_label_names_the_node(fake: FakePrometheus, label: str) -> None:
    fake.told["up{"] = [
        series(1, instance="10.0.9.9:9965", **{label: "worker-3"}),
        series(1, instance="192.0.2.3:9965"),
    ]
    assert instance(fake) == "10.0.9.9:9965"


@pytest.mark.parametrize("scraped", ["192.0.2.3:9965", "10.0.3.7:9965", "worker-3:9965"])
def test_an_address_names_it_where_no_label_does(fake: FakePrometheus, scraped: str) -> None:
    fake.told["up{"] = [series(1, instance=scraped), series(1, instance="192.0.2.4:9965")]
    assert instance(fake) == scraped


def test_what_a_label_gives_to_another_node_is_not_this_ones(fake: FakePrometheus) -> None:
    """Behind one address stand several, and this node's was not scraped yet."""
    fake.told["up{"] = [
        series(1, instance="192.0.2.3:9001", node="worker-1"),
        series(1, instance="192.0.2.3:9002", node="worker-2"),
    ]
    assert instance(fake) is None


def test_two_that_could_be_it_are_told(fake: FakePrometheus) -> None:
    fake.told["up{"] = [series(1, instance=f"192.0.2.3:{port}") for port in (9001, 9002)]
    with pytest.raises(ClusterError, match=r"192\.0\.2\.3:9001, 192\.0\.2\.3:9002"):
        instance(fake)


WELL = NodeHealth("x", up=True, sampled=1.0, split=0, evicted=5, refused=5, capacity=10, entries=3)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"evicted": 4, "refused": 0}, ["4 living entries were evicted since"]),
        ({"evicted": None, "refused": None, "split": None, "entries": None}, []),
        ({"refused": 7}, ["2 entries could not be created since"]),
        ({"entries": 10}, ["the table is 100% full"]),
        ({"split": 1}, ["1 pins are used by no program while programs use an older map"]),
    ],
    ids=str,
)
def test_what_is_worse_than_before_is_trouble_and_what_is_not_known_is_none(
    changed: dict[str, Any], told: list[str]
) -> None:
    """A counter that is smaller began anew: all of it came since."""
    assert list(troubles(WELL, replace(WELL, **changed), 0.9)) == told
