"""What the exporter costs on a node with a table of 500,000 entries, and how fast it answers.

The peer is what Cilium's agent does to tell how full that table is: it counts it by a dump every
30 seconds. Both are CPU seconds of one core a second.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import psutil

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench.bench_ct_list import entries
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.maps import BpfMap

SIZES: Final = {"full": (524_288, 500_000, 180.0), "small": (131_072, 120_000, 60.0)}
"""Capacity, entries, and seconds that are watched: two censuses of the large table and more."""

OTHERS: Final = 40
INTERVAL: Final = 15.0
AGENT_INTERVAL: Final = 30.0
SCRAPES: Final = 50

MEMORY_GOAL: Final = 60 * 2**20
CPU_GOAL: Final = 0.01
PEER_GOAL: Final = 0.1
ANSWER_GOAL: Final = 0.01


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    capacity, count, seconds = SIZES[size]
    gate = Gate.open()
    with private_bpffs(gate) as root, ExitStack() as stack:
        pins.make_folder(gate, root / GLOBALS)
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        live = stack.enter_context(mapwrite.create(gate, spec))
        pins.pin(gate, live, root / GLOBALS / spec.name)
        for number in range(OTHERS):
            other = MapSpec(f"cilium_policy_{number:05}", MapType.HASH, 12, 12, 1024)
            made = stack.enter_context(mapwrite.create(gate, other))
            pins.pin(gate, made, root / GLOBALS / other.name)
        mapwrite.update_batch(gate, live, *entries(count))
        share, resident, answer = _watched(root, seconds)
        peer = _counting(live) / AGENT_INTERVAL
    about = f"{count:,} entries in a table, {OTHERS} other maps"
    return [
        _row(f"exporter's share of a core, {about}", share, "", CPU_GOAL, peer),
        {
            **_row("... beside counting that table by a dump", share, "", CPU_GOAL, peer),
            "goal": f"ratio <= {PEER_GOAL}",
            "ok": share <= PEER_GOAL * peer,
        },
        _row("exporter's resident memory", resident, "B", MEMORY_GOAL, 1.0),
        _row(f"median of {SCRAPES} scrapes", answer, "s", ANSWER_GOAL, 1.0),
    ]


def _watched(root: Path, seconds: float) -> tuple[float, int, float]:
    """Share of a core, bytes of memory at the end, and the median answer of the exporter."""
    argv = ["export", "--listen", "127.0.0.1:0", "--interval", str(INTERVAL), "--bpf-root", root]
    child = subprocess.Popen(
        [sys.executable, "-m", "ctconsole", *map(str, argv)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stderr is not None
        told = re.search(r"http://\S+", child.stderr.readline())
        assert told is not None
        url, process = told[0].rstrip(";"), psutil.Process(child.pid)
        while b"ctconsole_ct_entries{" not in _scraped(url)[0]:
            time.sleep(0.2)
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(INTERVAL, left))
            _scraped(url)
        share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        resident = process.memory_info().rss
        return share, resident, statistics.median(_scraped(url)[1] for _ in range(SCRAPES))
    finally:
        child.terminate()
        child.wait()


def _scraped(url: str) -> tuple[bytes, float]:
    """A page in the form that Prometheus asks for, and how long it took."""
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    request = urllib.request.Request(url, headers=accept)  # noqa: S310 - of our own process
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
        return answer.read(), time.perf_counter() - began


def _counting(live: BpfMap) -> float:
    """CPU seconds of one count by a dump, the least of three."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        live.count()
        times.append(time.thread_time() - began)
    return min(times)


def _row(name: str, value: float, unit: str, goal: float, peer: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "a dump every 30 s" if peer != 1.0 else "-",
        "peer_value": peer,
        "ratio": value / peer,
        "goal": f"value <= {goal:g}",
        "ok": value <= goal,
    }
