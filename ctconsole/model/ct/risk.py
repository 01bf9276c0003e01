"""What losing an entry does to its connection: it comes back, may break, or breaks.

A conntrack table is a cache of "this is an answer": every packet from the opener passes policy
and makes a new entry, with no SYN asked for. So most connections do not notice; those that do
are told from their entries by the rules below (``bpf/lib/conntrack.h``, ``bpf_lxc.c``,
``bpf/lib/nodeport.h``, ``pkg/maps/ctmap/ctmap.go`` for what a flush takes with it,
``bpf/lib/nat.h`` for the port a translation would rather have: the connection's own).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.dropping import lowest
from ctconsole.model.ct.layout import CtFlag
from ctconsole.model.ct.outcomes import Change, Forecast, Reason, Risk, Verdicts
from ctconsole.model.ct.table import Direction

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]

QUIET: Final = 60
"""Seconds without a packet after which nobody can say who will speak next."""

REPORT_SLACK: Final = 10
"""Two report intervals: how far apart the reports of a conversation lie at most."""


def forecast(table: CtTable) -> tuple[Forecast, ...]:
    """What re-creating the table would do, and what flushing it would."""
    return tuple(
        Forecast(change, judge(table, change)) for change in (Change.RECREATE, Change.FLUSH)
    )


def affected(
    table: CtTable, change: Change, missing: int = 0
) -> Iterator[tuple[Risk, Reason, npt.NDArray[np.intp]]]:
    """The rows that a change puts at risk, by reason, the worst first.

    Of a resize these are the ``missing`` for which there is no room, whatever becomes of them.
    """
    if change is not Change.RESIZE:
        yield from Forecast(change, judge(table, change)).worst()
        return
    rows = lowest(table, missing)
    verdicts = judge(table.take(rows), Change.RECREATE)
    for risk, why, _ in verdicts.reasons():
        yield risk, why, rows[verdicts.rows(risk, why)]


def fates(table: CtTable, change: Change, missing: int = 0) -> Verdicts:
    """What a change does to each row.

    A resize touches none but the ``missing`` for which there is no room; those go as if the
    table were re-created.
    """
    found = judge(table, change)
    if change is Change.RESIZE and missing:
        rows = lowest(table, missing)
        gone = judge(table.take(rows), Change.RECREATE)
        found.risk[rows], found.reason[rows] = gone.risk, gone.reason
    return found


def judge(table: CtTable, change: Change) -> Verdicts:
    """Say what a change does to each row's connection, by what is known beside the table.

    Of several reasons the one with the worst outcome is given. A SERVICE entry and the entry
    towards its backend are judged alike: they are one connection.
    """
    if change is Change.RESIZE:
        return Verdicts(np.zeros(len(table), np.uint8), np.zeros(len(table), np.uint8))
    ranks = _ranks(table, change)
    return Verdicts(*(codes.take(ranks, mode="clip") for codes in _BY_RANK))


_RANKED: Final = (
    (Risk.COMES_BACK, Reason.FORWARD),
    (Risk.COMES_BACK, Reason.ONE_BACKEND),
    *(
        (Risk.AT_RISK, reason)
        for reason in (
            Reason.QUIET,
            Reason.REPLY_FIRST,
            Reason.RELATED,
            Reason.UNKNOWN_SERVICE,
            Reason.TUNNEL,
            Reason.PROXY,
            Reason.LOOPBACK,
            Reason.NODE_PORT,
            Reason.DSR,
            Reason.SNAT_KEPT,
            Reason.SNAT,
            Reason.RANDOM_BACKEND,
        )
    ),
    *((Risk.BREAKS, reason) for reason in (Reason.DSR, Reason.SNAT, Reason.RANDOM_BACKEND)),
    (Risk.DEAD, Reason.EXPIRED),
)
"""Every verdict; of several about one entry the last counts."""

_RANKS: Final = MappingProxyType({verdict: rank for rank, verdict in enumerate(_RANKED)})
_BY_RANK: Final = tuple(np.array(codes, np.uint8) for codes in zip(*_RANKED, strict=True))


def _ranks(table: CtTable, change: Change) -> npt.NDArray[np.uint8]:
    """The place in `_RANKED` of the verdict about each row."""
    ranks = np.zeros(len(table), np.uint8)
    for rows, risk, reason in _rules(table, change):
        # Most rules are of what most tables have none of.
        if rows.any():
            # To choose by masks takes ten times as long.
            np.maximum(ranks, rows.view(np.uint8) * np.uint8(_RANKS[risk, reason]), out=ranks)
    return ranks


def breaking(table: CtTable, change: Change) -> Bools:
    """Rows that `judge` says break, in a fraction of its time."""
    found = np.zeros(len(table), np.bool_)
    for rows, _ in _breaking(table, change, _services(table)):
        found |= rows
    return found & table.alive


def endangered(table: CtTable, change: Change) -> Bools:
    """Rows that `judge` says may break, in a fraction of its time."""
    found = np.zeros(len(table), np.bool_)
    breaks = np.zeros(len(table), np.bool_)
    for rows, risk, _ in _dangers(table, change, _services(table)):
        into = found if risk is Risk.AT_RISK else breaks
        into |= rows
    return found & ~breaks & table.alive


def returning(table: CtTable, change: Change) -> Bools:
    """Rows that `judge` says come back, in a fraction of its time."""
    found = table.alive.copy()
    for rows, *_ in _dangers(table, change, _services(table)):
        found &= ~rows
    return found


def _breaking(
    table: CtTable, change: Change, services: npt.NDArray[np.uint8]
) -> Iterator[tuple[Bools, Reason]]:
    """Rows that break if they are alive, and why."""
    # A connection that is closing sends a few packets more, which need no translation kept.
    lasting = table.tcp & ~table.closing
    yield lasting & (services == Reason.RANDOM_BACKEND), Reason.RANDOM_BACKEND
    if change is Change.FLUSH:
        yield lasting & table.moved, Reason.SNAT
    yield lasting & _any(table.flags, CtFlag.DSR), Reason.DSR


def _rules(table: CtTable, change: Change) -> Iterator[tuple[Bools, Risk, Reason]]:
    """Rows, what happens to them, and why; one of `_RANKED` for each, in any order."""
    yield ~table.alive, Risk.DEAD, Reason.EXPIRED
    services = _services(table)
    yield services == Reason.ONE_BACKEND, Risk.COMES_BACK, Reason.ONE_BACKEND
    yield from _dangers(table, change, services)


def _dangers(
    table: CtTable, change: Change, services: npt.NDArray[np.uint8]
) -> Iterator[tuple[Bools, Risk, Reason]]:
    """Those of these rules by which an entry that is alive breaks or may break."""
    tcp, flags = table.tcp, table.flags
    lasting = ~table.closing
    for rows, why in _breaking(table, change, services):
        yield rows, Risk.BREAKS, why
    yield (services == Reason.RANDOM_BACKEND) & lasting, Risk.AT_RISK, Reason.RANDOM_BACKEND
    if change is Change.FLUSH:
        yield table.moved & lasting, Risk.AT_RISK, Reason.SNAT
        yield table.translated & tcp & lasting, Risk.AT_RISK, Reason.SNAT_KEPT
    yield _any(flags, CtFlag.DSR) & lasting, Risk.AT_RISK, Reason.DSR
    for bits, why in (
        (CtFlag.NODE_PORT, Reason.NODE_PORT),
        (CtFlag.LB_LOOPBACK, Reason.LOOPBACK),
        (CtFlag.PROXY_REDIRECT | CtFlag.FROM_L7LB, Reason.PROXY),
        (CtFlag.FROM_TUNNEL, Reason.TUNNEL),
    ):
        yield _any(flags, bits), Risk.AT_RISK, why
    unknown = (services == Reason.UNKNOWN_SERVICE) & lasting
    yield unknown, Risk.AT_RISK, Reason.UNKNOWN_SERVICE
    judged = _answers_are_judged(table)
    yield table.related & judged, Risk.AT_RISK, Reason.RELATED
    for rows, why in _who_speaks(table):
        yield rows & judged, Risk.AT_RISK, why


def _answers_are_judged(table: CtTable) -> Bools:
    """Rows whose answers, taken for new connections, some policy may deny.

    An entry is its endpoint's: what the endpoint was reached for it answers (egress), what it
    asked for comes back to it (ingress). An endpoint that lets everything through that way
    accepts an answer like any packet.
    """
    policy = table.knowledge.policy
    if policy.never:
        return np.zeros(len(table), np.bool_)
    inward = table.direction == Direction.IN
    found = np.ones(len(table), np.bool_)
    if policy.open_egress:
        found &= ~(inward & _is_one_of(table.ends.destination, policy.open_egress))
    if policy.open_ingress:
        found &= inward | ~_is_one_of(table.ends.source, policy.open_ingress)
    return found


def _is_one_of(column: npt.NDArray[np.uint8], addresses: frozenset[bytes]) -> Bools:
    """Rows whose address, u1 of shape (n, 4) or (n, 16), is in the set."""
    width = column.shape[1]
    wanted = [one for one in addresses if len(one) == width]
    if not wanted:
        return np.zeros(len(column), np.bool_)
    kind = "=u4" if width == 4 else "V16"  # noqa: PLR2004 - bytes of an IPv4 address
    rows = np.ascontiguousarray(column).view(kind).reshape(-1)
    return np.isin(rows, np.frombuffer(b"".join(wanted), kind))


def _who_speaks(table: CtTable) -> Iterator[tuple[Bools, Reason]]:
    """Rows whose next packet may come from the side that did not open the connection.

    An entry counts packets by its endpoint: what an endpoint receives is rx. So the opener's
    packets are rx of an IN entry and tx of an OUT entry.
    """
    inward = table.direction == Direction.IN
    rx, tx = (np.ascontiguousarray(table.values[f"last_{way}_report"]) for way in ("rx", "tx"))
    tx_spoke, rx_spoke = _later(tx, rx), _later(rx, tx)
    # Both columns are at hand, and to read them again would take longer than all else here.
    talking = table.established_by((rx != 0) & (tx != 0)) & ~table.service
    yield talking & ((inward & tx_spoke) | (~inward & rx_spoke)), Reason.REPLY_FIRST
    if table.has_clock:
        # As `table.idle`.
        yield talking & table.is_before(np.maximum(rx, tx), -QUIET), Reason.QUIET


def _later(one: npt.NDArray[np.uint32], other: npt.NDArray[np.uint32]) -> Bools:
    """Where the one report is more than `REPORT_SLACK` after the other."""
    # What is subtracted from is the larger, wherever the difference counts.
    return np.asarray((one > other) & (one - other > REPORT_SLACK))


def _services(table: CtTable) -> npt.NDArray[np.uint8]:
    """How the service of each row's connection behaves, 0 for none; node ports have their own rule.

    ONE_BACKEND, RANDOM_BACKEND or UNKNOWN_SERVICE of `Reason`.
    """
    numbers = table.values["rev_nat_index"].astype(np.uint16)
    # The backend's side sees the translated connection: it is the client's side that picks.
    picks = table.service | ((numbers != 0) & (table.direction == Direction.OUT))
    if not picks.any():
        return np.zeros(len(table), np.uint8)
    kinds = np.full(1 << 16, Reason.UNKNOWN_SERVICE, np.uint8)
    for number, facts in table.knowledge.services.items():
        steady = facts.sticky or facts.backends <= 1
        kinds[number & 0xFFFF] = Reason.ONE_BACKEND if steady else Reason.RANDOM_BACKEND
    return np.asarray(kinds.take(numbers, mode="clip") * picks)


def _any(flags: npt.NDArray[np.uint16], bits: CtFlag) -> Bools:
    return np.asarray((flags & np.uint16(bits)) != 0)
