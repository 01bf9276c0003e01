"""How the values of a filter term are read: small rules, which `show.FIELDS` gives to fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.errors import UsageError
from ctconsole.model.ct.asking import ASKED
from ctconsole.model.ct.risk import Change, Risk, judge
from ctconsole.model.ct.table import State
from ctconsole.model.ct.words import (
    ALIVE,
    DIRECTIONS,
    FLAGS,
    NO_FLAGS,
    PROTOCOLS,
    RELATED,
    RISKS,
    STATES,
    UNANSWERED,
    Word,
    codes,
    fold,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.asking import Asked
    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
    Test: TypeAlias = Callable[[CtTable], Bools]
    Reader: TypeAlias = Callable[["Compare", str, str], Test]


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
class FilterRule:
    """How one field is asked for.

    Attributes:
        asked: what it is called and explained by.
        test: makes a test from the operator, one value and the whole term (for errors).
        words: values that are words, for whoever completes them.
        ordered: whether ``<`` and ``>`` can be meant.
        bare: whether one of its words may stand without the field's name.
        judges: whether the test asks what becomes of connections: it is only as good as what
            is known beside the entries (`Knowledge`).
    """

    asked: Asked
    test: Reader
    words: tuple[str, ...] = ()
    ordered: bool = False
    bare: bool = False
    judges: bool = False


_SECONDS: Final = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
_COUNTS: Final = MappingProxyType({"": 1, "k": 1000, "m": 10**6, "g": 10**9})
_SIZES: Final = MappingProxyType({"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30})
_ONES: Final = MappingProxyType({"": 1})


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


def _words(words: tuple[Word[Any], ...]) -> tuple[str, ...]:
    return tuple(word.brief if len(word.short) > 1 else word.text for word in words)


def protocols() -> FilterRule:
    """A protocol, by its name or number."""
    names = {fold(name): number for number, name in PROTOCOLS.items()}
    words = tuple(name.lower() for name in PROTOCOLS.values())

    def test(_compare: Compare, value: str, term: str) -> Test:
        number = names.get(fold(value))
        if number is None:
            if not value.isdigit():
                raise _wrong(term, value, f"{', '.join(words)} or a number")
            number = _number(value, term, _ONES, 255)
        return lambda table: np.asarray(table.keys["nexthdr"] == number)

    return FilterRule(ASKED["proto"], test, words=words, bare=True)


def states() -> FilterRule:
    """The life of a connection."""
    known = codes(STATES)
    words = (ALIVE, UNANSWERED, *(text for word in STATES for text in word.every))

    def test(_compare: Compare, value: str, term: str) -> Test:
        word = fold(value)
        if word == ALIVE:

            def alive(table: CtTable) -> Bools:
                needs_clock(table, term)
                return table.alive

            return alive
        if word == UNANSWERED:
            return lambda table: np.asarray(
                (table.state == State.OPENING) | (table.state == State.ONE_WAY)
            )
        code = known.get(word)
        if code is None:
            raise _wrong(term, value, ", ".join(words))

        def state(table: CtTable) -> Bools:
            if code == State.EXPIRED:
                _needs_bound(table, term)
            return np.asarray(table.state == code)

        return state

    return FilterRule(ASKED["state"], test, words=words, bare=True)


def directions() -> FilterRule:
    """Which way an entry looks."""
    known = codes(DIRECTIONS)
    words = (*(word.brief for word in DIRECTIONS), RELATED.text)

    def test(_compare: Compare, value: str, term: str) -> Test:
        word = fold(value)
        if word in RELATED.every:
            return lambda table: table.related
        code = known.get(word)
        if code is None:
            raise _wrong(term, value, ", ".join(words))
        return lambda table: np.asarray(table.direction == code)

    return FilterRule(ASKED["dir"], test, words=words, bare=True)


def flags() -> FilterRule:
    """A bit of the value's flags, by name or as it is shown where it has none."""
    known = codes(FLAGS)
    words = tuple(word.text for word in FLAGS)

    def test(_compare: Compare, value: str, term: str) -> Test:
        word = fold(value)
        if word in RELATED.every:
            return lambda table: table.related
        if word == NO_FLAGS:
            return lambda table: np.asarray(table.values["flags"] == 0)
        bit = int(known.get(word, 0)) or _bits(value)
        if not bit:
            raise _wrong(term, value, f"{', '.join(words)} or a number as 0x0800")
        mask = np.uint16(bit)
        return lambda table: np.asarray((table.values["flags"] & mask) == mask)

    return FilterRule(ASKED["flag"], test, words=words)


