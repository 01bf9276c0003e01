"""What size the tables of a pool of nodes should have, from what a Prometheus remembers of them.

The rule is that of a single node (`ctconsole.model.advice`). A pool has one size for all its
nodes, so what counts is the node that had most living entries at each moment.
"""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import UsageError
from ctconsole.fleet.nodes import PREFIX
from ctconsole.fleet.prometheus import quoted
from ctconsole.fleet.values import is_known
from ctconsole.model.advice import Watched, advise
from ctconsole.model.catalogue import Group, classify, group_of
from ctconsole.model.spec import MapInfo
from ctconsole.model.units import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ctconsole.fleet.prometheus import PrometheusClient, SeriesOverTime
    from ctconsole.model.advice import Advice
    from ctconsole.model.fill import Trend

CAPACITY: Final = "capacity"
"""What nodes are put together by unless a label is named: those whose map is of one size."""

_GROUPS: Final = frozenset({Group.CONNTRACK, Group.NAT})

_POINTS: Final = 500
"""Moments that are asked for."""

_LEAST_STEP: Final = 60.0

_SHORT: Final = 0.9
"""A share of the window below which its history is too short to be taken for all of it."""

_LIVING: Final = 'sum without (state) (ctconsole_ct_entries{state!="expired",%s})'
_ENTRIES: Final = f"({_LIVING} or ctconsole_map_entries{{%s}})"
"""Living entries where they are counted, all of them where not."""

_BY_CAPACITY: Final = (
    " * on (instance, map_name) group_left (capacity) count_values by (instance, map_name)"
    ' ("capacity", ctconsole_map_capacity_entries{%s} @ end())'
)
"""Gives each series the capacity that its map has now, as a label."""

NOW: Final = {
    "nodes": ("count", "ctconsole_map_capacity_entries{%s}"),
    "capacity": ("min", "ctconsole_map_capacity_entries{%s}"),
    "largest": ("max", "ctconsole_map_capacity_entries{%s}"),
    "memory": ("max", "ctconsole_map_memory_bytes{%s}"),
    "counted": ("count", f"({_LIVING})"),
    "came": ("max", "rate(ctconsole_ct_new_entries_total{%s}[10m])"),
    "evicted": ("max", "rate(ctconsole_ct_evicted_entries_total{%s}[10m])"),
    "now": ("max", _ENTRIES),
}
"""What is asked of now: how the nodes of a pool are put together, and of which series."""

PAST: Final = {
    "trend": ("max", _ENTRIES),
    "thrown": ("sum", "ctconsole_ct_evicted_entries_total{%s}"),
}
"""The same over time."""

DOWN: Final = 'count(max by (instance) (up{job=~".*ctconsole.*",%s}) == 0)'


@dataclass(frozen=True, slots=True)
class PoolAdvice:
    """One table of one pool.

    Attributes:
        pool: the label's value, or the capacity; empty for nodes without the label.
        map: as the label ``map_name`` has it.
        nodes: that have the table now.
        largest: the largest capacity among them; the advice is for the smallest.
        advice: by the rule of a single node.
        memory: bytes the table is charged on a node now, None where not known.
        memory_wanted: about what it would be, at the same bytes for each entry of room.
        evicted: entries that the pool's tables threw out before their time, at least; None where
            nobody counted.
        history: seconds of the window of which something is known.
        living: whether expired entries are left out.
        unknown: sentences: what is not known, and why.
    """

    pool: str
    map: str
    nodes: int
    largest: int
    advice: Advice
    memory: int | None
    memory_wanted: int | None
    evicted: int | None
    history: float
    living: bool
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetAdvice:
    """What one look found.

    Attributes:
        pools: by pool, the tables by name.
        down: nodes that do not answer now, which are in no pool by capacity.
        warnings: what Prometheus says of its answers.
    """

    pools: tuple[PoolAdvice, ...]
    down: int
    warnings: tuple[str, ...]


