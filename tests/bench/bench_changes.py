"""What lies between two snapshots of a million entries, from the tables as they were read."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.model.ct.changes import KeyedTable, changes_between, speeds_between
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.sequel import EntriesBefore
from ctconsole.model.ct.table import CtTable, joined
from ctconsole.model.spec import MapInfo, MapType
from tests.bench.bench_ct_list import entries

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES: Final = {"full": 1_000_000, "small": 100_000}
GOAL: Final = 0.5
"""Seconds of the CPU."""

NOW: Final = 1 << 21
REPEATS: Final = 5
OTHERS: Final = 50
"""One of so many entries goes, and as many come."""


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    count = SIZES[size]
    older = _table(count, seed=1)
    stay = older.take(np.flatnonzero(np.arange(count) % OTHERS != 0))
    newer = replace(joined([stay, _table(count - len(stay), seed=2)]), taken_at=2.0)
    keyed = KeyedTable(older)

    def difference() -> None:
        now = KeyedTable(newer)
        changes = changes_between(keyed, now)
        assert changes is not None
        assert changes.gone_count == count - len(stay)
        speeds_between(older, newer, changes)

    before = EntriesBefore(older)
    return [
        _row(f"difference of two snapshots of {count:,}, with rates, CPU", difference),
        _row(f"what came back of {count:,}, CPU", lambda: before.sequels(newer)),
    ]


def _table(count: int, seed: int) -> CtTable:
    info = MapInfo(1, "cilium_ct4_global", MapType.LRU_HASH, 14, 56, 1 << 20)
    raw = (one.view(np.uint8).reshape(count, -1) for one in entries(count, seed=seed))
    table = CtTable.from_raw(info, Layout.V1_18, *raw, now=NOW)
    return replace(table, taken_at=1.0)


def _row(name: str, what: Callable[[], object]) -> dict[str, Any]:
    took = min(_once(what) for _ in range(REPEATS))
    return {
        "name": name,
        "value": took,
        "unit": "s",
        "peer": "the goal",
        "peer_value": GOAL,
        "ratio": took / GOAL,
        "goal": f"<= {GOAL:g} s",
        "ok": took <= GOAL,
    }


def _once(what: Callable[[], object]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started