def _bits(text: str) -> int:
    """The bits of ``0x0800``; 0 for what is no such number."""
    matched = re.fullmatch(r"0[xX]([0-9a-fA-F]{1,4})", text)
    return int(matched[1], 16) if matched else 0


def nodes() -> FilterRule:
    """The node or the agent's pod, or a part of its name, that a file's entries are of."""

    def test(_compare: Compare, value: str, _term: str) -> Test:
        def of_node(table: CtTable) -> Bools:
            found = any(value in name for name in (table.whose.node, table.whose.pod) if name)
            return np.full(len(table), found, np.bool_)

        return of_node

    return FilterRule(ASKED["node"], test)


def risks() -> FilterRule:
    """What becomes of the connection when the table is re-created."""
    known = codes(RISKS)
    words = tuple(word.text for word in RISKS)

    def test(_compare: Compare, value: str, term: str) -> Test:
        code = known.get(fold(value))
        if code is None:
            raise _wrong(term, value, ", ".join(words))

        def risk(table: CtTable) -> Bools:
            if code == Risk.DEAD:
                _needs_bound(table, term)
            return np.asarray(judge(table, Change.RECREATE).risk == code)

        return risk

    return FilterRule(ASKED["risk"], test, words=words, judges=True)


def addresses(asked: Asked, *sides: str) -> FilterRule:
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

    return FilterRule(asked, make, bare=len(sides) > 1)


def _within(
    column: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> Bools:
    """Rows of addresses that lie in a network; four bytes at a time."""
    words, want, bits = (np.ascontiguousarray(one).view("=u4") for one in (column, wanted, mask))
    found = np.ones(len(column), np.bool_)
    for place in np.flatnonzero(bits):
        found &= (words[:, place] & bits[place]) == want[place]
    return found


def ports(asked: Asked, *sides: str) -> FilterRule:
    """Ports, or ranges of them, at one end or at any of two."""

    def make(compare: Compare, value: str, term: str) -> Test:
        low, dash, high = value.partition("-")
        first = _number(low, term, _ONES, 0xFFFF)
        last = _number(high, term, _ONES, 0xFFFF) if dash else first
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

    return FilterRule(asked, make, ordered=True)


def _measure(
    column: Callable[[CtTable], Numbers],
    units: Mapping[str, int],
    needs: Callable[[CtTable, str], None] = lambda _table, _term: None,
) -> Reader:
    """A number of an entry; ``needs`` raises where a table does not tell it."""

    def make(compare: Compare, value: str, term: str) -> Test:
        number = _number(value, term, units)

        def test(table: CtTable) -> Bools:
            needs(table, term)
            return compare.holds(column(table), number)

        return test

    return make


def needs_clock(table: CtTable, term: str) -> None:
    """Refuse to answer what only the clock tells, rather than matching all or none.

    Raises:
        UsageError: the clock is not known, or only from when on.
    """
    if len(table) and not table.has_clock:
        since = f" (it was at least {table.now})" if table.at_least else ""
        raise UsageError(
            f"{term!r} needs the node's clock, which is not known of {table.info.label}{since}",
            hint="Tell it with --now",
        )


def _needs_bound(table: CtTable, term: str) -> None:
    """The same, where it is enough to know of some entries that they are dead."""
    if not table.at_least:
        needs_clock(table, term)


def needs_counters(table: CtTable, term: str) -> None:
    """Refuse to answer what only counters tell.

    Raises:
        UsageError: nobody counts packets and bytes.
    """
    if not table.counted:
        raise UsageError(
            f"{term!r} needs counters, and {table.info.label} has none: every one is 0, as without "
            "bpf-conntrack-accounting"
        )


def seconds(asked: Asked, column: Callable[[CtTable], Numbers]) -> FilterRule:
    """A time, with the units s, m, h and d."""
    return FilterRule(asked, _measure(column, _SECONDS, needs_clock), ordered=True)


def counts(asked: Asked, column: Callable[[CtTable], Numbers]) -> FilterRule:
    """How many, with the units k, m and g of thousands."""
    return FilterRule(asked, _measure(column, _COUNTS, needs_counters), ordered=True)


def sizes(asked: Asked, column: Callable[[CtTable], Numbers]) -> FilterRule:
    """Bytes, with the units k, m and g of 1,024."""
    return FilterRule(asked, _measure(column, _SIZES, needs_counters), ordered=True)


def ids(asked: Asked, column: Callable[[CtTable], Numbers], *, ordered: bool) -> FilterRule:
    """A number without a unit."""
    return FilterRule(asked, _measure(column, _ONES), ordered=ordered)
