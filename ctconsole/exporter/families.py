"""The exporter's metrics, one row each: name, type, help, labels, and where the numbers are.

Names are Prometheus' own kind: base units, counters that end in ``_total``. ``map_name`` is the
label of Cilium's own metrics and has their values. What is not known has no series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import ctconsole
from ctconsole.model.ct.layout import IpProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ctconsole.exporter.figures import MapFigures, NodeFigures

    Value: TypeAlias = float | None
    Row: TypeAlias = tuple[tuple[str, ...], float]

NAMESPACE: Final = "ctconsole"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: without the namespace, and of a counter without ``_total``.
        help: one sentence.
        rows: label values and number of each series.
        labels: their names.
        counter: whether it only ever grows; else it is a gauge.
    """

    name: str
    help: str
    rows: Callable[[NodeFigures], Iterable[Row]]
    labels: tuple[str, ...] = ()
    counter: bool = False


def _node(value: Callable[[NodeFigures], Value]) -> Callable[[NodeFigures], Iterable[Row]]:
    """The one series of a number that may not be known."""

    def rows(node: NodeFigures) -> Iterator[Row]:
        if (found := value(node)) is not None:
            yield (), found

    return rows


def _maps(value: Callable[[MapFigures], Value]) -> Callable[[NodeFigures], Iterable[Row]]:
    """A series for each map of which the number is known."""

    def rows(node: NodeFigures) -> Iterator[Row]:
        for one in node.maps:
            if (found := value(one)) is not None:
                yield (one.label,), found

    return rows


_STATES: Final = ("opening", "one_way", "established", "half_closed", "closing", "expired")


def _by_state(node: NodeFigures) -> Iterator[Row]:
    for one in node.maps:
        if one.census is not None:
            kinds = one.census.kinds
            for state in _STATES:
                yield (one.label, state), getattr(kinds, state)


def _by_direction(node: NodeFigures) -> Iterator[Row]:
    for one in node.maps:
        if one.census is not None:
            for protocol, direction, kinds in one.census.shares():
                name = IpProtocol(protocol).name.lower() if protocol is not None else "other"
                yield (one.label, name, direction.name.lower()), kinds.alive


def _build(node: NodeFigures) -> Iterator[Row]:
    del node
    yield (ctconsole.__version__,), 1


def _agent(node: NodeFigures) -> Iterator[Row]:
    if node.agent_release is not None:
        yield (node.agent_release,), 1


_MAP: Final = ("map_name",)

