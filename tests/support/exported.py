"""Figures of a node for the exporter's tests: all that can be known of it."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from ctconsole.exporter.figures import MapFigures, NodeFigures, Totals
from ctconsole.model.ct.census import SHAPE, Census
from ctconsole.model.spec import MapInfo, MapType

GLOBALS = PurePosixPath("/sys/fs/bpf/tc/globals")


def map_info(name: str = "cilium_ct4_global", number: int = 7) -> MapInfo:
    return MapInfo(
        number, name[:15], MapType.LRU_HASH, 14, 56, 524_288, 0, 71_304_064, GLOBALS / name
    )


def whole_node(*names: str) -> NodeFigures:
    """A node of which everything is known; every protocol is seen in every direction."""
    cells = np.arange(1, np.prod(SHAPE) + 1).reshape(SHAPE)
    census = Census(cells, 3, 5, 4, 1, 1_700_000_000.0, 0.04)
    totals = Totals(2, 1234, 1_700_000_000.0, 50, 40, 10, 1, 99, 0, 0.5)
    maps = tuple(
        MapFigures(map_info(name, number), 5886, totals, census, split=False, next_start=262_144)
        for number, name in enumerate(names or ("cilium_ct4_global",), 7)
    )
    return NodeFigures(
        maps,
        taken_at=1_700_000_000.5,
        seconds=0.01,
        cpu_seconds=1.5,
        resident=50_000_000,
        samples=8,
        failures=1,
        agent_up=True,
        agent_started=1_699_990_000.25,
        agent_release="1.18.3",
        agent_restarts=1,
        insert_failures=2,
        web_config_good=True,
        web_config_taken_at=1.7e9,
    )
