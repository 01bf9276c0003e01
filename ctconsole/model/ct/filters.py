"""How each field of a conntrack entry is asked for; `show.FIELDS` gives these rules to fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.layout import CtFlag
from ctconsole.model.ct.risk import Change, Risk, judge, may_break
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
    texts,
)
from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import ASKED
from ctconsole.model.filter.rules import FilterRule, Test, UnmeantError, number
from ctconsole.model.filter.syntax import Compare, Value
from ctconsole.model.text.addresses import address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.filter.asking import Asked

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
    Rates: TypeAlias = npt.NDArray[np.float64]
    Rule: TypeAlias = FilterRule["Seen"]
    Column: TypeAlias = Callable[[CtTable], Numbers]

_RATES: Final = "needs two samples of the table, and there is one. The console takes them"


@dataclass(frozen=True)
class Seen:
    """Entries, and what is known beside them that a filter may ask.

    Attributes:
        table: the entries.
        called: what things are called; None where nobody looked.
        rates: bytes a second of each row, NaN where it is not known; None without two samples.
        found: what names stand for, so that each is looked for once.
    """

    table: CtTable
    called: Called | None = None
    rates: Rates | None = None
    found: dict[tuple[str, Value], Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Seen:
        """Some of them."""
        rates = None if self.rates is None else self.rates[rows]
        return Seen(self.table.take(rows), self.called, rates, self.found)

    def addresses_called(self, value: Value) -> npt.NDArray[Any]:
        """Addresses of endpoints of this name, of the table's family; one item each."""
        if ("pod", value) not in self.found:
            matches = rules.name_is(value)
            width = 16 if self.table.is_ipv6 else 4
            endpoints = self.called.endpoints if self.called else {}
            raw = [one for one, name in endpoints.items() if len(one) == width and matches(name)]
            self.found["pod", value] = np.frombuffer(b"".join(raw), _whole(width))
        return np.asarray(self.found["pod", value])

    def services_called(self, value: Value) -> npt.NDArray[np.uint16]:
        """RevNAT ids of the services of this name."""
        if ("svc", value) not in self.found:
            matches = rules.name_is(value)
            services = self.called.services if self.called else {}
            ids = [number & 0xFFFF for number, name in services.items() if matches(name)]
            self.found["svc", value] = np.array(ids, np.uint16)
        return np.asarray(self.found["svc", value])


def _whole(width: int) -> str:
    """An address as one item that numpy compares; its bytes are told by their number."""
    return "=u4" if width == 4 else "S16"  # noqa: PLR2004 - bytes of an IPv4 address


def _words(words: tuple[Word[Any], ...]) -> tuple[str, ...]:
    return tuple(word.brief if len(word.short) > 1 else word.text for word in words)


def _most(column: npt.NDArray[Any], most: int = 50) -> list[Any]:
    """The values that occur most often, the most frequent first."""
    values, numbers = np.unique(column, return_counts=True)
    order = np.argsort(numbers, kind="stable")[::-1][:most]
    return list(values[order].tolist())


def _worded(
    asked: Asked,
    words: tuple[str, ...],
    takes: str,
    read: Callable[[str], Test[Seen] | None],
    *,
    occurring: Callable[[Seen], Iterable[str]] | None = None,
    bare: bool = False,
    cost: int = 1,
    beside: str = "",
) -> Rule:
    """A field whose values are words; ``read`` gives None for what is none of them."""

    def make(_compare: Compare, value: Value) -> Test[Seen]:
        test = read(value.text)
        if test is None:
            raise UnmeantError(takes, words)
        return test

    return FilterRule(
        asked, make, takes, words, bare=bare, occurring=occurring, cost=cost, beside=beside
    )


def protocols() -> Rule:
    """A protocol, by its name or number."""
    names = {fold(name): number for number, name in PROTOCOLS.items()}
    words = tuple(name.lower() for name in PROTOCOLS.values())

    def read(text: str) -> Test[Seen] | None:
        code = names.get(fold(text))
        if code is None:
            if not (text.isascii() and text.isdigit()):
                return None
            code = number(text, rules.ONES, 255)
        return Test(lambda seen: np.asarray(seen.table.keys["nexthdr"] == code))

    def occurring(seen: Seen) -> Iterable[str]:
        found = _most(seen.table.keys["nexthdr"])
        return (PROTOCOLS.get(code, str(code)).lower() for code in found)

    takes = f"{', '.join(words)} or a number"
    return _worded(ASKED["proto"], words, takes, read, occurring=occurring, bare=True)


