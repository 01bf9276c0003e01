"""The views of a fleet, of nodes that are always the same; see `tests.support.scenes`.

What their Prometheus tells is made here, and read by the client that reads a real one's answers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.fleet.looking import FleetLooker
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.ui.choices import Choices
from ctconsole.ui.fleet_app import FleetApp
from ctconsole.ui.screens.fleet_node import FleetNodeScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fake_prometheus import NOW, FakePrometheus, series
from tests.support.pilots import settle, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from textual.pilot import Pilot

    from ctconsole.fleet.looking import FleetLook
    from ctconsole.settings.read import UserSettings

NODES: Final = 400

COST: Final = 0.064
"""Seconds that a look is said to have cost."""

DAY: Final = 86_400.0

STEP: Final = 360.0

CAPACITY: Final = 524_288

POOLS: Final = ("web", "shop", "batch", "edge")

DOWN: Final = frozenset({"edge-017", "batch-052"})
SPLIT: Final = frozenset({"web-033"})
LOSSY: Final = frozenset({"shop-008", "web-071"})
FULL: Final = ("shop-042", "shop-013", "shop-077")
"""Nodes whose TCP table is full or nearly so, the fullest first."""


class StillPrometheus(PrometheusClient):
    """One that answers without a network."""

    def __init__(self, fake: FakePrometheus) -> None:
        super().__init__("http://prometheus:9090")
        self._fake = fake

    def _content(self, path: str, given: Mapping[str, str]) -> bytes:
        return self._fake.answer(path, given["query"])


class StillLooker(FleetLooker):
    """Looks that cost the same on every machine."""

    def look(self) -> FleetLook:
        """See `FleetLooker`."""
        return replace(super().look(), cost=COST)


def prepared_fleet(settings: UserSettings) -> FleetApp:
    """The console of a fleet, before its first look."""
    client = StillPrometheus(FakePrometheus(told=_told(), past=_past()))
    return FleetApp(
        client,
        StillLooker(client, clock=lambda: NOW),
        every=3600,
        clock=lambda: NOW,
        choices=Choices(settings),
    )


async def first_look(pilot: Pilot[None]) -> None:
    """Wait until all nodes are shown."""
    app = pilot.app
    assert isinstance(app, FleetApp)
    await until(pilot, lambda: app.followed.asked)
    await until(pilot, lambda: _rows(pilot, "#fleet"))
    await settle(pilot)


def _rows(pilot: Pilot[None], table: str) -> int:
    rows = pilot.app.screen.query_one(table, LineTable).rows
    return 0 if rows is None else len(rows)


def _keys(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def steps(pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        await settle(pilot)

    return steps


async def _one_node(pilot: Pilot[None]) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, FleetNodeScreen))
    await until(pilot, lambda: _rows(pilot, "#fleet-stories"))
    await settle(pilot)


FLEET_SCENES: Final[Mapping[str, Callable[[Pilot[None]], Awaitable[None]]]] = MappingProxyType({
    "fleet": _keys(),
    "fleet-heat": _keys("h", "right", "right"),
    "fleet-maps": _keys("h", "h"),
    "fleet-node": _one_node,
})  # fmt: skip
"""Each by name; each begins on the table of all nodes."""


def _spread(number: int, times: float) -> float:
    """A number of its own for each node, from 0 to 1, without any order that can be seen."""
    return math.modf((number + 1) * times * 0.6180339887498949)[0]


def _fill(number: int, name: str) -> float:
    """How full a node's TCP table is: most are far from full, and of one pool more than others."""
    if name in FULL:
        return (0.998, 0.943, 0.912)[FULL.index(name)]
    share = _spread(number, 1) ** 2 * 0.6 + 0.05
    return share + 0.2 if name.startswith("shop") else share


