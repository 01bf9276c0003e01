"""The nodes of a fleet, one row each, from a handful of queries however many there are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.fleet.prometheus import PrometheusClient, Series

_FILL: Final = "ctconsole_map_entries{%s} / ctconsole_map_capacity_entries{%s}"

QUERIES: Final = {
    "up": 'max by (instance) (up{job=~".*ctconsole.*",%s})',
    "fill": f"topk by (instance) (1, {_FILL})",
    "full_in": (
        "min by (instance) ((ctconsole_map_capacity_entries{%s} - ctconsole_map_entries{%s})"
        " / (deriv(ctconsole_map_entries{%s}[30m]) > 0))"
    ),
    "entries": "sum by (instance) (ctconsole_ct_entries{%s})",
    "living": 'sum by (instance) (ctconsole_ct_entries{state!="expired",%s})',
    "evicted": "sum by (instance) (increase(ctconsole_ct_evicted_entries_total{%s}[1h]))",
    "refused": "sum by (instance) (increase(ctconsole_ct_insert_failures_total{%s}[1h]))",
    "lost": "sum by (instance) (increase(ctconsole_map_recreation_lost_entries_total{%s}[1h]))",
    "split": "sum by (instance) (ctconsole_map_split_brain{%s})",
    "age": "time() - (ctconsole_sample_timestamp_seconds{%s} > 0)",
    "agent_up_for": "time() - ctconsole_agent_start_timestamp_seconds{%s}",
    "release": "ctconsole_agent_info{%s}",
}
"""By the field of `FleetNode` that takes the answer; ``%s`` is the selector of nodes."""


@dataclass(frozen=True, slots=True)
class FleetNode:
    """One node; what Prometheus does not know of it is None.

    Attributes:
        node: its ``instance``.
        up: whether its exporter answers.
        fullest: the map that is fullest.
        fill: its entries over its capacity.
        full_in: seconds until the first of its maps is full, at the pace of the last half hour.
        entries: in its conntrack tables, at their last censuses.
        living: those of them whose lifetime is not over.
        evicted: entries thrown out before their time in the last hour.
        refused: entries the datapath could not create in the last hour.
        lost: entries lost with re-created maps in the last hour.
        split: pins that no program uses while programs use an older map.
        age: seconds since its last sample.
        agent_up_for: seconds since its agent started.
        release: of its agent.
    """

    node: str
    up: bool | None = None
    fullest: str | None = None
    fill: float | None = None
    full_in: float | None = None
    entries: int | None = None
    living: int | None = None
    evicted: int | None = None
    refused: int | None = None
    lost: int | None = None
    split: int | None = None
    age: float | None = None
    agent_up_for: float | None = None
    release: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


_WHOLE: Final = frozenset({"entries", "living", "evicted", "refused", "lost", "split"})


def fleet_nodes(prometheus: PrometheusClient, nodes: str = ".*") -> list[FleetNode]:
    """Every node whose exporter Prometheus knows, the fullest first.

    Args:
        prometheus: who knows them.
        nodes: a regular expression of Prometheus' for their ``instance``.

    Raises:
        CtconsoleError: it does not answer, or refuses the expression.
    """
    quoted = nodes.replace("\\", "\\\\").replace('"', '\\"')
    selector = f'instance=~"{quoted}"'
    found: dict[str, dict[str, Any]] = {}
    for field, query in QUERIES.items():
        _take(found, field, prometheus.query(query.replace("%s", selector)))
    every = [FleetNode(node, **told) for node, told in found.items()]
    return sorted(every, key=lambda one: (one.fill is not None, one.fill or 0.0), reverse=True)


def _take(found: dict[str, dict[str, Any]], field: str, series: Iterable[Series]) -> None:
    for labels, value in series:
        told = found.setdefault(labels.get("instance", ""), {})
        match field:
            case "up":
                told[field] = value > 0
            case "release":
                told[field] = labels.get("release")
            case "fill":
                told |= {"fill": value, "fullest": labels.get("map_name")}
            case _ if field in _WHOLE:
                told[field] = round(value)
            case _:
                told[field] = value