_IN_STATE: Final[dict[State, Callable[[CtTable], Bools]]] = {
    State.OPENING: lambda one: one.alive & ~one.closing & one.tcp & ~_seen_data(one),
    State.ONE_WAY: lambda one: np.asarray(one.state == State.ONE_WAY),
    State.ESTABLISHED: lambda one: one.established,
    State.HALF_CLOSED: lambda one: one.alive & one.closing & ~one.ending,
    State.CLOSING: lambda one: one.alive & one.ending,
    State.EXPIRED: lambda one: ~one.alive,
}
"""What `CtTable.state` says, of one state alone: in less time than all of them take."""


def _seen_data(table: CtTable) -> Bools:
    return np.asarray((table.values["flags"] & CtFlag.SEEN_NON_SYN) != 0)


def states() -> Rule:
    """The life of a connection."""
    known = codes(STATES)
    words = (ALIVE, UNANSWERED, *(text for word in STATES for text in word.every))
    told = texts(STATES)

    def read(text: str) -> Test[Seen] | None:
        word = fold(text)
        if word == ALIVE:
            return Test(lambda seen: seen.table.alive, needs_clock)
        if word == UNANSWERED:
            return Test(lambda seen: np.isin(seen.table.state, [State.OPENING, State.ONE_WAY]))
        code = known.get(word)
        if code is None:
            return None
        is_in = _IN_STATE[code]
        return Test(
            lambda seen: np.asarray(is_in(seen.table)),
            _needs_bound if code == State.EXPIRED else None,
        )

    def occurring(seen: Seen) -> Iterable[str]:
        return (told[code] for code in _most(seen.table.state))

    return _worded(
        ASKED["state"], words, ", ".join(words), read, occurring=occurring, bare=True, cost=3
    )


def directions() -> Rule:
    """Which way an entry looks."""
    known = codes(DIRECTIONS)
    words = (*(word.brief for word in DIRECTIONS), RELATED.text)

    def read(text: str) -> Test[Seen] | None:
        word = fold(text)
        if word in RELATED.every:
            return Test(lambda seen: seen.table.related)
        code = known.get(word)
        if code is None:
            return None
        return Test(lambda seen: np.asarray(seen.table.direction == code))

    return _worded(ASKED["dir"], words, ", ".join(words), read, bare=True)


def flags() -> Rule:
    """A bit of the value's flags, by name or as it is shown where it has none."""
    known = codes(FLAGS)
    words = (*(word.text for word in FLAGS), RELATED.text, NO_FLAGS)

    def read(text: str) -> Test[Seen] | None:
        word = fold(text)
        if word in RELATED.every:
            return Test(lambda seen: seen.table.related)
        if word == NO_FLAGS:
            return Test(lambda seen: np.asarray(seen.table.values["flags"] == 0))
        bit = int(known.get(word, 0)) or _bits(text)
        mask = np.uint16(bit)
        if not bit:
            return None
        return Test(lambda seen: np.asarray((seen.table.values["flags"] & mask) == mask))

    takes = f"{', '.join(words)} or a number as 0x0800"
    return _worded(ASKED["flag"], words, takes, read)


def _bits(text: str) -> int:
    """The bits of ``0x0800``; 0 for what is no such number."""
    matched = re.fullmatch(r"0[xX]([0-9a-fA-F]{1,4})", text)
    return int(matched[1], 16) if matched else 0


def risks() -> Rule:
    """What becomes of the connection when the table is re-created."""
    known = codes(RISKS)
    words = tuple(word.text for word in RISKS)

    def read(text: str) -> Test[Seen] | None:
        code = known.get(fold(text))
        if code is None:
            return None
        if code == Risk.DEAD:
            return Test(lambda seen: ~seen.table.alive, _needs_bound)

        def holds(seen: Seen) -> Bools:
            if code != Risk.BREAKS:
                return np.asarray(judge(seen.table, Change.RECREATE).risk == code)
            # Few may break, and to judge takes long.
            found = may_break(seen.table)
            rows = np.flatnonzero(found)
            found[rows] = judge(seen.table.take(rows), Change.RECREATE).risk == code
            return found

        return Test(holds)

    return _worded(ASKED["risk"], words, ", ".join(words), read, cost=50, beside="risk")


