"""How the ends of a connection are asked for: addresses, ports, and what they belong to."""

from __future__ import annotations

from ipaddress import ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.seen import all_rows, most_frequent, whole
from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import ASKED
from ctconsole.model.filter.rules import FilterRule, Test, UnmeantError, number
from ctconsole.model.filter.syntax import Compare, Value
from ctconsole.model.text.addresses import address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy.typing as npt

    from ctconsole.model.ct.seen import Bools, Rule, Seen
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.filter.asking import Asked

    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]


def nodes() -> Rule:
    """The node or the agent's pod, or a part of its name, that a file's entries are of."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        matches = rules.text_has(value)

        def of_node(seen: Seen) -> Bools:
            whose = seen.table.whose
            return all_rows(seen, any(matches(name) for name in (whose.node, whose.pod) if name))

        return Test(of_node)

    return FilterRule(ASKED["node"], read, rules.TEXT_TAKES, cost=0, occurring=_whose)


def _whose(seen: Seen) -> Iterable[str]:
    whose = seen.table.whose
    return [name for name in (whose.node, whose.pod) if name]


def maps() -> Rule:
    """The map that entries are in."""

    def read(_compare: Compare, value: Value) -> Test[Seen]:
        matches = rules.name_is(value)
        return Test(lambda seen: all_rows(seen, matches(seen.table.info.label)))

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
                return all_rows(seen, found=True)
            wanted = seen.addresses_called(value)
            if not len(wanted):
                return all_rows(seen, found=False)
            return _at(seen.table, _BOTH, _ADDRESSES, lambda one: _among(one, wanted))

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
                return all_rows(seen, found=False)
            return _at(seen.table, sides, _ADDRESSES, lambda one: _within(one, wanted, mask))

        return Test(holds)

    def occurring(seen: Seen) -> Iterable[str]:
        for side in sides:
            column = np.ascontiguousarray(getattr(seen.table.ends, side))
            width = column.shape[1]
            for raw in most_frequent(column.view(f"V{width}").reshape(-1)):
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


def _among(column: npt.NDArray[np.uint8], wanted: npt.NDArray[Any]) -> Bools:
    """Rows of addresses that are some of these."""
    return np.isin(np.ascontiguousarray(column).view(whole(column.shape[1])).reshape(-1), wanted)


_BOTH: Final = ("source", "destination")

_ADDRESSES: Final = MappingProxyType(
    {"source": ("saddr", "daddr"), "destination": ("daddr", "saddr")}
)
_PORTS: Final = MappingProxyType(
    {"source_port": ("dport", "sport"), "destination_port": ("sport", "dport")}
)
"""Where an end stands in the key of a SERVICE entry, and of any other (see `Ends`)."""


def _at(
    table: CtTable,
    sides: tuple[str, ...],
    names: Mapping[str, tuple[str, str]],
    test: Callable[[npt.NDArray[Any]], Bools],
) -> Bools:
    """Rows for which the test of what stands at one end holds, or at any of both.

    Both columns are asked as they are: to make the one that is meant takes three times as long.
    """
    inverted, upright = names[sides[0]]
    one, other = test(table.keys[inverted]), test(table.keys[upright])
    if len(sides) > 1:
        return one | other
    return (one & table.service) | (other & ~table.service)


def ports(asked: Asked, *sides: str) -> Rule:
    """Ports, or ranges of them, at one end or at any of two."""
    takes = "a port, or a range as 8000-8100 after a colon"

    def read(compare: Compare, value: Value) -> Test[Seen]:
        low, dash, high = value.text.partition("-")
        first = number(low, rules.ONES, 0xFFFF)
        last = number(high, rules.ONES, 0xFFFF) if dash else first
        if dash and (compare is not Compare.IS or last < first):
            raise UnmeantError(takes)

        def stands(column: Numbers) -> Bools:
            if dash:
                return np.asarray((column >= first) & (column <= last))
            return compare.holds(column, first)

        def holds(seen: Seen) -> Bools:
            return _at(seen.table, sides, _PORTS, stands)

        return Test(holds)

    def occurring(seen: Seen) -> Iterable[str]:
        columns = [getattr(seen.table.ends, side) for side in sides]
        return map(str, most_frequent(np.concatenate(columns)))

    return FilterRule(
        asked, read, takes, ordered=True, bare=len(sides) > 1, cost=2, occurring=occurring
    )


def _needs_names(seen: Seen, *, endpoints: bool) -> str:
    """Why what only names tell is not known; empty where some are known."""
    called = seen.called
    if called and (called.endpoints if endpoints else called.services):
        return ""
    what = "pods" if endpoints else "services"
    return f"needs names, and nothing here tells what {what} are called"
