from __future__ import annotations

import numpy as np
import pytest

from ctconsole.errors import FilterError
from ctconsole.model.filter.maps import Maps, parse_maps

ROWS = Maps(
    [
        {
            "name": "cilium_ct4_global",
            "path": "/sys/fs/bpf/tc/globals/cilium_ct4_global",
            "id": 7,
            "type": "LRU_HASH",
            "entries": 900,
            "max_entries": 1024,
            "fill": 0.88,
            "memory": 1 << 20,
            "group": "connection tracking",
        },
        {
            "name": "cilium_call_policy",
            "path": None,
            "id": 8,
            "type": "PROG_ARRAY",
            "entries": None,
            "max_entries": 65535,
            "fill": None,
            "memory": 1 << 19,
            "group": "tail call",
            "node": "node-a",
        },
    ]
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("map:cilium_ct4_global", [0]),
        ("name:*call*", [1]),
        ("map:/sys/fs/bpf/*", [0]),
        ("group:track", [0]),
        ('group:"tail call"', [1]),
        ("type:lru-hash", [0]),
        ("type:*_array", [1]),
        ("fill>80", [0]),
        ("fill>80%", [0]),
        ("!fill>90", [0]),
        ("fill>90 or id:8", [1]),
        ("entries<1k", [0]),
        ("max>=1k", [0, 1]),
        ("max<=1k", [0]),
        ("memory>512k", [0]),
        ("node:node", [1]),
        ("!node:node-b", [1]),
    ],
)
def test_maps_are_chosen(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(parse_maps(text).rows(ROWS)).tolist() == rows


def test_maps_of_which_the_answer_is_not_known_are_told() -> None:
    assert parse_maps("fill>80").undecided(ROWS).tolist() == [False, True]
    assert parse_maps("fill>80 id:7").undecided(ROWS).tolist() == [False, False]


@pytest.mark.parametrize("text", ["fill>101", "fill>half", "cilium_ct4_global", "kind:x", "id:x"])
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_maps(text)