def nodes() -> Rule:
    """The node or the agent's pod, or a part of its name, that a file's entries are of."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        matches = rules.text_has(value)

        def of_node(seen: Seen) -> Bools:
            whose = seen.table.whose
            return _all(seen, any(matches(name) for name in (whose.node, whose.pod) if name))

        return Test(of_node)

    return FilterRule(ASKED["node"], read, rules.TEXT_TAKES, cost=0, occurring=_whose)


def _whose(seen: Seen) -> Iterable[str]:
    whose = seen.table.whose
    return [name for name in (whose.node, whose.pod) if name]


def _all(seen: Seen, found: bool) -> Bools:  # noqa: FBT001 - what every row has
    return np.full(len(seen), found, np.bool_)


def maps() -> Rule:
    """The map that entries are in."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        matches = rules.name_is(value)
        return Test(lambda seen: _all(seen, matches(seen.table.info.label)))

    return FilterRule(
        ASKED["map"],
        read,
        rules.NAME_TAKES,
        cost=0,
        occurring=lambda seen: [seen.table.info.label],
    )


def pods() -> Rule:
    """The pod at either end; of a file also its agent's."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        of_agent = rules.text_has(value)

        def lacks(seen: Seen) -> str:
            # The agent's pod is all that some files tell: those who ask for it are answered.
            return "" if seen.table.whose.pod else _needs_names(seen, endpoints=True)

        def holds(seen: Seen) -> Bools:
            if seen.table.whose.pod and of_agent(seen.table.whose.pod):
                return _all(seen, found=True)
            wanted = seen.addresses_called(value)
            if not len(wanted):
                return _all(seen, found=False)
            found = _all(seen, found=False)
            for side in ("source", "destination"):
                column = getattr(seen.table.ends, side)
                whole = np.ascontiguousarray(column).view(_whole(column.shape[1])).reshape(-1)
                found |= np.isin(whole, wanted)
            return found

        return Test(holds, lacks)

    def occurring(seen: Seen) -> Iterable[str]:
        names = set(seen.called.endpoints.values()) if seen.called else set()
        return sorted(names | ({seen.table.whose.pod} - {""}))

    return FilterRule(
        ASKED["pod"], read, rules.NAME_TAKES, cost=4, occurring=occurring, beside="names"
    )


def services() -> Rule:
    """The service that a connection goes through, by its name."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        def holds(seen: Seen) -> Bools:
            numbers = seen.table.values["rev_nat_index"].astype(np.uint16)
            return np.isin(numbers, seen.services_called(value))

        return Test(holds, lambda seen: _needs_names(seen, endpoints=False))

    def occurring(seen: Seen) -> Iterable[str]:
        return sorted(set(seen.called.services.values())) if seen.called else []

    return FilterRule(
        ASKED["svc"], read, rules.NAME_TAKES, cost=3, occurring=occurring, beside="names"
    )


