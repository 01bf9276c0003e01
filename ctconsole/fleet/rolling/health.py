"""How nodes are, as Prometheus knows them, before and after they were resized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import ClusterError
from ctconsole.model.units import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctconsole.fleet.kube.objects import KubeNode
    from ctconsole.fleet.prometheus import PrometheusClient

UP: Final = 'up{job=~".*ctconsole.*"}'

_NODE_LABELS: Final = ("node", "kubernetes_node", "node_name", "nodename")
"""Labels by which a scrape configuration may name a node; nothing prescribes one."""

_SPLIT_BRAINS: Final = "sum by (instance) (ctconsole_map_split_brain)"
_QUERIES: Final = {
    "sampled": "max by (instance) (ctconsole_sample_timestamp_seconds)",
    "split": _SPLIT_BRAINS,
    "evicted": "sum by (instance) (ctconsole_ct_evicted_entries_total)",
    "refused": "sum by (instance) (ctconsole_ct_insert_failures_total)",
    "capacity": 'max by (instance) (ctconsole_map_capacity_entries{map_name="%s"})',
    "entries": 'max by (instance) (ctconsole_map_entries{map_name="%s"})',
}
"""By the field of `NodeHealth` that takes the answer; ``%s`` is the map."""


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node; what Prometheus does not know of it is None.

    Attributes:
        instance: whose exporter it is.
        up: whether that answers.
        sampled: when its newest sample was taken, by the node's own clock.
        split: pins that no program uses while programs use an older map.
        evicted: entries thrown out before their time, since the exporter began.
        refused: entries the datapath could not create, likewise.
        capacity: of the map.
        entries: in the map.
    """

    instance: str
    up: bool
    sampled: float | None = None
    split: float | None = None
    evicted: float | None = None
    refused: float | None = None
    capacity: float | None = None
    entries: float | None = None

    @property
    def fill(self) -> float | None:
        """Entries over capacity."""
        if not self.capacity or self.entries is None:
            return None
        return self.entries / self.capacity


def healths(
    prometheus: PrometheusClient, map_name: str, nodes: Iterable[tuple[KubeNode, str]]
) -> dict[str, NodeHealth]:
    """What is known of nodes, by their name; one without an exporter is left out.

    Args:
        prometheus: who knows them.
        map_name: of the pin.
        nodes: each with the address of the pod on it, which may be the exporter's.

    Raises:
        ClusterError: two exporters could be a node's.
        CtconsoleError: Prometheus does not answer.
    """
    scraped = [(labels, value > 0) for labels, value in prometheus.query(UP)]
    short = map_name.removeprefix("cilium_")
    known: dict[str, dict[str, float]] = {}
    for field, query in _QUERIES.items():
        for labels, value in prometheus.query(query.replace("%s", short)):
            known.setdefault(labels.get("instance", ""), {})[field] = value
    found = {}
    for node, address in nodes:
        mine = _exporter_of(node, address, scraped)
        if mine is not None:
            labels, up = mine
            instance = labels.get("instance", "")
            found[node.name] = NodeHealth(instance, up, **known.get(instance, {}))
    return found


def _exporter_of(
    node: KubeNode, address: str, scraped: Iterable[tuple[Mapping[str, str], bool]]
) -> tuple[Mapping[str, str], bool] | None:
    """The exporter on a node: by a label that names it, else by its address.

    One whose label names another node is that one's, whatever its address.

    Raises:
        ClusterError: there are several.
    """
    by_name, unnamed = [], []
    for one in scraped:
        names = {one[0][label] for label in _NODE_LABELS if one[0].get(label)}
        if node.name in names:
            by_name.append(one)
        elif not names:
            unnamed.append(one)
    places = {node.name, address, *node.addresses} - {""}
    found = by_name or [one for one in unnamed if _host(one[0].get("instance", "")) in places]
    if len(found) > 1:
        both = ", ".join(sorted(one[0].get("instance", "") for one in found)[:4])
        raise ClusterError(
            f"Which exporter is node {node.name}'s cannot be told: {both}",
            hint="Have Prometheus label its targets with node (relabel_configs)",
        )
    return found[0] if found else None


def _host(instance: str) -> str:
    host, colon, port = instance.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else instance


def troubles(before: NodeHealth, now: NodeHealth, fullest: float) -> Iterator[str]:
    """What is worse than before, and what must not be at all; sentences without their end.

    Args:
        before: as it was before the resize.
        now: by a sample taken after it.
        fullest: the fill from which on it is too full.
    """
    if now.split:
        yield f"{now.split:.0f} pins are used by no program while programs use an older map"
    for what, old, new in (
        ("living entries were evicted", before.evicted, now.evicted),
        ("entries could not be created", before.refused, now.refused),
    ):
        if more := _grown(old, new):
            yield f"{count(round(more))} {what} since"
    if now.fill is not None and now.fill > fullest:
        yield f"the table is {percent(now.fill)} full"


def _grown(before: float | None, now: float | None) -> float:
    """How much a counter has grown; one that is smaller began anew."""
    if now is None:
        return 0.0
    old = before or 0.0
    return now - old if now >= old else now
