"""One node of a fleet: its maps now and over time, and what became of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ctconsole.fleet.prometheus import quoted
from ctconsole.fleet.stories import WATCHED, stories
from ctconsole.fleet.values import is_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.fleet.prometheus import FoundOverTime, PrometheusClient, Series
    from ctconsole.fleet.stories import FleetStory
    from ctconsole.model.fill import Trend

NOW: Final = '{__name__=~"ctconsole_(map|ct|agent|sample)_.+",instance="%s"}'
"""Everything that the exporter told in its last scrape."""

RATES: Final = {
    "came": 'rate(ctconsole_ct_new_entries_total{instance="%s"}[5m])',
    "evicted": 'rate(ctconsole_ct_evicted_entries_total{instance="%s"}[10m])',
    "full_in": (
        '(ctconsole_map_capacity_entries{instance="%s"} - ctconsole_map_entries{instance="%s"})'
        ' / (deriv(ctconsole_map_entries{instance="%s"}[30m]) > 0)'
    ),
}
"""By the field of `FleetMap` that takes the answer."""

UP: Final = 'max(up{job=~".*ctconsole.*",instance="%s"})'

PAST: Final = '{__name__=~"%s",instance="%s"}'

_ALIVE_BUT: Final = "expired"

_POINTS: Final = 240
"""Moments of the past that are asked for; a Prometheus answers no more than 11,000."""

_LEAST_STEP: Final = 15.0

_FIELDS: Final = {
    "ctconsole_map_entries": "entries",
    "ctconsole_map_capacity_entries": "capacity",
    "ctconsole_map_memory_bytes": "memory",
    "ctconsole_map_generation_id": "generation",
    "ctconsole_map_recreations_total": "recreations",
    "ctconsole_map_recreation_lost_entries_total": "lost",
    "ctconsole_map_recreated_timestamp_seconds": "recreated_at",
    "ctconsole_map_next_start_capacity_entries": "next_start",
    "ctconsole_map_split_brain": "split",
}
"""The field of `FleetMap` by the name of a metric."""

_MOMENTS: Final = frozenset({"recreated_at"})


@dataclass(frozen=True, slots=True)
class FleetMap:
    """One map of a node; what is not known is None.

    Attributes:
        name: as the label ``map_name`` has it.
        entries: in it.
        capacity: that it has room for.
        living: those of them whose lifetime is not over.
        expired: the others.
        came: new entries each second, over five minutes.
        evicted: entries thrown out before their time each second, over ten minutes.
        full_in: seconds until it is full, at the pace of the last half hour.
        memory: bytes the kernel charges.
        generation: the kernel's id of the map behind the pin.
        recreations: times the pin was seen to hold another map.
        lost: entries of replaced maps that were not in the new one.
        recreated_at: when that was last seen, seconds since the Unix epoch.
        next_start: the capacity that the agent's next start gives it.
        split: 1 while no program uses the pinned map.
        trend: its entries over time, oldest first.
    """

    name: str
    entries: int | None = None
    capacity: int | None = None
    living: int | None = None
    expired: int | None = None
    came: float | None = None
    evicted: float | None = None
    full_in: float | None = None
    memory: int | None = None
    generation: int | None = None
    recreations: int | None = None
    lost: int | None = None
    recreated_at: float | None = None
    next_start: int | None = None
    split: int | None = None
    trend: Trend = ()

    @property
    def fill(self) -> float | None:
        """Entries over capacity."""
        return self.entries / self.capacity if self.entries is not None and self.capacity else None


@dataclass(frozen=True, slots=True)
class NodeLook:
    """One node, as it was found.

    Attributes:
        node: its ``instance``.
        up: whether its exporter answers; None where Prometheus does not know it.
        maps: the fullest first, those of which nothing is known now last.
        stories: what became of its maps and its agent, the newest first.
        span: seconds of the past that were asked for.
        agent_started: when its agent started, seconds since the Unix epoch.
        sampled_at: when its exporter last took a sample.
        warnings: what Prometheus says of its answers.
        taken_at: when it was asked.
    """

    node: str
    up: bool | None
    maps: tuple[FleetMap, ...]
    stories: tuple[FleetStory, ...]
    span: float
    agent_started: float | None
    sampled_at: float | None
    warnings: tuple[str, ...]
    taken_at: float


def look_at(
    prometheus: PrometheusClient,
    node: str,
    span: float,
    clock: Callable[[], float] = time.time,
) -> NodeLook:
    """Ask for everything about one node.

    Args:
        prometheus: who knows it.
        node: its ``instance``.
        span: seconds of the past.
        clock: seconds since the Unix epoch.

    Raises:
        CtconsoleError: it does not answer.
    """
    at, name = clock(), quoted(node)
    up = prometheus.ask(UP.replace("%s", name))
    now = prometheus.ask(NOW.replace("%s", name))
    rates = {field: prometheus.ask(query.replace("%s", name)) for field, query in RATES.items()}
    past = prometheus.query_range(
        PAST % ("|".join(WATCHED), name), at - span, at, max(_LEAST_STEP, span / _POINTS)
    )
    maps: dict[str, dict[str, Any]] = {}
    beside: dict[str, float] = {}
    for labels, value in now.series:
        _take(maps, beside, labels, value)
    for field, found in rates.items():
        _take_rates(maps, field, found.series)
    _take_trends(maps, past)
    every = [_map(one, told) for one, told in maps.items()]
    every.sort(key=lambda one: (one.fill is None, -(one.fill or 0.0), one.name))
    said = (up, now, *rates.values())
    return NodeLook(
        node=node,
        up=up.series[0].value > 0 if up.series else None,
        maps=tuple(every),
        stories=tuple(stories(past.series)),
        span=span,
        agent_started=beside.get("ctconsole_agent_start_timestamp_seconds"),
        sampled_at=beside.get("ctconsole_sample_timestamp_seconds") or None,
        warnings=tuple(
            dict.fromkeys((*(text for one in said for text in one.warnings), *past.warnings))
        ),
        taken_at=at,
    )


def _take(
    maps: dict[str, dict[str, Any]],
    beside: dict[str, float],
    labels: Mapping[str, str],
    value: float,
) -> None:
    """Put one number of now in its place."""
    if not is_known(value):
        return
    metric, name = labels.get("__name__", ""), labels.get("map_name")
    if name is None:
        beside[metric] = value
        return
    told = maps.setdefault(name, {})
    if metric in _FIELDS:
        field = _FIELDS[metric]
        told[field] = value if field in _MOMENTS else round(value)
    elif metric == "ctconsole_ct_entries":
        field = "expired" if labels.get("state") == _ALIVE_BUT else "living"
        told[field] = told.get(field, 0) + round(value)


def _take_rates(maps: dict[str, dict[str, Any]], field: str, series: Iterable[Series]) -> None:
    for labels, value in series:
        if is_known(value):
            maps.setdefault(labels.get("map_name", ""), {})[field] = value


def _take_trends(maps: dict[str, dict[str, Any]], past: FoundOverTime) -> None:
    for labels, points in past.series:
        if labels.get("__name__") == "ctconsole_map_entries":
            trend = tuple((when, round(value)) for when, value in points)
            maps.setdefault(labels.get("map_name", ""), {})["trend"] = trend


def _map(name: str, told: Mapping[str, Any]) -> FleetMap:
    return replace(FleetMap(name), **told)