def addresses(asked: Asked, *sides: str) -> Rule:
    """Addresses or networks at one end, or at any of two."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        try:
            network = ip_network(value.text.strip("[]"), strict=False)
        except ValueError as error:
            raise UnmeantError("an address or a network as 10.0.0.0/8") from error
        wanted = np.frombuffer(network.network_address.packed, np.uint8)
        mask = np.frombuffer(network.netmask.packed, np.uint8)

        def holds(seen: Seen) -> Bools:
            if seen.table.is_ipv6 is (len(wanted) == 4):  # noqa: PLR2004 - bytes of an IPv4 address
                return _all(seen, found=False)
            found = _all(seen, found=False)
            for column in _addresses(seen.table, sides):
                found |= _within(column, wanted, mask)
            return found

        return Test(holds)

    def occurring(seen: Seen) -> Iterable[str]:
        for side in sides:
            column = np.ascontiguousarray(getattr(seen.table.ends, side))
            width = column.shape[1]
            for raw in _most(column.view(f"V{width}").reshape(-1)):
                yield address_text(raw)

    takes = "an address or a network as 10.0.0.0/8"
    return FilterRule(asked, read, takes, bare=len(sides) > 1, cost=3, occurring=occurring)


def _within(
    column: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]
) -> Bools:
    """Rows of addresses that lie in a network; four bytes at a time."""
    words, want, bits = (one.view("=u4") for one in (column, wanted, mask))
    found = np.ones(len(column), np.bool_)
    for place in np.flatnonzero(bits):
        found &= (words[:, place] & bits[place]) == want[place]
    return found


def _addresses(table: CtTable, sides: tuple[str, ...]) -> list[npt.NDArray[np.uint8]]:
    """The columns of one end, or of both: then which is which does not matter."""
    if len(sides) > 1:
        return [table.keys["saddr"], table.keys["daddr"]]
    return [getattr(table.ends, side) for side in sides]


def _ports(table: CtTable, sides: tuple[str, ...]) -> list[Numbers]:
    """The same of ports."""
    if len(sides) > 1:
        return [table.keys["sport"], table.keys["dport"]]
    return [getattr(table.ends, side) for side in sides]


def ports(asked: Asked, *sides: str) -> Rule:
    """Ports, or ranges of them, at one end or at any of two."""
    takes = "a port, or a range as 8000-8100 after a colon"

    def read(compare: Compare, value: Value) -> Test[Seen]:
        low, dash, high = value.text.partition("-")
        first = number(low, rules.ONES, 0xFFFF)
        last = number(high, rules.ONES, 0xFFFF) if dash else first
        if dash and (compare is not Compare.IS or last < first):
            raise UnmeantError(takes)

        def holds(seen: Seen) -> Bools:
            found = _all(seen, found=False)
            for column in _ports(seen.table, sides):
                if dash:
                    found |= (column >= first) & (column <= last)
                else:
                    found |= compare.holds(column, first)
            return found

        return Test(holds)

    def occurring(seen: Seen) -> Iterable[str]:
        columns = [getattr(seen.table.ends, side) for side in sides]
        return map(str, _most(np.concatenate(columns)))

    return FilterRule(
        asked, read, takes, ordered=True, bare=len(sides) > 1, cost=2, occurring=occurring
    )


def needs_clock(seen: Seen) -> str:
    """Why what only the clock tells is not known; empty where it is."""
    table = seen.table
    if table.has_clock:
        return ""
    since = f" (it was at least {table.now})" if table.at_least else ""
    return (
        f"needs the node's clock, which is not known of {table.info.label}{since}. "
        "Tell it with --now"
    )


def _needs_bound(seen: Seen) -> str:
    """The same, where it is enough to know of some entries that they are dead."""
    return "" if seen.table.at_least else needs_clock(seen)


def needs_counters(seen: Seen) -> str:
    """Why what only counters tell is not known; empty where they count."""
    if seen.table.counted:
        return ""
    return (
        f"needs counters, and {seen.table.info.label} has none: every one is 0, as without "
        "bpf-conntrack-accounting"
    )


def _needs_names(seen: Seen, *, endpoints: bool) -> str:
    """Why what only names tell is not known; empty where some are known."""
    called = seen.called
    if called and (called.endpoints if endpoints else called.services):
        return ""
    what = "pods" if endpoints else "services"
    return f"needs names, and nothing here tells what {what} are called"


def _needs_rates(seen: Seen) -> str:
    return needs_counters(seen) or ("" if seen.rates is not None else _RATES)


def seconds(asked: Asked, column: Column) -> Rule:
    """A time, with the units s, m, h and d."""
    return rules.measured(
        asked, lambda seen: column(seen.table), rules.SECONDS, rules.TIME_TAKES, lacks=needs_clock
    )


def counts(asked: Asked, column: Column) -> Rule:
    """How many, with the units k, m and g of thousands."""
    return rules.measured(
        asked,
        lambda seen: column(seen.table),
        rules.COUNTS,
        rules.COUNT_TAKES,
        lacks=needs_counters,
    )


def sizes(asked: Asked, column: Column) -> Rule:
    """Bytes, with the units k, m and g of 1,024."""
    return rules.measured(
        asked, lambda seen: column(seen.table), rules.SIZES, rules.SIZE_TAKES, lacks=needs_counters
    )


def ids(asked: Asked, column: Column, *, ordered: bool) -> Rule:
    """A number without a unit."""
    return rules.measured(
        asked, lambda seen: column(seen.table), rules.ONES, rules.NUMBER_TAKES, ordered=ordered
    )


def rates() -> Rule:
    """Bytes a second, with the units k, m and g of 1,024; not known of what is new."""

    def column(seen: Seen) -> Rates:
        return seen.rates if seen.rates is not None else np.zeros(len(seen))

    return rules.measured(
        ASKED["rate"],
        column,
        rules.SIZES,
        rules.SIZE_TAKES,
        lacks=_needs_rates,
        known=lambda seen: ~np.isnan(column(seen)),
        beside="rates",
    )
