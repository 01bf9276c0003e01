"""What is known of each node of a fleet, and of all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ctconsole.fleet.values import is_known
from ctconsole.model.event import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ctconsole.fleet.prometheus import Series
    from ctconsole.model.fullness import Thresholds


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
        alerts: alerts of ours that fire; None where Prometheus has no such rules.
        firing: their names.
        fills: of each map, by its name.
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
    alerts: int | None = None
    firing: tuple[str, ...] = ()
    fills: Mapping[str, float] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without `fills`."""
        return {name: getattr(self, name) for name in _TOLD} | {"firing": list(self.firing)}


_TOLD: Final = tuple(one.name for one in fields(FleetNode) if one.name != "fills")


PREFIX: Final = "cilium_"
"""What the pins' names begin with, and the label ``map_name`` leaves out."""

WHOLE: Final = frozenset({"entries", "living", "evicted", "refused", "lost", "split"})
"""Fields that are whole numbers."""


@dataclass(frozen=True, slots=True)
class FleetTotals:
    """A fleet in a few numbers, of what is known of its nodes; None where it is known of none.

    Attributes:
        nodes: whose exporter Prometheus knows.
        down: those of them whose exporter does not answer.
        high: nodes with a map at or above its threshold for high, and none for full.
        full: nodes with a map at or above its threshold for full.
        entries: in their conntrack tables.
        living: those of them whose lifetime is not over.
        evicted: thrown out in the last hour.
        refused: in the last hour.
        lost: with re-created maps in the last hour.
        lossy: nodes that lost some.
        split: pins that no program uses.
        alerts: that fire; None where Prometheus has no rules of ours.
    """

    nodes: int
    down: int
    high: int
    full: int
    entries: int | None
    living: int | None
    evicted: int | None
    refused: int | None
    lost: int | None
    lossy: int
    split: int | None
    alerts: int | None


def map_level(name: str, fill: float, thresholds: Thresholds) -> Level:
    """What a fill (0 to 1) means for the map of such a ``map_name``; see `Thresholds`."""
    return thresholds.level(f"{PREFIX}{name}", fill)


def node_level(node: FleetNode, thresholds: Thresholds) -> Level | None:
    """The worst of its maps; None where nothing is known of them."""
    found = {map_level(name, fill, thresholds) for name, fill in node.fills.items()}
    ordered = (Level.ERROR, Level.WARNING, Level.INFO)
    return next((level for level in ordered if level in found), None)


def totals(nodes: Sequence[FleetNode], thresholds: Thresholds) -> FleetTotals:
    """All of them together.

    Args:
        nodes: of the fleet.
        thresholds: from which fill on maps are high, and full.
    """

    def add(name: str) -> int | None:
        known = [value for one in nodes if (value := getattr(one, name)) is not None]
        return sum(known) if known or not nodes else None

    levels = [node_level(one, thresholds) for one in nodes]
    return FleetTotals(
        nodes=len(nodes),
        down=sum(one.up is False for one in nodes),
        high=levels.count(Level.WARNING),
        full=levels.count(Level.ERROR),
        lossy=sum(bool(one.lost) for one in nodes),
        **{name: add(name) for name in (*sorted(WHOLE), "alerts")},
    )


def worst_first(nodes: Iterable[FleetNode]) -> list[FleetNode]:
    """Those that do not answer, then the fullest, then those of which nothing is known."""
    return sorted(
        nodes, key=lambda one: (one.up is not False, one.fill is None, -(one.fill or 0.0), one.node)
    )


def joined(answers: Mapping[str, Iterable[Series]], *, ruled: bool) -> list[FleetNode]:
    """The nodes that answers tell of, the fullest first.

    Args:
        answers: series by the field they are for; ``fill`` has one for each map, ``alerts`` one
            for each name of an alert.
        ruled: whether alerts would be there if any fired.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, series in answers.items():
        for labels, value in series:
            told = found.setdefault(labels.get("instance", ""), {})
            if is_known(value):
                # Of a map whose capacity is 0 there is no fill, say.
                _take(told, name, labels, value)
    every = [_node(node, told, ruled=ruled) for node, told in found.items()]
    return sorted(every, key=lambda one: (one.fill is not None, one.fill or 0.0), reverse=True)


def _take(told: dict[str, Any], name: str, labels: Mapping[str, str], value: float) -> None:
    if name == "up":
        told[name] = value > 0
    elif name == "release":
        told[name] = labels.get("release")
    elif name == "fill":
        told.setdefault("fills", {})[labels.get("map_name", "")] = value
    elif name == "alerts":
        told[name] = told.get(name, 0) + round(value)
        told.setdefault("firing", []).append(labels.get("alertname", ""))
    else:
        told[name] = round(value) if name in WHOLE else value


def _node(node: str, told: dict[str, Any], *, ruled: bool) -> FleetNode:
    fills: dict[str, float] = told.get("fills", {})
    fullest = max(fills, key=lambda name: fills[name], default=None)
    if ruled:
        told.setdefault("alerts", 0)
    told["firing"] = tuple(sorted(told.get("firing", ())))
    if fullest is not None:
        told |= {"fullest": fullest, "fill": fills[fullest]}
    return FleetNode(node, **told)