FAMILIES: Final = (
    Family(
        "map_entries",
        "Entries in the map, expired ones among them, as the kernel counts them.",
        _maps(lambda one: one.entries),
        _MAP,
    ),
    Family(
        "map_capacity_entries",
        "Entries the map can hold.",
        _maps(lambda one: one.info.max_entries),
        _MAP,
    ),
    Family(
        "map_memory_bytes",
        "Memory the kernel charges for the map.",
        _maps(lambda one: one.info.memlock),
        _MAP,
    ),
    Family(
        "map_generation_id",
        "Kernel id of the map behind the pin; another one after a re-creation or a resize.",
        _maps(lambda one: one.info.id),
        _MAP,
    ),
    Family(
        "map_recreations",
        "Times the pin was seen to hold another map, resizes among them.",
        _maps(lambda one: one.totals.recreations),
        _MAP,
        counter=True,
    ),
    Family(
        "map_recreation_lost_entries",
        "Entries of replaced maps that the new map did not have when that was seen.",
        _maps(lambda one: one.totals.lost),
        _MAP,
        counter=True,
    ),
    Family(
        "map_recreated_timestamp_seconds",
        "When the pin was last seen to hold another map; absent where it never was.",
        _maps(lambda one: one.totals.recreated_at),
        _MAP,
    ),
    Family(
        "map_split_brain",
        "1 while no program uses the pinned map and some use an older one, else 0.",
        _maps(lambda one: one.split),
        _MAP,
    ),
    Family(
        "map_resizes",
        "Resizes and carry-overs that the node's history tells of.",
        _maps(lambda one: one.totals.resizes),
        _MAP,
        counter=True,
    ),
    Family(
        "map_resize_carried_entries",
        "Entries that resizes and carry-overs took along.",
        _maps(lambda one: one.totals.carried),
        _MAP,
        counter=True,
    ),
    Family(
        "map_resize_lost_entries",
        "Entries that resizes and carry-overs left behind.",
        _maps(lambda one: one.totals.dropped),
        _MAP,
        counter=True,
    ),
    Family(
        "map_next_start_capacity_entries",
        "Capacity that the agent's next start will give the map; absent where that is not known.",
        _maps(lambda one: one.next_start),
        _MAP,
    ),
    Family(
        "ct_entries",
        "Entries of the conntrack table by the state of their connection, at its last census.",
        _by_state,
        ("map_name", "state"),
    ),
    Family(
        "ct_alive_entries",
        "Entries whose lifetime is not over, by protocol and direction, at the last census.",
        _by_direction,
        ("map_name", "protocol", "direction"),
    ),
    Family(
        "ct_new_entries",
        "Entries seen to come between two censuses; what came and went in between is not seen.",
        _maps(lambda one: one.totals.came),
        _MAP,
        counter=True,
    ),
    Family(
        "ct_gone_entries",
        "Entries seen to be gone between two censuses.",
        _maps(lambda one: one.totals.gone),
        _MAP,
        counter=True,
    ),
    Family(
        "ct_evicted_entries",
        "Entries gone before their time while the table was full: an estimate of evictions.",
        _maps(lambda one: one.totals.evicted),
        _MAP,
        counter=True,
    ),
    Family(
        "ct_census_timestamp_seconds",
        "When the conntrack table was last counted entry by entry.",
        _maps(lambda one: one.census.taken_at if one.census else None),
        _MAP,
    ),
    Family(
        "ct_census_cpu_seconds",
        "CPU time that counting the conntrack table entry by entry took.",
        _maps(lambda one: one.totals.census_cpu),
        _MAP,
        counter=True,
    ),
    Family(
        "ct_insert_failures",
        "Entries the datapath could not create, by its own count (reason 155).",
        _node(lambda node: node.insert_failures),
        counter=True,
    ),
    Family("agent_up", "Whether the agent's process runs.", _node(lambda node: node.agent_up)),
    Family(
        "agent_start_timestamp_seconds",
        "When the agent's process started.",
        _node(lambda node: node.agent_started),
    ),
    Family(
        "agent_restarts",
        "Times the agent was seen to start since the exporter began.",
        _node(lambda node: node.agent_restarts),
        counter=True,
    ),
    Family("agent_info", "The release the agent says it is.", _agent, ("release",)),
    Family(
        "sample_timestamp_seconds",
        "When the last sample that did not fail began; 0 before there was one.",
        _node(lambda node: node.taken_at),
    ),
    Family(
        "sample_duration_seconds",
        "Time the last sample took.",
        _node(lambda node: node.seconds),
    ),
    Family("samples", "Samples taken.", _node(lambda node: node.samples), counter=True),
    Family(
        "sample_failures", "Samples that failed.", _node(lambda node: node.failures), counter=True
    ),
    Family(
        "exporter_cpu_seconds",
        "CPU time of the exporter's process.",
        _node(lambda node: node.cpu_seconds),
        counter=True,
    ),
    Family(
        "exporter_resident_memory_bytes",
        "Memory of the exporter's process.",
        _node(lambda node: node.resident or None),
    ),
    Family(
        "web_config_last_reload_successful",
        "Whether the web configuration and its certificates are in force as they are now.",
        _node(lambda node: node.web_config_good),
    ),
    Family(
        "web_config_last_reload_success_timestamp_seconds",
        "When the web configuration in force was read.",
        _node(lambda node: node.web_config_taken_at),
    ),
    Family("build_info", "The version of ctconsole.", _build, ("version",)),
)
"""Every metric, in the order in which they are written."""
