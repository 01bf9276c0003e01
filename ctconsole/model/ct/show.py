"""The fields of a conntrack entry: one row each, read by all that sorts, filters, lists and shows.

A field added to `FIELDS` is sorted by, filtered by, listed, shown in the console and its details,
completed and explained; nothing else has to be told, but for the words of a filter, which stand
in `filter.asking` so that help need not load this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from ctconsole.model.ct import end_filters, facts, filters, listed, shown
from ctconsole.model.ct.field import Field, InDetails, InTable, OnScreen, Section
from ctconsole.model.ct.outcomes import Change
from ctconsole.model.ct.risk import judge
from ctconsole.model.filter.asking import ASKED
from ctconsole.model.text.columns import decimal, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.field import Facts, Numbers
    from ctconsole.model.ct.seen import Rule
    from ctconsole.model.ct.table import CtTable

    Integers: TypeAlias = npt.NDArray[np.integer[Any]]

_View = TypeVar("_View", OnScreen, InDetails)


def _end(which: str) -> Callable[[CtTable], tuple[Numbers, ...]]:
    """Address, then port, most significant number last as `np.lexsort` wants them."""

    def numbers(table: CtTable) -> tuple[Numbers, ...]:
        address = np.ascontiguousarray(getattr(table.ends, which))
        port = getattr(table.ends, f"{which}_port").astype(np.uint64)
        if not table.is_ipv6:
            whole = address.view(">u4")[:, 0].astype(np.uint64)
            return (np.asarray(whole << np.uint64(16) | port),)
        halves = address.view(">u8").astype(np.uint64)
        return port, halves[:, 1], halves[:, 0]

    return numbers


def _rev_nat(table: CtTable) -> Integers:
    return np.asarray(table.values["rev_nat_index"].astype(np.uint16))


def _identity(table: CtTable) -> Integers:
    return np.asarray(table.values["src_sec_id"])


FIELDS: Final[tuple[Field, ...]] = (
    Field("map", rules=(end_filters.maps(),), cells=listed.label),
    Field("node", rules=(end_filters.nodes(),), cells=listed.node),
    Field(
        "proto",
        lambda table: (table.keys["nexthdr"],),
        (filters.protocols(),),
        listed.protocol,
        listed.PROTOCOL,
        OnScreen("PROTO", 5, shown.protocols),
    ),
    Field(
        "ends",
        rules=(
            end_filters.addresses(ASKED["ip"], "source", "destination"),
            end_filters.ports(ASKED["port"], "source_port", "destination_port"),
            end_filters.pods(),
        ),
        in_details=InDetails(Section.CONNECTION, facts.connection),
    ),
    Field(
        "dir",
        lambda table: (table.direction,),
        (filters.directions(),),
        listed.direction,
        listed.DIRECTION,
        OnScreen("DIR", 3, shown.directions, "dim", shown.DIRECTION_TONES),
        InDetails(Section.CONNECTION, facts.direction),
    ),
    Field("related", cells=listed.related),
    Field(
        "source",
        _end("source"),
        (
            end_filters.addresses(ASKED["src"], "source"),
            end_filters.ports(ASKED["sport"], "source_port"),
        ),
        listed.end("source"),
        listed.SOURCE,
        OnScreen("SOURCE", 18, shown.ends("source"), grow=2, most=21, ipv6=(24, 47)),
    ),
    Field(
        "destination",
        _end("destination"),
        (
            end_filters.addresses(ASKED["dst"], "destination"),
            end_filters.ports(ASKED["dport"], "destination_port"),
        ),
        listed.end("destination"),
        listed.DESTINATION,
        OnScreen("DESTINATION", 18, shown.ends("destination"), grow=2, most=21, ipv6=(24, 47)),
    ),
    Field(
        "state",
        lambda table: (table.state,),
        (filters.states(),),
        listed.state,
        listed.STATE,
        OnScreen("STATE", 11, shown.states, "", shown.STATE_TONES),
        InDetails(Section.CONNECTION, facts.state),
    ),
    Field(
        "left",
        lambda table: (table.remaining,),
        (filters.seconds(ASKED["left"], lambda one: one.remaining),),
        listed.left,
        listed.number("EXPIRES", 8, lambda table: signed(table.remaining)),
        OnScreen("LEFT", 7, shown.left, "dim", right=True, rank=1),
        InDetails(Section.LIFE, facts.life),
    ),
    Field(
        "idle",
        rules=(filters.seconds(ASKED["idle"], lambda table: table.idle),),
    ),
    Field(
        "packets",
        lambda table: (table.packets,),
        (filters.counts(ASKED["packets"], lambda table: table.packets),),
        listed.packets,
        listed.counted_number("PACKETS", 10, lambda table: decimal(table.packets)),
        OnScreen("PKTS", 7, shown.packets, right=True, rank=2),
    ),
    Field(
        "bytes",
        lambda table: (table.bytes,),
        (filters.sizes(ASKED["bytes"], lambda table: table.bytes),),
        listed.size,
        listed.counted_number("BYTES", 13, lambda table: decimal(table.bytes)),
        OnScreen("BYTES", 8, shown.sizes, right=True),
    ),
    Field(
        "rate",
        rules=(filters.rates(),),
        on_screen=OnScreen("B/S", 8, shown.nothing, right=True, rank=7, speed="bytes"),
    ),
    Field(
        "packet-rate",
        on_screen=OnScreen("PKT/S", 6, shown.nothing, right=True, rank=8, speed="packets"),
    ),
    Field("counters", cells=listed.counters, in_details=InDetails(Section.COUNTED, facts.counters)),
    Field(
        "flags",
        lambda table: (table.values["flags"],),
        (filters.flags(),),
        listed.flags,
        listed.FLAGS,
        OnScreen("FLAGS", 7, shown.flags, "second", grow=1, most=12, rank=3),
        InDetails(Section.STORED, facts.flags),
    ),
    Field(
        "tcp-flags",
        cells=listed.seen_flags,
        in_details=InDetails(Section.LIFE, facts.tcp_flags, after="reports"),
    ),
    Field("reports", cells=listed.reports, in_details=InDetails(Section.LIFE, facts.reports)),
    Field(
        "revnat",
        lambda table: (_rev_nat(table),),
        (filters.ids(ASKED["revnat"], _rev_nat, ordered=True), end_filters.services()),
        listed.rev_nat,
        listed.number("REVNAT", 7, lambda table: decimal(_rev_nat(table))),
        OnScreen("REVNAT", 6, shown.rev_nats, "dim", right=True, grow=1, most=14, rank=5),
        InDetails(Section.STORED, facts.rev_nat),
    ),
    Field(
        "backend",
        lambda table: (table.backend,),
        (filters.ids(ASKED["backend"], lambda one: one.backend, ordered=True),),
        listed.backend,
        listed.number("BACKEND", 8, lambda table: decimal(table.backend)),
        OnScreen(
            "BACKEND", 7, shown.numbers(lambda table: table.backend), "dim", right=True, rank=6
        ),
        InDetails(Section.STORED, facts.backend, after="identity"),
    ),
    Field("nat", cells=listed.translation),
    Field(
        "identity",
        lambda table: (_identity(table),),
        (filters.ids(ASKED["identity"], _identity, ordered=False),),
        listed.identity,
        listed.number("IDENTITY", 9, lambda table: decimal(_identity(table))),
        OnScreen("IDENTITY", 8, shown.numbers(_identity), "dim", right=True, rank=4, after="flags"),
        InDetails(Section.STORED, facts.identity),
    ),
    Field("ifindex", cells=listed.interface, in_details=InDetails(Section.STORED, facts.interface)),
    Field(
        "risk",
        lambda table: (judge(table, Change.RECREATE).risk,),
        (filters.risks(),),
        on_screen=OnScreen("RISK", 6, shown.risks, "dim", shown.RISK_TONES, rank=2, after="bytes"),
        in_details=InDetails(Section.CONNECTION, facts.outcome),
    ),
    Field("raw", in_details=InDetails(Section.RAW, facts.raw)),
)
"""Every field, in the order in which the listings for programs have them."""


def sortable() -> Mapping[str, Callable[[CtTable], tuple[Numbers, ...]]]:
    """What a table can be sorted by: the numbers of each field, the deciding one last."""
    return {field.name: field.numbers for field in FIELDS if field.numbers}


def rules() -> tuple[Rule, ...]:
    """What can be asked for, in the order of the fields."""
    return tuple(rule for field in FIELDS for rule in field.rules)


def table_columns() -> list[InTable]:
    """The columns of the listing for people, in their order."""
    found = [field.in_table for field in FIELDS if field.in_table]
    return sorted(found, key=lambda column: column.ragged)


def screen_columns() -> Mapping[str, OnScreen]:
    """The columns of the console by field, in their order."""
    return dict(_in_order((field.name, field.on_screen) for field in FIELDS))


def details(one: CtTable, called: Called | None = None) -> Facts:
    """Everything about an entry, of which ``one`` is the table; an empty name is a gap."""
    views = _in_order((field.name, field.in_details) for field in FIELDS)
    lines: Facts = []
    for section in Section:
        block = [
            line for _, view in views if view.section is section for line in view.facts(one, called)
        ]
        lines += [("", ""), *block] if lines and block else block
    return lines


def _in_order(views: Iterable[tuple[str, _View | None]]) -> list[tuple[str, _View]]:
    """Views by field, each moved behind the one it is to follow."""
    found = [(name, view) for name, view in views if view]
    for name, view in [one for one in found if one[1].after]:
        found.remove((name, view))
        names = [other for other, _ in found]
        found.insert(names.index(view.after) + 1, (name, view))
    return found
