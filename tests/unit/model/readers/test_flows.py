"""Hubble's flows, and what the monitor saw as JSON."""

from __future__ import annotations

import json

import pytest

from ctconsole.model.readers.flows import flow_drop, is_flows, is_monitor_json, monitor_drop

DROPPED = {"verdict": "DROPPED", "drop_reason": 155, "drop_reason_desc": "CT_MAP_INSERTION_FAILED"}
FULL = "CT: Map insertion failed"
TEXT = "Nov 28 10:00:00.000: default/a:1 (ID:1) <> 10.0.0.1:80 (world)"


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"flow": DROPPED, "node_name": "a"}),
        json.dumps({"node_name": "a", "flow": {"time": "2026-11-28T10:00:00Z", **DROPPED}}),
        json.dumps(DROPPED),
        f"{TEXT} {FULL} DROPPED (TCP Flags: SYN)",
        f"Nov 28 10:00:00.000 [node-a]: a/b:1 (ID:1) -> c/d:80 (ID:2) {FULL} DROPPED (UDP)",
    ],
)
def test_a_dropped_flow_says_why(line: str) -> None:
    assert is_flows(line)
    assert not is_monitor_json(line)
    assert flow_drop(line) == FULL


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"flow": {"verdict": "FORWARDED"}, "node_name": "a"}),
        f"{TEXT} to-endpoint FORWARDED (TCP Flags: SYN)",
    ],
)
def test_a_flow_that_was_not_dropped_is_a_flow(line: str) -> None:
    assert is_flows(line)
    assert flow_drop(line) is None


def test_a_reason_without_a_name_here_has_that_of_the_flow() -> None:
    flow = {"verdict": "DROPPED", "drop_reason": 250, "drop_reason_desc": "NEW_REASON"}
    assert flow_drop(json.dumps({"flow": flow})) == "NEW_REASON"


def test_a_reason_with_a_bracket_is_read_whole() -> None:
    reason = "No tunnel/encapsulation endpoint (datapath BUG!)"
    assert flow_drop(f"{TEXT} {reason} DROPPED (TCP Flags: SYN)") == reason


def test_the_monitor_says_why_as_json() -> None:
    line = json.dumps({"cpu": "CPU 01:", "type": "drop", "reason": FULL, "summary": "TCP"})
    assert is_monitor_json(line)
    assert not is_flows(line)
    assert monitor_drop(line) == FULL
    assert monitor_drop(json.dumps({"type": "trace"})) is None


@pytest.mark.parametrize("text", ["", "{}", "xx drop (CT: Map insertion failed) flow", '{"a": 1}'])
def test_other_texts_are_neither(text: str) -> None:
    assert not is_flows(text)
    assert not is_monitor_json(text)
    assert flow_drop(text) is None
    assert monitor_drop(text) is None
