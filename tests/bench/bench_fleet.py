"""How soon the console of a fleet shows a thousand nodes, and how soon it shows them anew.

A real Prometheus holds what a thousand exporters told, and what the recording rules of
``deploy/prometheus`` make of it: forty minutes of each node's maps, a point each minute, put there
as blocks by promtool. Beside it stands how long that Prometheus takes for the largest of the
queries alone, which no console can undercut. A Prometheus without the rules is measured as well:
it adds up what each node has whenever it is asked.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from ctconsole.fleet.looking import QUERIES, RULED, FleetLooker
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.ui.fleet_app import FleetApp
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.pilots import until
from tests.support.prometheus import prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO, TypeAlias

    _Metric: TypeAlias = tuple[str, str, list[str], Callable[[int], float]]
    """Name, type, the labels beside the node's, and the value of the node of a number."""

SIZES: Final = {"full": (1000, 2400), "small": (100, 1800)}
"""Nodes, and seconds of their past."""

MAPS: Final = (
    "ct4_global",
    "ct_any4_global",
    "ct6_global",
    "ct_any6_global",
    "snat_v4_external",
    "snat_v6_external",
    "lxc",
    "ipcache",
    "lb4_services_v2",
    "lb4_backends_v3",
)
STATES: Final = ("opening", "established", "closing", "expired")
STEP: Final = 60
ROUNDS: Final = 10

OPEN_GOAL: Final = 2.0
REFRESH_GOAL: Final = 0.5
MEMORY_GOAL: Final = 200 * 2**20


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    nodes, seconds = SIZES[size]
    rows, memory = [], 0
    for rules, largest in (("with our rules", RULED["fill"]), ("without rules", QUERIES["fill"])):
        with _told(nodes, seconds, ruled=rules == "with our rules") as url:
            client = PrometheusClient(url)
            alone = min(_timed(client, largest.replace("%s", "")) for _ in range(3))
            began, refreshed, used = asyncio.run(_looked(client, nodes))
        about = f"{nodes:,} nodes of {len(MAPS)} maps, {rules}"
        rows += [
            _row(f"fleet view opens, {about}", began, "s", OPEN_GOAL, alone),
            _row(f"fleet view refreshes, {about}", refreshed, "s", REFRESH_GOAL, alone),
        ]
        memory = max(memory, used)
    return [*rows, _row("... resident memory of the console", memory, "B", MEMORY_GOAL, 1.0)]


def _row(name: str, value: float, unit: str, goal: float, peer: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "the largest query alone" if unit == "s" else "none",
        "peer_value": peer,
        "ratio": value / peer,
        "goal": f"value <= {goal:g}",
        "ok": value <= goal,
    }


def _timed(client: PrometheusClient, query: str) -> float:
    began = time.perf_counter()
    client.query(query)
    return time.perf_counter() - began


async def _looked(client: PrometheusClient, nodes: int) -> tuple[float, float, int]:
    """Seconds until the table is there, the median until it is there anew, bytes of memory."""
    began = time.perf_counter()
    app = FleetApp(client, FleetLooker(client), every=3600)
    took = []
    async with app.run_test(size=(160, 48)) as pilot:

        async def shown(asked: int) -> None:
            await until(pilot, lambda: app.followed.asked >= asked)
            rows = app.screen.query_one("#fleet", LineTable).rows
            assert rows is not None, app.followed.error
            assert len(rows) == nodes, len(rows)

        await shown(1)
        opened = time.perf_counter() - began
        for number in range(ROUNDS):
            again = time.perf_counter()
            app.hurry()
            await shown(number + 2)
            took.append(time.perf_counter() - again)
    return opened, sorted(took)[ROUNDS // 2], psutil.Process().memory_info().rss


@contextmanager
def _told(nodes: int, seconds: int, *, ruled: bool) -> Iterator[str]:
    """The address of a Prometheus that knows so many nodes for so long, until now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "told"
        with text.open("w", encoding="ascii") as file:
            _write(file, nodes, seconds, _metrics() + (_recorded() if ruled else []))
        made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"]
        subprocess.run([str(one) for one in made], check=True, capture_output=True)
        text.unlink()
        with prometheus(folder, {}) as real:
            yield real.url


def _write(file: TextIO, nodes: int, seconds: int, metrics: Sequence[_Metric]) -> None:
    """What so many exporters told, in OpenMetrics, each metric by itself."""
    end = int(time.time()) + 240
    times = range(end - seconds, end, STEP)
    for name, kind, labels, value in metrics:
        file.write(f"# TYPE {name.removesuffix('_total')} {kind}\n")
        asked_back = name == "ctconsole_map_entries" or kind == "counter"
        moments = times if asked_back else times[-9:]
        for number, more in product(range(nodes), labels):
            series = f'{name}{{instance="node-{number:04}:9965",job="ctconsole"{more}}}'
            file.writelines(f"{series} {value(number)} {when}\n" for when in moments)
    file.write("# EOF\n")


def _metrics() -> list[_Metric]:
    """What exporters tell."""
    then = int(time.time()) - 60
    maps = [f',map_name="{one}"' for one in MAPS]
    tables = maps[:4]
    states = [f'{one},state="{state}"' for one in tables for state in STATES]
    lost = "ctconsole_map_recreation_lost_entries_total"
    return [
        ("up", "gauge", [""], lambda _: 1),
        ("ctconsole_map_entries", "gauge", maps, lambda number: number * 500),
        ("ctconsole_map_capacity_entries", "gauge", maps, lambda _: 524_288),
        ("ctconsole_map_split_brain", "gauge", maps, lambda _: 0),
        ("ctconsole_ct_entries", "gauge", states, lambda number: number * 100),
        ("ctconsole_sample_timestamp_seconds", "gauge", [""], lambda _: then),
        ("ctconsole_agent_start_timestamp_seconds", "gauge", [""], lambda _: then),
        ("ctconsole_ct_evicted_entries_total", "counter", tables, lambda _: 0),
        (lost, "counter", maps, lambda _: 0),
    ]


def _recorded() -> list[_Metric]:
    """What the rules make of that."""
    maps = [f',map_name="{one}"' for one in MAPS]
    return [
        ("instance_map_name:ctconsole_map_entries:ratio", "gauge", maps, _share),
        ("instance:ctconsole_ct_entries:sum", "gauge", [""], lambda number: number * 1600),
        ("instance:ctconsole_ct_alive:sum", "gauge", [""], lambda number: number * 1200),
        ("instance:ctconsole_map_split_brain:sum", "gauge", [""], lambda _: 0),
        ("instance:ctconsole_ct_evicted_entries:increase1h", "gauge", [""], lambda _: 0),
        ("instance:ctconsole_map_recreation_lost_entries:increase1h", "gauge", [""], lambda _: 0),
    ]


def _share(number: int) -> float:
    return number * 500 / 524_288
