"""A look at a whole fleet: a handful of queries, however many nodes there are."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.fleet.nodes import FleetNode, joined
from ctconsole.fleet.prometheus import Found, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from ctconsole.fleet.prometheus import PrometheusClient, Series

QUERIES: Final = {
    "up": 'max by (instance) (up{job=~".*ctconsole.*",%s})',
    "fill": "ctconsole_map_entries{%s} / ctconsole_map_capacity_entries{%s}",
    "entries": "sum by (instance) (ctconsole_ct_entries{%s})",
    "living": 'sum by (instance) (ctconsole_ct_entries{state!="expired",%s})',
    "split": "sum by (instance) (ctconsole_map_split_brain{%s})",
    "age": "max by (instance) (time() - (ctconsole_sample_timestamp_seconds{%s} > 0))",
    "agent_up_for": "max by (instance) (time() - ctconsole_agent_start_timestamp_seconds{%s})",
    "release": "max by (instance, release) (ctconsole_agent_info{%s})",
    "alerts": (
        'count by (instance, alertname) (ALERTS{alertstate="firing",alertname=~"Ctconsole.*",%s})'
    ),
}
"""By the field of `FleetNode` that takes the answer; ``%s`` is the selector of nodes."""

SLOW: Final = {
    "full_in": (
        "min by (instance) ((ctconsole_map_capacity_entries{%s} - ctconsole_map_entries{%s})"
        " / (deriv(ctconsole_map_entries{%s}[30m]) > 0))"
    ),
    "evicted": "sum by (instance) (increase(ctconsole_ct_evicted_entries_total{%s}[1h]))",
    "refused": "sum by (instance) (increase(ctconsole_ct_insert_failures_total{%s}[1h]))",
    "lost": "sum by (instance) (increase(ctconsole_map_recreation_lost_entries_total{%s}[1h]))",
}
"""Those that look back over hours, and so cost a Prometheus most; the same form."""

RULED: Final = {
    "fill": "instance_map_name:ctconsole_map_entries:ratio{%s}",
    "entries": "sum by (instance) (instance:ctconsole_ct_entries:sum{%s})",
    "living": "sum by (instance) (instance:ctconsole_ct_alive:sum{%s})",
    "split": "sum by (instance) (instance:ctconsole_map_split_brain:sum{%s})",
    "full_in": "min by (instance) (instance_map_name:ctconsole_map_entries:seconds_to_full{%s})",
    "evicted": "sum by (instance) (instance:ctconsole_ct_evicted_entries:increase1h{%s})",
    "refused": "sum by (instance) (instance:ctconsole_ct_insert_failures:increase1h{%s})",
    "lost": "sum by (instance) (instance:ctconsole_map_recreation_lost_entries:increase1h{%s})",
}
"""The same where its own recording rules (``deploy/prometheus``) have done the work."""

_UNRULED: Final = {name: query for name, query in QUERIES.items() if name not in RULED}

_AT_ONCE: Final = 4
"""Queries under way at once: a Prometheus answers 20 by default, and others ask it, too."""


@dataclass(frozen=True, slots=True)
class FleetLook:
    """What one look found.

    Attributes:
        nodes: the fullest first.
        ruled: whether Prometheus has the rules of ``deploy/prometheus``: only then is it known
            which alerts fire.
        warnings: what Prometheus says of its answers.
        missing: sentences on what it would not tell.
        taken_at: when it was asked, seconds since the Unix epoch.
        cost: seconds until all had answered.
    """

    nodes: tuple[FleetNode, ...]
    ruled: bool
    warnings: tuple[str, ...]
    missing: tuple[str, ...]
    taken_at: float
    cost: float


class FleetLooker:
    """Looks again and again; not safe from several threads at once.

    Args:
        prometheus: who knows the nodes.
        nodes: a regular expression of Prometheus' for their ``instance``.
        slow_every: seconds for which the answers of `SLOW` are good.
        clock: seconds since the Unix epoch.
    """

    def __init__(
        self,
        prometheus: PrometheusClient,
        nodes: str = ".*",
        *,
        slow_every: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prometheus = prometheus
        self._selector = f'instance=~"{quoted(nodes)}"'
        self._slow_every = slow_every
        self._clock = clock
        self._slow: dict[str, Found | CtconsoleError] = {}
        self._slow_at: dict[str, float] = {}

    def look(self) -> FleetLook:
        """Ask for everything.

        Raises:
            CtconsoleError: it does not answer, or refuses the expression for nodes.
        """
        begun, at = time.monotonic(), self._clock()
        with ThreadPoolExecutor(_AT_ONCE, "prometheus") as pool:
            # The largest first, so that none of it is waited for alone.
            by_rule = {name: pool.submit(self._ask, query) for name, query in RULED.items()}
            asked = {name: pool.submit(self._ask, query) for name, query in _UNRULED.items()}
            up = _answer(asked["up"])
            if isinstance(up, CtconsoleError):
                pool.shutdown(cancel_futures=True)
                raise up
            ruled = _nodes(_answer(by_rule["fill"]))
            # A Prometheus may have rules for a part of the nodes, or may just have got them.
            whole = ruled and ruled >= {_node(one) for one in up.series if one.value > 0}
            found: dict[str, Found | CtconsoleError] = {}
            late: dict[str, Future[Found]] = {}
            for name, future in by_rule.items():
                told = _answer(future)
                if whole and _nodes(told):
                    found[name] = told
                elif name in QUERIES:
                    asked[name] = pool.submit(self._ask, QUERIES[name])
                elif 0 <= at - self._slow_at.get(name, -math.inf) < self._slow_every:
                    found[name] = self._slow[name]
                else:
                    late[name] = pool.submit(self._ask, SLOW[name])
            for name, future in late.items():
                found[name] = self._slow[name] = _answer(future)
                self._slow_at[name] = at
            found |= {name: _answer(future) for name, future in asked.items()}
        good = {name: one for name, one in found.items() if isinstance(one, Found)}
        bad = {name: one for name, one in found.items() if not isinstance(one, Found)}
        known = bool(ruled) and "alerts" in good
        nodes = tuple(joined({name: one.series for name, one in good.items()}, ruled=known))
        return FleetLook(
            nodes=nodes,
            ruled=bool(ruled),
            warnings=tuple(dict.fromkeys(text for one in good.values() for text in one.warnings)),
            missing=(*_unknown(nodes), *(f"{name} is not known: {bad[name]}" for name in bad)),
            taken_at=at,
            cost=time.monotonic() - begun,
        )

    def _ask(self, query: str) -> Found:
        return self._prometheus.ask(query.replace("%s", self._selector))


def _unknown(nodes: Sequence[FleetNode]) -> Iterator[str]:
    """What is to be said of exporters that are scraped, by a job of which nobody knows that."""
    if unknown := sum(one.up is None for one in nodes):
        yield (
            f"whether their exporters answer is not known of {unknown:,} of {len(nodes):,} nodes: "
            "the job that scrapes them has no ctconsole in its name"
        )


def _answer(future: Future[Found]) -> Found | CtconsoleError:
    try:
        return future.result()
    except CtconsoleError as error:
        return error


def _nodes(answer: Found | CtconsoleError) -> set[str]:
    """The nodes that an answer tells of."""
    return {_node(one) for one in answer.series} if isinstance(answer, Found) else set()


def _node(one: Series) -> str:
    return one.labels.get("instance", "")


def fleet_nodes(prometheus: PrometheusClient, nodes: str = ".*") -> list[FleetNode]:
    """Every node whose exporter Prometheus knows, the fullest first.

    Args:
        prometheus: who knows them.
        nodes: a regular expression of Prometheus' for their ``instance``.

    Raises:
        CtconsoleError: it does not answer, or refuses the expression.
    """
    return list(FleetLooker(prometheus, nodes).look().nodes)
