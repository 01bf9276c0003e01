"""What became of a node's maps and its agent, told from how its metrics went.

A Prometheus knows a moment only as a stretch between two of the points that it is asked for: what
happened did so after the one and by the other. Counters begin anew with the exporter; what it did
not see is told by the map's generation alone, and then nobody knows what was lost.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctconsole.fleet.prometheus import SeriesOverTime

    Points: TypeAlias = Mapping[float, float]

_RECREATIONS: Final = "ctconsole_map_recreations_total"
_LOST: Final = "ctconsole_map_recreation_lost_entries_total"
_RESIZES: Final = "ctconsole_map_resizes_total"
_CARRIED: Final = "ctconsole_map_resize_carried_entries_total"
_DROPPED: Final = "ctconsole_map_resize_lost_entries_total"
_GENERATION: Final = "ctconsole_map_generation_id"
_CAPACITY: Final = "ctconsole_map_capacity_entries"
_STARTED: Final = "ctconsole_agent_start_timestamp_seconds"

WATCHED: Final = (
    "ctconsole_map_entries", _RECREATIONS, _LOST, _RESIZES, _CARRIED, _DROPPED, _GENERATION,
    _CAPACITY, _STARTED,
)  # fmt: skip
"""The metrics whose past is asked for."""

RESIZED: Final = "resized"
RECREATED: Final = "re-created"
RESTARTED: Final = "agent restarted"


@dataclass(frozen=True, slots=True)
class FleetStory:
    """One thing that happened.

    Attributes:
        after: it was not so yet, seconds since the Unix epoch.
        by: it was so.
        what: `RESIZED`, `RECREATED` or `RESTARTED`.
        map: what it happened to; empty for the agent.
        before: capacity of the map before, None where not known.
        capacity: that of the map after.
        lost: entries of the map before that were not in the new one when that was seen.
        carried: entries that a resize or carry-over took along.
        dropped: entries that it left behind.
        times: how often it happened in between; 1 where only the map's generation tells.
    """

    after: float
    by: float
    what: str
    map: str = ""
    before: int | None = None
    capacity: int | None = None
    lost: int | None = None
    carried: int | None = None
    dropped: int | None = None
    times: int = 1


def stories(series: Iterable[SeriesOverTime]) -> list[FleetStory]:
    """What happened, the newest first.

    Args:
        series: of `WATCHED`, of one node, each with points at the same moments.
    """
    maps: dict[str, dict[str, Points]] = defaultdict(dict)
    agent: list[FleetStory] = []
    for labels, points in series:
        metric = labels.get("__name__", "")
        if metric == _STARTED:
            agent += _restarts(points)
        elif "map_name" in labels:
            maps[labels["map_name"]][metric] = dict(points)
    found = [*agent, *(story for name, told in maps.items() for story in _of_map(name, told))]
    return sorted(found, key=lambda one: (one.by, one.map), reverse=True)


def _restarts(points: tuple[tuple[float, float], ...]) -> Iterator[FleetStory]:
    for (after, before), (by, started) in itertools.pairwise(points):
        if started > before:
            # The metric is the moment itself.
            yield FleetStory(max(after, min(started, by)), by, RESTARTED)


def _of_map(name: str, told: Mapping[str, Points]) -> Iterator[FleetStory]:
    moments = sorted({when for points in told.values() for when in points})
    for after, by in itertools.pairwise(moments):

        def grown(metric: str) -> int | None:
            return _grown(told.get(metric, {}), after, by)  # noqa: B023 - called at once

        resizes, recreations = grown(_RESIZES), grown(_RECREATIONS)
        generations = told.get(_GENERATION, {})
        other = after in generations and by in generations and generations[after] != generations[by]
        if not (resizes or recreations or other):
            continue
        yield FleetStory(
            after=after,
            by=by,
            what=RESIZED if resizes else RECREATED,
            map=name,
            before=_whole(told.get(_CAPACITY, {}).get(after)),
            capacity=_whole(told.get(_CAPACITY, {}).get(by)),
            lost=grown(_LOST) if recreations else None,
            carried=grown(_CARRIED) if resizes else None,
            dropped=grown(_DROPPED) if resizes else None,
            times=max(resizes or 0, recreations or 0, 1),
        )


def _grown(points: Points, after: float, by: float) -> int | None:
    """What a counter grew by; one that fell began anew. None where either end is not known."""
    if after not in points or by not in points:
        return None
    first, last = points[after], points[by]
    return round(last - first if last >= first else last)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
