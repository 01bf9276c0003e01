"""The fields of the filter language, and how the values of each are read: data and small rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.errors import UsageError
from ctconsole.model.ct.layout import CtFlag, Protocol
from ctconsole.model.ct.risk import Change, Risk, judge
from ctconsole.model.ct.table import Direction, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
    Test: TypeAlias = Callable[[CtTable], Bools]


class Compare(StrEnum):
    """How a value is held against a field."""

    IS = "="
    LESS = "<"
    MORE = ">"
    AT_MOST = "<="
    AT_LEAST = ">="

    def holds(self, column: Numbers, number: int) -> Bools:
        """Where the column stands so to the number."""
        match self:
            case Compare.LESS:
                return np.asarray(column < number)
            case Compare.MORE:
                return np.asarray(column > number)
            case Compare.AT_MOST:
                return np.asarray(column <= number)
            case Compare.AT_LEAST:
                return np.asarray(column >= number)
            case _:
                return np.asarray(column == number)


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        test: makes a test from the operator, one value and the whole term (for errors).
        example: a value that can be meant.
        ordered: whether ``<`` and ``>`` can be meant.
    """

    test: Callable[[Compare, str, str], Test]
    example: str
    ordered: bool = False


_PROTOCOLS: Final = MappingProxyType({one.name.lower(): int(one) for one in Protocol})
_STATES: Final = MappingProxyType(
    {
        "opening": State.OPENING,
        "syn": State.OPENING,
        "one-way": State.ONE_WAY,
        "established": State.ESTABLISHED,
        "est": State.ESTABLISHED,
        "closing": State.CLOSING,
        "expired": State.EXPIRED,
        "dead": State.EXPIRED,
    }
)
_DIRECTIONS: Final = MappingProxyType(
    {"in": Direction.IN, "out": Direction.OUT, "svc": Direction.SERVICE}
)
_FLAGS: Final = MappingProxyType(
    {one.name.lower().replace("_", "-"): one for one in CtFlag if one.name}
)
RISKS: Final = MappingProxyType(
    {
        "breaks": Risk.BREAKS,
        "at-risk": Risk.AT_RISK,
        "comes-back": Risk.COMES_BACK,
        "dead": Risk.DEAD,
    }
)
_SECONDS: Final = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
_COUNTS: Final = MappingProxyType({"": 1, "k": 1000, "m": 10**6, "g": 10**9})
_SIZES: Final = MappingProxyType({"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30})


def _wrong(term: str, value: str, allowed: str) -> UsageError:
    return UsageError(
        f"{value!r} cannot be meant in the filter term {term!r}", hint=f"Give {allowed}"
    )


def _number(text: str, term: str, units: Mapping[str, int], most: int = (1 << 63) - 1) -> int:
    """A whole number with a unit."""
    matched = re.fullmatch(r"([0-9]{1,19})([a-z]?)", text.lower())
    if matched is None or matched[2] not in units:
        named = ", ".join(unit for unit in units if unit)
        raise _wrong(
            term, text, f"a whole number{f' with one of {named} behind it' if named else ''}"
        )
    number = int(matched[1]) * units[matched[2]]
    if number > most:
        raise _wrong(term, text, f"0 to {most}")
    return number


def _protocol(_compare: Compare, value: str, term: str) -> Test:
    number = _PROTOCOLS.get(value.lower())
    if number is None:
        if not value.isdigit():
            raise _wrong(term, value, f"{', '.join(_PROTOCOLS)} or a number")
        number = _number(value, term, {"": 1}, 255)
    return lambda table: np.asarray(table.keys["nexthdr"] == number)


def _state(_compare: Compare, value: str, term: str) -> Test:
    if value == "alive":
        return lambda table: table.alive
    code = _STATES.get(value.lower())
    if code is None:
        raise _wrong(term, value, f"alive, {', '.join(_STATES)}")
    return lambda table: np.asarray(table.state == code)


def _direction(_compare: Compare, value: str, term: str) -> Test:
    if value == "related":
        return lambda table: table.related
    code = _DIRECTIONS.get(value.lower())
    if code is None:
        raise _wrong(term, value, f"{', '.join(_DIRECTIONS)} or related")
    return lambda table: np.asarray(table.direction == code)


def _flag(_compare: Compare, value: str, term: str) -> Test:
    bit = _FLAGS.get(value.lower().replace("_", "-"))
    if bit is None:
        raise _wrong(term, value, ", ".join(_FLAGS))
    mask = np.uint16(bit)
    return lambda table: np.asarray((table.values["flags"] & mask) != 0)


def _risk(_compare: Compare, value: str, term: str) -> Test:
    code = RISKS.get(value.lower())
    if code is None:
        raise _wrong(term, value, ", ".join(RISKS))
    return lambda table: np.asarray(judge(table, Change.RECREATE).risk == code)


def _address(*sides: str) -> Callable[[Compare, str, str], Test]:
    """Addresses or networks at one end, or at any of two."""

    def make(_compare: Compare, value: str, term: str) -> Test:
        try:
            network = ip_network(value.strip("[]"), strict=False)
        except ValueError as error:
            raise _wrong(term, value, "an address or a network as 10.0.0.0/8") from error
        wanted = np.frombuffer(network.network_address.packed, np.uint8)
        mask = np.frombuffer(network.netmask.packed, np.uint8)

        def test(table: CtTable) -> Bools:
            found = np.zeros(len(table), np.bool_)
            for side in sides:
                column = getattr(table.ends, side)
                if column.shape[1] == len(wanted):
                    found |= _within(column, wanted, mask)
            return found

        return test

    return make


def _within(
    column: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> Bools:
    """Rows of addresses that lie in a network; four bytes at a time."""
    words, want, bits = (np.ascontiguousarray(one).view("=u4") for one in (column, wanted, mask))
    found = np.ones(len(column), np.bool_)
    for place in np.flatnonzero(bits):
        found &= (words[:, place] & bits[place]) == want[place]
    return found


def _port(*sides: str) -> Callable[[Compare, str, str], Test]:
    """Ports, or ranges of them, at one end or at any of two."""

    def make(compare: Compare, value: str, term: str) -> Test:
        low, dash, high = value.partition("-")
        first = _number(low, term, {"": 1}, 0xFFFF)
        last = _number(high, term, {"": 1}, 0xFFFF) if dash else first
        if dash and (compare is not Compare.IS or last < first):
            raise _wrong(term, value, "a port, or a range as 8000-8100 after a colon")

        def test(table: CtTable) -> Bools:
            found = np.zeros(len(table), np.bool_)
            for side in sides:
                column = getattr(table.ends, side)
                if dash:
                    found |= (column >= first) & (column <= last)
                else:
                    found |= compare.holds(column, first)
            return found

        return test

    return make


def _measure(
    column: Callable[[CtTable], Numbers], units: Mapping[str, int], most: int = (1 << 63) - 1
) -> Callable[[Compare, str, str], Test]:
    """A number of an entry."""

    def make(compare: Compare, value: str, term: str) -> Test:
        number = _number(value, term, units, most)
        return lambda table: compare.holds(column(table), number)

    return make


def _rev_nat(table: CtTable) -> Numbers:
    return np.asarray(table.values["rev_nat_index"].astype(np.uint16))


_IDLE: Final = Field(_measure(lambda table: table.idle, _SECONDS), "30s", ordered=True)

FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "proto": Field(_protocol, "tcp"),
        "state": Field(_state, "established"),
        "dir": Field(_direction, "in"),
        "flag": Field(_flag, "dsr"),
        "risk": Field(_risk, "breaks"),
        "src": Field(_address("source"), "10.0.0.0/8"),
        "dst": Field(_address("destination"), "10.0.0.1"),
        "ip": Field(_address("source", "destination"), "10.0.0.1"),
        "sport": Field(_port("source_port"), "40000", ordered=True),
        "dport": Field(_port("destination_port"), "443", ordered=True),
        "port": Field(_port("source_port", "destination_port"), "443", ordered=True),
        "left": Field(_measure(lambda table: table.remaining, _SECONDS), "30s", ordered=True),
        "idle": _IDLE,
        "age": _IDLE,
        "packets": Field(_measure(lambda table: table.packets, _COUNTS), "10k", ordered=True),
        "bytes": Field(_measure(lambda table: table.bytes, _SIZES), "1M", ordered=True),
        "backend": Field(_measure(lambda table: table.backend, {"": 1}), "3", ordered=True),
        "revnat": Field(_measure(_rev_nat, {"": 1}), "1", ordered=True),
        "identity": Field(_measure(lambda table: table.values["src_sec_id"], {"": 1}), "2"),
    }
)
"""Fields by name. ``idle`` (and ``age``) is the time since the last reported packet, which is
reported every 5 seconds at most; ``left`` what remains of an entry's lifetime; ``risk`` what
becomes of the connection when the table is re-created."""


def bare_field(text: str) -> str | None:
    """The field that a value standing alone is of, None where it is of none."""
    if text.isdigit():
        return "port"
    if text in _PROTOCOLS:
        return "proto"
    if text == "alive" or text in _STATES:
        return "state"
    if text in _DIRECTIONS or text == "related":
        return "dir"
    try:
        ip_network(text.strip("[]"), strict=False) if "/" in text else ip_address(text.strip("[]"))
    except ValueError:
        return None
    return "ip"
