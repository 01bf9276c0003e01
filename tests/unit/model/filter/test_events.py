from __future__ import annotations

import math
from datetime import datetime

import numpy as np
import pytest

from ctconsole.errors import FilterError
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.filter.events import Happened, parse_events

NOON = datetime.fromisoformat("2026-11-28T12:00:00").astimezone().timestamp()
"""By the clock of whatever place this runs at."""

CT4 = "/sys/fs/bpf/tc/globals/cilium_ct4_global"
EVENTS = [
    Event(NOON - 86_400, EventKind.AGENT_START, "agent", "", "Started"),
    Event(NOON - 7200, EventKind.MAP_RECREATED, "manager", CT4, "Re-created", Level.WARNING,
          {"old": 1024, "new": 2048}),
    Event(NOON - 90, EventKind.MAP_FULL, "observe", CT4, "The table is full", Level.ERROR),
    Event(NOON - 5, EventKind.CONNECTIONS, "datapath", "", "New connections", Level.DEBUG),
    Event(math.nan, EventKind.STORY, "observe", "", "A restart"),
]  # fmt: skip


def found(text: str) -> list[int]:
    return np.flatnonzero(parse_events(text).rows(Happened(EVENTS, NOON))).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("kind:map-recreated", [1]),
        ("kind:MAP-*", [1, 2]),
        ("map-full", [2]),
        ("level>=warning", [1, 2]),
        ("level<info or error", [2, 3]),
        ("!level:debug", [0, 1, 2, 4]),
        ("map:cilium_ct4_global", [1, 2]),
        (f"map:{CT4}", [1, 2]),
        ("map:*ct6*", []),
        ("subject:*_global", [1, 2]),
        ("source:observe", [2, 4]),
        ("text:FULL", [2]),
        ("text:new=2048", [1]),
        ('text:"a restart"', [4]),
        ("text:re*ted", [1]),
        ("age<2m", [2, 3]),
        ("!age<2m", [0, 1]),
        ("time>11:58", [2, 3]),
        ("time:11:58", [2]),
        ("time:11:58:30", [2]),
        ("time<11:58", [0, 1]),
        ("time<=11:58", [0, 1, 2]),
        ("time>12:30", [1, 2, 3]),  # the last time it was half past twelve: yesterday
        ("time:2026-11-28", [1, 2, 3]),
        ("time<2026-11-28T00:00", [0]),
    ],
)
def test_events_are_chosen(text: str, rows: list[int]) -> None:
    assert found(text) == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind:map-recreatd", "Did you mean map-recreated?"),
        ("level>loud", "debug, info, warning, error"),
        ("time>10m", "age"),
        ("time:25:00", "01:36"),
        ("time:9999-12-31", "2026-11-28"),
        ("dport:443", "Entries can be asked for it"),
        ("kind>map-full", "is no number"),
    ],
)
def test_what_cannot_be_meant_says_what_could(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=r".") as caught:
        found(text)
    assert said in str(caught.value)
