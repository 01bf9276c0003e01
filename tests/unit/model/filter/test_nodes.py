"""Choosing nodes of a fleet."""

from __future__ import annotations

import pytest

from ctconsole.errors import FilterError
from ctconsole.model.filter.nodes import parse_nodes
from ctconsole.model.filter.rows import Listed, parse_rows

ROWS = [
    {"node": "worker-1:9965", "up": True, "fullest": "ct4_global", "fill": 0.85, "full_in": 600.0,
     "split": 0, "alerts": 2, "firing": ["CtconsoleSplitBrain", "CtconsoleMapAlmostFull"]},
    {"node": "worker-2:9965", "up": True, "fullest": "ct_any4_global", "fill": 0.005,
     "full_in": None, "split": 1, "alerts": 0, "firing": []},
    {"node": "worker-3:9965", "up": False, "fullest": None, "fill": None, "alerts": 1,
     "firing": ["CtconsoleExporterDown"]},
]  # fmt: skip


def chosen(text: str) -> list[int]:
    passing = parse_nodes(text).rows(Listed(ROWS)).tolist()
    return [number for number, passes in enumerate(passing, 1) if passes]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node:worker-1", [1]),
        ("fill>80%", [1]),
        ("fill>80", [1]),
        ("fill>0.8", [1]),
        ("fill<0.8%", [2]),
        ("fill<101 or up:no", [1, 2, 3]),
        ("up:no", [3]),
        ("!up:no", [1, 2]),
        ("map:ct4*", [1]),
        ("fullest:ct4_global", [1]),
        ("full_in<4h", [1]),
        ("split>0", [2]),
        ("alerts>0", [1, 3]),
        ("alert:SplitBrain", [1]),
    ],
)
def test_nodes_are_chosen(text: str, expected: list[int]) -> None:
    assert chosen(text) == expected


@pytest.mark.parametrize("text", ["fill>much", "up:perhaps", "full_in<soon", "entries>0.5"])
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_nodes(text)


def test_a_column_with_an_underscore_can_be_asked_for() -> None:
    rows = [{"max_entries": 10}, {"max_entries": 20}]
    assert parse_rows("max_entries>15", rows).rows(Listed(rows)).tolist() == [False, True]
