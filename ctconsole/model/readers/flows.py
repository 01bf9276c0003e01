"""Hubble's flows, and what the tool's monitor saw as JSON: why packets were dropped.

Sources: ``api/v1/flow/flow.proto``, ``hubble observe`` (its text, ``-o jsonpb`` and ``-o json``),
``pkg/monitor/datapath_drop.go`` (``monitor -j``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.packets.reasons import REASONS, reason_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_LINES: Final = 20
_FLOW: Final = re.compile(
    r'^\s*\{(?:[^\n]{0,400}?)"(?:flow"\s*:\s*\{|verdict"\s*:\s*"[A-Z_]{3,20}")', re.MULTILINE
)
_TEXT: Final = re.compile(
    r"^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT[\d:.]{8,20}Z?)"
    r"(?: \[[\w./-]{1,253}\])?: \S+ (?:\([^)\n]{1,200}\) )?(?:<>|->|<-) .{1,400}"
    r" (?P<verdict>[A-Z]{5,12}) \(",
    re.MULTILINE,
)
_SEEN: Final = re.compile(r'^\s*\{[^\n]{0,400}?"type"\s*:\s*"drop"', re.MULTILINE)
_REASON: Final = re.compile(r"\) (?P<reason>[A-Z](?:[^()\n]|\([^()\n]*\)){1,80}?) DROPPED \(")
_DROP: Final = "DROPPED"


def is_flows(head: str) -> bool:
    """Whether a text begins as flows."""
    first = "\n".join(head.splitlines()[:_FIRST_LINES])
    return _FLOW.search(first) is not None or _TEXT.search(first) is not None


def is_monitor_json(head: str) -> bool:
    """Whether a text begins as what the monitor saw, an object a line."""
    return _SEEN.search("\n".join(head.splitlines()[:_FIRST_LINES])) is not None


def flow_drop(line: str) -> str | None:
    """Why a flow was dropped, in the words of the tool; None of a line that tells no drop."""
    found = _object(line)
    if found is None:
        text = _REASON.search(line)
        return text["reason"] if text else None
    flow = found.get("flow", found)
    if not isinstance(flow, dict) or flow.get("verdict") != _DROP:
        return None
    code, words = flow.get("drop_reason"), flow.get("drop_reason_desc")
    if isinstance(code, int) and code in REASONS:
        return reason_name(code)
    return str(words or code or "a reason that is not told")


def monitor_drop(line: str) -> str | None:
    """Why a packet was dropped that the monitor saw; None of a line that tells no drop."""
    found = _object(line)
    if found is None or found.get("type") != "drop":
        return None
    return str(found.get("reason") or found.get("summary") or "a reason that is not told")


def _object(line: str) -> Mapping[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
