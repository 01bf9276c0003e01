"""Carrying a table's entries in the kernel against copying them through user space.

Compared is the time that CPUs worked for it: a resize goes at the pace that others leave to it,
so that how long it takes tells how busy the machine is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.kernel import mapwrite
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.slices import SlicedPasses, known_map
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.ct.layout import Layout
from ctconsole.model.spec import MapSpec, MapType
from tests.bench.bench_ct_list import entries
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.kernel.maps import BpfMap

SIZES: Final = {"full": 500_000, "small": 50_000}
CURVE: Final = {"full": (500_000, 2_000_000, 8_000_000, 15_700_000), "small": (50_000, 200_000)}
"""The last is what the largest table there may be, of 2^24, has room for beside new ones."""
REPEATS: Final = 3
ONE_BY_ONE: Final = 20_000
"""Entries copied one at a time; the time of all is reckoned from them."""

RATE_GOAL: Final = 1.5e6
BATCH_GOAL: Final = 3.0
SINGLE_GOAL: Final = 10.0
MEMORY_GOAL: Final = 80.0
STRAIGHT: Final = 1.5
"""By how much the time for one entry may differ along the curve."""


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    return [*_peers(SIZES[size]), *_curve(CURVE[size])]


def _peers(count: int) -> Iterator[dict[str, Any]]:
    gate = Gate.open()
    with _table(gate, count) as old:
        mapwrite.update_batch(gate, old, *entries(count))
        ours = _best(gate, count, lambda new: _carry(gate, old, new))
        batch = _best(gate, count, lambda new: _copy_in_batches(gate, old, new))
        single = _best(gate, count, lambda new: _copy_one_by_one(gate, old, new)) * (
            count / ONE_BY_ONE
        )
    rate = count / ours
    what = f"CPU for seed and settle of {count:,} entries"
    for peer, seconds, goal in (
        ("batch lookup and batch update", batch, BATCH_GOAL),
        ("one entry at a time", single, SINGLE_GOAL),
    ):
        yield {
            "name": what,
            "value": ours,
            "unit": "s",
            "peer": peer,
            "peer_value": seconds,
            "ratio": ours / seconds,
            "goal": f"<= 1/{goal:g}",
            "ok": seconds >= goal * ours,
        }
    yield {
        "name": f"seed and settle, entries for a second of CPU, of {count:,}",
        "value": rate / 1e6,
        "unit": "M",
        "peer": "goal",
        "peer_value": RATE_GOAL / 1e6,
        "ratio": rate / RATE_GOAL,
        "goal": ">= 1",
        "ok": rate >= RATE_GOAL,
    }


def _curve(counts: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Whole resizes, each in a process of its own, because memory is that of a process."""
    first = None
    for count in counts:
        told = _in_a_process(count)
        each = told["cpu"] / count
        first = first or each
        yield {
            "name": f"CPU for a resize of {count:,} entries, for each entry",
            "value": each * 1e9,
            "unit": "ns",
            "peer": f"with {counts[0]:,}",
            "peer_value": first * 1e9,
            "ratio": each / first,
            "goal": f"<= {STRAIGHT}",
            "ok": each <= STRAIGHT * first,
        }
        yield {
            "name": f"resize of {count:,} entries, memory",
            "value": told["memory"],
            "unit": "MB",
            "peer": "goal",
            "peer_value": MEMORY_GOAL,
            "ratio": told["memory"] / MEMORY_GOAL,
            "goal": f"<= {MEMORY_GOAL:g}",
            "ok": told["memory"] <= MEMORY_GOAL,
        }


def _in_a_process(count: int) -> dict[str, float]:
    gate = Gate.open()
    # Here, because what kills this process or its child has to leave no mount.
    with private_bpffs(gate) as root:
        command = [sys.executable, "-m", "tests.bench.resize_process", str(root), str(count)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(result.stdout)
    return told


def _table(gate: Gate, count: int) -> BpfMap:
    """A table with room for so many."""
    capacity = count + count // 8 // 128 * 128 + 1024
    return mapwrite.create(gate, MapSpec("table", MapType.LRU_HASH, 14, 56, capacity))


def _best(gate: Gate, count: int, work: Callable[[BpfMap], None]) -> float:
    """Least CPU time of a few runs, each into a new map."""
    times = []
    for _ in range(REPEATS):
        with _table(gate, count) as new:
            started = time.process_time()
            work(new)
            times.append(time.process_time() - started)
    return min(times)


def _carry(gate: Gate, old: BpfMap, new: BpfMap) -> None:
    joining = joining_of(old.info, Layout.V1_18)
    known = known_map(gate, old.info, new.info, joining)
    if known is None:
        raise TypeError("tables of connections are read in slices")
    with known, SlicedPasses(gate, old, new, joining, known=known) as passes:
        passes.seed(fresh=True)
        while not passes.settle().is_even:
            pass


def _copy_in_batches(gate: Gate, old: BpfMap, new: BpfMap) -> None:
    """The same with the calls that a careful program has: copy without counts, then add them."""
    for keys, values in old.read_chunks():
        bare = values.copy()
        bare[:, 16:32] = 0
        mapwrite.update_batch(gate, new, keys, bare)
    there = new.read()
    order = np.argsort(_joined(there.keys))
    known = _joined(there.keys)[order]
    for keys, values in old.read_chunks():
        rows = order[np.searchsorted(known, _joined(keys))]
        both = there.values[rows].copy()
        both[:, 16:32].view("<u8")[:] += values[:, 16:32].view("<u8")
        mapwrite.update_batch(gate, new, keys, both)


def _joined(keys: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Keys as one thing each that can be sorted."""
    return np.ascontiguousarray(keys).view(f"S{keys.shape[1]}").reshape(-1)


def _copy_one_by_one(gate: Gate, old: BpfMap, new: BpfMap) -> None:
    """A lookup and an update for each entry."""
    for done, key in enumerate(_keys(old)):
        if done == ONE_BY_ONE:
            return
        value = old.lookup(key)
        if value is not None:
            mapwrite.update(gate, new, key, value)


def _keys(live: BpfMap) -> Iterator[bytes]:
    for keys, _ in live.read_chunks():
        for key in keys:
            yield key.tobytes()
