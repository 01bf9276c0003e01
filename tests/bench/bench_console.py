"""The console in a real terminal on a live map: when it is there, and what it costs at rest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench.bench_ct_list import entries
from tests.bench.terminal import Terminal
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from pathlib import Path

SIZES: Final = {"full": (524_288, 500_000), "small": (131_072, 120_000)}
WARM: Final = 4.0
MEASURED: Final = 10.0
"""Seconds the console runs before, and while, its CPU time is taken."""

SCREEN_GOAL: Final = 0.6
IDLE_GOAL: Final = 0.20
TABLE_GOAL: Final = 0.10


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    capacity, count = SIZES[size]
    gate = Gate.open()
    with private_bpffs(gate) as root:
        pins.make_folder(gate, root / GLOBALS)
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / spec.name)
            mapwrite.update_batch(gate, live, *entries(count))
            return _measure(root, root.parent / "state", count)


def _measure(root: Path, state: Path, count: int) -> list[dict[str, Any]]:
    with Terminal(root, state).open() as terminal:
        first = terminal.wait_for(f"{count:,}".encode())
        overview = _share_of_a_core(terminal)
        terminal.press(b"2")
        terminal.wait_for(f"{count:,} entries".encode())
        watched = _share_of_a_core(terminal)
    what = f"of {count:,} entries"
    return [
        _row("first screen, from the process's start", first, "s", SCREEN_GOAL),
        _row(f"idle overview {what}", overview * 100, "%", IDLE_GOAL * 100),
        _row(f"idle table {what}", watched * 100, "%", TABLE_GOAL * 100),
    ]


def _share_of_a_core(terminal: Terminal) -> float:
    """CPU time over wall time, once the console has come to rest."""
    time.sleep(WARM)
    before, started = terminal.cpu(), time.monotonic()
    time.sleep(MEASURED)
    return (terminal.cpu() - before) / (time.monotonic() - started)


def _row(name: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": "the goal" if unit == "s" else "one core",
        "peer_value": goal if unit == "s" else 100.0,
        "ratio": value / (goal if unit == "s" else 100.0),
        "goal": f"<= {goal:g} {unit}",
        "ok": value <= goal,
    }