@cache
def _told() -> dict[str, list[dict[str, Any]]]:
    """What is answered to each query, by a part of its text."""
    names = [f"{pool}-{number:03d}" for pool in POOLS for number in range(NODES // len(POOLS))]
    alive = [(number, name) for number, name in enumerate(names) if name not in DOWN]
    fills = {name: _fill(number, name) for number, name in alive}
    shares = {
        "ct4_global": 1.0, "ct_any4_global": 0.31, "snat_v4_external": 0.52, "ct6_global": 0.04,
        "ct_any6_global": 0.01, "snat_v6_external": 0.02, "ipcache": 0.18, "lb4_services_v2": 0.09,
    }  # fmt: skip

    def one(value: Callable[[int, str], object], **labels: str) -> list[dict[str, Any]]:
        return [series(value(number, name), instance=name, **labels) for number, name in alive]

    entries = {name: round(fill * CAPACITY * 1.31) for name, fill in fills.items()}
    entries[FULL[0]] = 523_240 + 81_216
    living = {name: round(entries[name] * (0.55 + number % 30 / 100)) for number, name in alive}
    living[FULL[0]] = 401_112 + 61_730
    up_for = {name: 7200 + DAY * (number % 60) for number, name in alive} | {FULL[0]: 5 * 3600}
    return {
        **_of_one_node(),
        "up{": [series(int(name not in DOWN), instance=name) for name in names],
        "map_entries:ratio": [
            series(fills[name] * share, instance=name, map_name=map_name)
            for _, name in alive
            for map_name, share in shares.items()
        ],
        "ct_entries:sum": one(lambda _, name: entries[name]),
        "ct_alive:sum": one(lambda _, name: living[name]),
        "split_brain:sum": one(lambda _, name: int(name in SPLIT)),
        "seconds_to_full": [
            series(940 if name == FULL[0] else 4100 * (1 - fills[name]) * number, instance=name)
            for number, name in alive
            if fills[name] > 0.6
        ],
        "evicted_entries:increase1h": one(lambda _, name: 8417 if name == FULL[0] else 0),
        "insert_failures:increase1h": one(lambda _, name: 12 if name == FULL[0] else 0),
        "recreation_lost": one(lambda _, name: 31_204 if name in LOSSY else 0),
        "sample_timestamp": one(lambda number, name: 7 if name == FULL[0] else number % 15),
        "agent_start": one(lambda _, name: up_for[name]),
        "agent_info": [
            series(1, instance=name, release="1.17.9" if name.startswith("edge") else "1.18.3")
            for _, name in alive
        ],
        "ALERTS": [
            *(series(1, instance=name, alertname="CtconsoleExporterDown") for name in DOWN),
            *(series(1, instance=name, alertname="CtconsoleSplitBrain") for name in SPLIT),
            *(series(1, instance=name, alertname="CtconsoleRecreatedWithLoss") for name in LOSSY),
            *(series(1, instance=name, alertname="CtconsoleMapFull") for name in FULL),
            series(1, instance=FULL[0], alertname="CtconsoleLiveEntriesEvicted"),
        ],
    }


def _of_one_node() -> dict[str, list[dict[str, Any]]]:
    """What is told of the node that is fullest."""
    name = FULL[0]
    maps = {
        "ct4_global": (523_240, CAPACITY, 71_303_168),
        "snat_v4_external": (271_960, CAPACITY, 46_137_344),
        "ct_any4_global": (81_216, 262_144, 35_651_584),
        "ipcache": (92_161, 512_000, 40_960_000),
        "lb4_services_v2": (5_886, 65_536, 1_572_864),
        "ct6_global": (20_971, CAPACITY, 83_886_080),
    }

    def one(metric: str, value: object, **labels: str) -> dict[str, Any]:
        return series(value, __name__=f"ctconsole_{metric}", instance=name, **labels)

    each = [
        one(metric, value, map_name=map_name)
        for number, (map_name, (entries, capacity, memory)) in enumerate(maps.items())
        for metric, value in (
            ("map_entries", entries),
            ("map_capacity_entries", capacity),
            ("map_memory_bytes", memory),
            ("map_generation_id", 61 + 4 * number),
        )
    ]
    first, any4 = {"map_name": "ct4_global"}, {"map_name": "ct_any4_global"}
    return {
        "max(up{": [series(1)],
        '{__name__=~"ctconsole_(map': [
            *each,
            one("map_recreated_timestamp_seconds", NOW - 5 * 3600, **first),
            one("map_next_start_capacity_entries", 262_144, **first),
            one("ct_entries", 401_112, state="established", **first),
            one("ct_entries", 122_128, state="expired", **first),
            one("ct_entries", 61_730, state="one_way", **any4),
            one("ct_entries", 19_486, state="expired", **any4),
            one("agent_start_timestamp_seconds", NOW - 5 * 3600),
            one("sample_timestamp_seconds", NOW - 7),
        ],
        "rate(ctconsole_ct_new": [series(1204.6, **first), series(388.1, **any4)],
        "rate(ctconsole_ct_evicted": [series(2.4, **first), series(0, **any4)],
        "deriv(": [series(940, **first), series(41_000, **any4)],
    }


@cache
def _past() -> list[dict[str, Any]]:
    """Its day: it filled, was resized, lost all when its agent restarted, and fills again."""
    moments = [NOW - DAY + STEP * number for number in range(int(DAY / STEP) + 1)]
    resized, lost = NOW - 14 * 3600, NOW - 5 * 3600

    def one(metric: str, value: Callable[[float], float], **labels: str) -> dict[str, Any]:
        return {
            "metric": {"__name__": f"ctconsole_{metric}", "instance": FULL[0], **labels},
            "values": [[when, str(value(when))] for when in moments],
        }

    def filled(when: float) -> int:
        if when < lost:
            return round(120_000 + 240_000 * (when - moments[0]) / (lost - moments[0]))
        return round(523_240 * (1 - (1 - (when - lost) / (NOW - lost)) ** 2))

    def wave(when: float) -> int:
        return round(70_000 + 25_000 * math.sin((when - NOW) / DAY * 2 * math.pi + 0.5))

    first = {"map_name": "ct4_global"}
    return [
        one("map_entries", filled, **first),
        one("map_entries", wave, map_name="ct_any4_global"),
        one("map_entries", lambda when: wave(when) * 3, map_name="snat_v4_external"),
        one("map_capacity_entries", lambda w: CAPACITY if w >= resized else 262_144, **first),
        one("map_generation_id", lambda w: 58 + (w >= resized) + 2 * (w >= lost), **first),
        one("map_resizes_total", lambda w: int(w >= resized), **first),
        one("map_resize_carried_entries_total", lambda w: 220_417 * (w >= resized), **first),
        one("map_resize_lost_entries_total", lambda _: 0, **first),
        one("map_recreations_total", lambda w: (w >= resized) + (w >= lost), **first),
        one("map_recreation_lost_entries_total", lambda w: 358_902 * (w >= lost), **first),
        one("agent_start_timestamp_seconds", lambda w: lost if w >= lost else NOW - 9 * DAY),
    ]
