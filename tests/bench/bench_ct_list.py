"""``ct list`` as a whole process against bpftool, on one live map."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.ct.layout import KEY4, Layout, value_dtype
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZES: Final = {"full": (524_288, 500_000), "small": (65_536, 50_000)}
REPEATS: Final = 3
MEMORY_LIMIT: Final = 300.0
START_UP: Final = 0.2


def entries(count: int, seed: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Random connections in the 1.18 layout: keys and values as records."""
    random = np.random.default_rng(seed)
    keys, values = np.zeros(count, KEY4), np.zeros(count, value_dtype(Layout.V1_18))
    for name in ("daddr", "saddr"):
        keys[name] = random.integers(0, 256, (count, 4))
    for name in ("sport", "dport"):
        keys[name] = random.integers(1, 1 << 16, count)
    keys["nexthdr"] = 6
    keys["flags"] = random.integers(0, 2, count)
    for name, bits in (("packets", 20), ("bytes", 34), ("src_sec_id", 17), ("lifetime", 22)):
        values[name] = random.integers(0, 1 << bits, count)
    for name in ("last_rx_report", "last_tx_report"):
        values[name] = random.integers(1, 1 << 17, count)
    for name in ("rx_flags_seen", "tx_flags_seen"):
        values[name] = random.integers(0, 32, count)
    values["flags"] = random.choice(np.array([0x10, 0x13, 0x12, 0]), count)
    return keys, values


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    return list(_rows(size))


def _rows(size: str) -> Iterator[dict[str, Any]]:
    capacity, count = SIZES[size]
    gate = Gate.open()
    with private_bpffs(gate) as root:
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / spec.name)
            keys, values = entries(count)
            mapwrite.update_batch(gate, live, keys, values)
        # As on a node, where the tool finds every map it looks for.
        other = MapSpec("cilium_ct_any4_global", MapType.LRU_HASH, 14, 56, 1024)
        with mapwrite.create(gate, other) as live:
            pins.pin(gate, live, root / GLOBALS / other.name)
        yield from _compare(root, size)


def _compare(root: Path, size: str) -> Iterator[dict[str, Any]]:
    pin = str(root / GLOBALS / "cilium_ct4_global")
    ours = [sys.executable, "-m", "ctconsole", "ct", "list", "--layout", "1.18"]
    peers = {"": ["bpftool", "map", "dump", "pinned", pin]}
    peers["-j"] = ["bpftool", "-j", "map", "dump", "pinned", pin]
    plain, as_json = (_best(peer)[0] for peer in peers.values())
    # A small map is listed sooner than Python starts; there the goal is a bound on the start.
    share, quarter = (0.2, 0.25) if size == "full" else (None, None)
    for output, peer, peer_seconds, goal in (
        ("cilium", "bpftool map dump", plain, share),
        ("cilium", "bpftool -j map dump", as_json, quarter),
        ("cilium-json", "bpftool -j map dump", as_json, quarter),
        ("json", "bpftool -j map dump", as_json, quarter),
    ):
        command = [*ours, "--output", output, "--bpf-root", str(root)]
        seconds, memory = _best(command)
        limit = goal * peer_seconds if goal else peer_seconds + START_UP
        yield {
            "name": f"ct list --output {output}, {SIZES[size][1]:,} entries",
            "value": seconds,
            "unit": "s",
            "peer": peer,
            "peer_value": peer_seconds,
            "ratio": seconds / peer_seconds,
            "goal": f"<= {goal}" if goal else f"<= peer + {START_UP} s",
            "ok": seconds <= limit,
        }
        yield {
            "name": f"ct list --output {output}, memory",
            "value": memory,
            "unit": "MB",
            "peer": "limit",
            "peer_value": MEMORY_LIMIT,
            "ratio": memory / MEMORY_LIMIT,
            "goal": f"<= {MEMORY_LIMIT:.0f} MB",
            "ok": memory <= MEMORY_LIMIT,
        }


def _best(command: list[str]) -> tuple[float, float]:
    """Shortest wall time in seconds and largest resident set in MB of a few runs."""
    runs = [_once(command) for _ in range(REPEATS)]
    return min(seconds for seconds, _ in runs), max(memory for _, memory in runs)


def _once(command: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024 / 1e6
