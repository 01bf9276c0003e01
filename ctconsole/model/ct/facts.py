"""What the details of one entry say, field by field; every function takes a table of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.ct.layout import TcpFlag
from ctconsole.model.ct.outcomes import REASONS, Change, Reason, Risk
from ctconsole.model.ct.related import MEANT
from ctconsole.model.ct.risk import judge
from ctconsole.model.ct.table import Direction
from ctconsole.model.ct.words import (
    DIRECTION_NAMES,
    RELATED,
    STATES,
    flag_words,
    protocol_name,
    texts,
)
from ctconsole.model.text.addresses import end_text
from ctconsole.model.units import duration

if TYPE_CHECKING:
    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.field import Facts
    from ctconsole.model.ct.table import CtTable

_STATES = texts(STATES)


def connection(one: CtTable, called: Called | None) -> Facts:
    """Both ends, and who they are as far as it has a name."""
    ends = one.ends
    source = end_text(ends.source[0].tobytes(), int(ends.source_port[0]))
    destination = end_text(ends.destination[0].tobytes(), int(ends.destination_port[0]))
    protocol = protocol_name(int(one.keys["nexthdr"][0]))
    facts = [("connection", f"{protocol} {source} -> {destination}")]
    if called is None:
        return facts
    value = one.values[0]
    told = (
        ("source is", called.addresses(ends.source)[0]),
        ("destination is", called.addresses(ends.destination)[0]),
        ("service is", called.service(int(value["rev_nat_index"]))),
        ("source labels", called.identity(int(value["src_sec_id"]))),
    )
    return facts + [(label, text) for label, text in told if text]


def direction(one: CtTable, _called: Called | None) -> Facts:
    """The word, and what it means."""
    way = Direction(int(one.direction[0]))
    return [("direction", f"{DIRECTION_NAMES[way]}, {MEANT[way]}")]


def state(one: CtTable, _called: Called | None) -> Facts:
    """The life of the connection."""
    related = f", {RELATED.text}" if one.related[0] else ""
    return [("state", _STATES[int(one.state[0])] + related)]


def outcome(one: CtTable, _called: Called | None) -> Facts:
    """What becomes of the connection when the table is re-created or flushed, and why."""
    told = []
    for change, word in ((Change.RECREATE, "if recreated"), (Change.FLUSH, "if flushed")):
        verdicts = judge(one, change)
        risk, reason = Risk(int(verdicts.risk[0])), Reason(int(verdicts.reason[0]))
        told.append((word, f"{risk.word}: {REASONS[reason]}"))
    return told


def life(one: CtTable, _called: Called | None) -> Facts:
    """What is left of the lifetime, and the lifetime as it is stored."""
    left = int(one.remaining[0])
    remaining = duration(left) if left > 0 else f"expired {-left} s ago"
    return [
        *([("left", remaining)] if one.has_clock else []),
        ("lifetime", f"{one.values['lifetime'][0]} (seconds of the table's clock)"),
    ]


def reports(one: CtTable, _called: Called | None) -> Facts:
    """When each direction was last seen."""
    ways = ("rx", "tx")
    return [
        (f"last seen {way}", _ago(one, int(one.values[f"last_{way}_report"][0]))) for way in ways
    ]


def _ago(one: CtTable, stamp: int) -> str:
    if not stamp:
        return "never"
    if not one.has_clock:
        return f"at {stamp}"
    return f"{max(0, -int(one.seconds_from_now(stamp)))} s ago"


def tcp_flags(one: CtTable, _called: Called | None) -> Facts:
    """Which flags TCP segments of each direction had."""
    value = one.values[0]
    return [(f"tcp flags {way}", _tcp(int(value[f"{way}_flags_seen"]))) for way in ("rx", "tx")]


def _tcp(flags: int) -> str:
    return " ".join(flag.name or "" for flag in TcpFlag if flags & flag) or "-"


def counters(one: CtTable, _called: Called | None) -> Facts:
    """Every counter of the layout that counts in such an entry."""
    names = one.spec.service_counters if one.service[0] else one.spec.counters
    return [
        (name.replace("_", " "), f"{one.values[name][0]:,}" if one.counted else "not counted")
        for name in names
    ]


def flags(one: CtTable, _called: Called | None) -> Facts:
    """Their names, and the number."""
    bits = int(one.values["flags"][0])
    return [("flags", f"{flag_words(bits)} (0x{bits:04x})")]


def rev_nat(one: CtTable, _called: Called | None) -> Facts:
    """The RevNAT index in host order."""
    return [("RevNAT id", str(one.values["rev_nat_index"][0]))]


def identity(one: CtTable, _called: Called | None) -> Facts:
    """The identity of the source."""
    return [("source identity", str(one.values["src_sec_id"][0]))]


def backend(one: CtTable, _called: Called | None) -> Facts:
    """The backend chosen, of SERVICE entries."""
    return [("backend id", str(int(one.backend[0])))] if one.service[0] else []


def interface(one: CtTable, _called: Called | None) -> Facts:
    """The interface, of layouts that keep it."""
    known = "ifindex" in (one.values.dtype.names or ())
    return [("ifindex", str(one.values["ifindex"][0]))] if known else []


def raw(one: CtTable, _called: Called | None) -> Facts:
    """The bytes, and how they are read."""
    return [
        ("key, raw", one.keys[0].tobytes().hex(" ", -4)),
        ("value, raw", one.values[0].tobytes().hex(" ", -4)),
        ("layout", f"Cilium {one.layout}"),
    ]
