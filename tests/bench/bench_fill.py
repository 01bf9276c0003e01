"""Fill ratios of every map of the machine, asked of the kernel against counted by a dump."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import mapwrite
from ctconsole.kernel.counts import ElementCounter
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import all_map_ids
from ctconsole.model.spec import MapSpec, MapType
from tests.bench.bench_ct_list import entries

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: Final = {"full": (524_288, 500_000), "small": (131_072, 120_000)}
OTHERS: Final = 60
"""Further maps, as many as a node of Cilium has."""
REPEATS: Final = 5
GOAL: Final = 0.01


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    capacity, count = SIZES[size]
    gate = Gate.open()
    with ExitStack() as stack:
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        live = stack.enter_context(mapwrite.create(gate, spec))
        for number in range(OTHERS):
            other = MapSpec(f"other_{number}", MapType.HASH, 12, 12, 1024)
            stack.enter_context(mapwrite.create(gate, other))
        counter = stack.enter_context(ElementCounter())
        mapwrite.update_batch(gate, live, *entries(count))
        assert counter.counts()[live.info.id] == live.count()
        asked, dumped = _best(counter.counts), _best(live.count)
        maps = len(all_map_ids())
    return [
        {
            "name": f"fill of {maps} maps, one of {count:,} entries",
            "value": asked * 1e3,
            "unit": "ms",
            "peer": "counting the one by a full dump",
            "peer_value": dumped * 1e3,
            "ratio": asked / dumped,
            "goal": f"<= {GOAL}",
            "ok": asked <= GOAL * dumped,
        }
    ]


def _best(call: Callable[[], object]) -> float:
    """Shortest of a few runs, seconds."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)
