"""A filter held against one million entries, in this process: from the table as it was read."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapInfo, MapType
from tests.bench.bench_ct_list import entries

SIZES: Final = {"full": 1_000_000, "small": 100_000}
GOAL: Final = 30.0
"""Milliseconds of the CPU, of which one works: what else runs on the machine does not count."""

NOW: Final = 1 << 21
REPEATS: Final = 9
FILTERS: Final = (
    "proto:tcp dport:443 src:10.0.0.0/8 !dst:fd00::/8",
    "state:established",
    "age<30s left<5m",
    "bytes>1M",
    "10.1.2.3 or dport:8000-9000",
    "(state:syn or !src:10.0.0.0/8) bytes>1M left<1h",
    "src:10.1.0.0/16 or dst:10.2.0.0/16 or dport:443 or state:syn",
    "state:unanswered",
    "backend:3",
    "risk:breaks",
    "risk:at-risk",
    "risk:comes-back",
    "risk:at-risk dport:443",
)
"""Each from a fresh table: nothing of it was worked out before."""


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    count = SIZES[size]
    keys, values = entries(count)
    random = np.random.default_rng(2)
    keys["flags"] = random.choice([0, 1, 4], count)
    keys["sport"] = random.choice([443, 80, 53, 8080, 5432], count)
    values["rev_nat_index"] = np.where(keys["flags"] == 4, 3, 0)
    info = MapInfo(1, "cilium_ct4_global", MapType.LRU_HASH, 14, 56, 1 << 20)
    raw = (one.view(np.uint8).reshape(count, -1) for one in (keys, values))
    table = CtTable.from_raw(info, Layout.V1_18, *raw, now=NOW)
    return [_row(text, table) for text in FILTERS]


def _row(text: str, table: CtTable) -> dict[str, Any]:
    query = Query.parse(text)
    took = min(_once(query, table) for _ in range(REPEATS)) * 1000
    return {
        "name": f"filter {len(table):,} entries by {text}, CPU",
        "value": took,
        "unit": "ms",
        "peer": "the goal",
        "peer_value": GOAL,
        "ratio": took / GOAL,
        "goal": f"<= {GOAL:g} ms",
        "ok": took <= GOAL,
    }


def _once(query: Query, table: CtTable) -> float:
    fresh = table.take(slice(None))
    started = time.thread_time()
    query.rows(fresh)
    return time.thread_time() - started