def advise_pools(
    prometheus: PrometheusClient,
    *,
    by: str = CAPACITY,
    window: float,
    nodes: str = ".*",
    clock: Callable[[], float] = time.time,
) -> FleetAdvice:
    """Advice for conntrack and NAT tables, of each pool of nodes.

    Args:
        prometheus: who knows them.
        by: a label that nodes of a pool have in common.
        window: seconds of history.
        nodes: a regular expression of Prometheus' for their ``instance``.
        clock: seconds since the Unix epoch.

    Raises:
        UsageError: ``by`` is no label.
        CtconsoleError: Prometheus does not answer, or refuses.
    """
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", by, re.ASCII):
        raise UsageError(f"{by} is no label of Prometheus'", hint="It has letters, digits and _")
    at, selector = clock(), f'instance=~"{quoted(nodes)}"'

    def text(how: str, series: str) -> str:
        joined = f"{series}{_BY_CAPACITY if by == CAPACITY else ''}"
        return f"{how} by (map_name, {by}) ({joined})".replace("%s", selector)

    told: dict[tuple[str, str], dict[str, Any]] = {}
    warnings: dict[str, None] = {}
    for field, (how, series) in NOW.items():
        found = prometheus.ask(text(how, series))
        warnings |= dict.fromkeys(found.warnings)
        for labels, value in found.series:
            if is_known(value):
                told.setdefault(_place(labels, by), {})[field] = value
    step = max(_LEAST_STEP, window / _POINTS)
    for field, (how, series) in PAST.items():
        past = prometheus.query_range(text(how, series), at - window, at, step)
        warnings |= dict.fromkeys(past.warnings)
        for one in past.series:
            told.setdefault(_place(one.labels, by), {})[field] = one
    down = prometheus.query(DOWN.replace("%s", selector))
    return FleetAdvice(
        pools=tuple(_advised(told, window, at)),
        down=round(down[0].value) if down else 0,
        warnings=tuple(warnings),
    )


def _place(labels: Mapping[str, str], by: str) -> tuple[str, str]:
    return labels.get(by, ""), labels.get("map_name", "")


def _advised(
    told: Mapping[tuple[str, str], Mapping[str, Any]], window: float, at: float
) -> Iterator[PoolAdvice]:
    for pool, name in sorted(told, key=lambda place: (_natural(place[0]), place[1])):
        found = told[pool, name]
        pin = f"{PREFIX}{name}"
        entry = classify(pin)
        known = {"capacity", "nodes", "now"} <= found.keys()
        if entry is not None and known and group_of(pin) in _GROUPS and found["capacity"] >= 1:
            info = MapInfo(
                id=0,
                name=name[:15],
                type=entry.type,
                key_size=entry.key_size or 0,
                value_size=entry.value_size or 0,
                max_entries=round(found["capacity"]),
                memlock=round(found["memory"]) if "memory" in found else None,
                pin=PurePosixPath(pin),
            )
            yield _of_table(pool, name, info, found, window, at)


def _natural(text: str) -> tuple[int, int, str]:
    """Numbers by their size, before words."""
    return (0, int(text), "") if text.isdecimal() and len(text) < 20 else (1, 0, text)  # noqa: PLR2004 - more is no capacity


def _of_table(  # noqa: PLR0917 - one table's facts
    pool: str, name: str, info: MapInfo, found: Mapping[str, Any], window: float, at: float
) -> PoolAdvice:
    trend = _trend(found.get("trend"), at, round(found["now"]))
    thrown = _increase(found.get("thrown"))
    nodes = round(found["nodes"])
    living = round(found.get("counted", 0)) >= nodes
    advice = advise(
        Watched(
            info=info, trend=trend, cpus=0, came=found.get("came"), evicted=found.get("evicted")
        )
    )
    memory = info.memlock
    wanted = advice.wanted
    return PoolAdvice(
        pool=pool,
        map=name,
        nodes=nodes,
        largest=round(found.get("largest", info.max_entries)),
        advice=replace(advice, unknown=()),
        memory=memory,
        memory_wanted=round(memory / info.max_entries * wanted) if memory and wanted else None,
        evicted=thrown,
        history=at - trend[0][0],
        living=living,
        unknown=tuple(
            _unknown(at - trend[0][0], window, thrown, found, living=living, memory=memory)
        ),
    )


def _trend(series: SeriesOverTime | None, at: float, now: int) -> Trend:
    """The most living entries that any node of the pool had, oldest first, the newest of now."""
    points = series.points if series is not None else ()
    return (*((when, round(value)) for when, value in points if when < at), (at, now))


def _increase(series: SeriesOverTime | None) -> int | None:
    """What a sum of counters grew by; where it falls a node began anew or left."""
    if series is None or not series.points:
        return None
    values = [value for _, value in series.points]
    return round(sum(max(0.0, after - before) for before, after in itertools.pairwise(values)))


def _unknown(
    history: float,
    window: float,
    thrown: int | None,
    found: Mapping[str, Any],
    *,
    living: bool,
    memory: int | None,
) -> Iterable[str]:
    if history < window * _SHORT:
        yield (
            f"Only {duration(round(history))} of the last {duration(round(window))} are known: "
            "a peak before that would ask for more"
        )
    if not living:
        missing = round(found["nodes"]) - round(found.get("counted", 0))
        yield f"Of {count(missing)} nodes the living entries are not counted: all of them are"
    if thrown is None:
        yield "Whether it threw entries out is not known: nobody counted"
    elif thrown:
        yield (
            f"What it would have held had it not thrown out about {count(thrown)} entries "
            "is not known: the size is the least"
        )
    if memory is None:
        yield "The memory it takes is not known"
    yield "The nodes' CPUs and free memory are not known: sizes are for one CPU"
