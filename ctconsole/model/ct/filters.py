"""How each field of a conntrack entry is asked for; `show.FIELDS` gives these rules to fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.risk import breaking, endangered, returning
from ctconsole.model.ct.seen import most_frequent
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from ctconsole.model.ct.seen import Bools, Rates, Rule, Seen
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.filter.asking import Asked
    from ctconsole.model.filter.syntax import Compare, Value

    Numbers: TypeAlias = npt.NDArray[np.integer[Any]]
    Column: TypeAlias = Callable[[CtTable], Numbers]

_RATES: Final = "needs two samples of the table, and there is one. The console takes them"


def _words(words: tuple[Word[Any], ...]) -> tuple[str, ...]:
    return tuple(word.brief if len(word.short) > 1 else word.text for word in words)


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
        found = most_frequent(seen.table.keys["nexthdr"])
        return (PROTOCOLS.get(code, str(code)).lower() for code in found)

    takes = f"{', '.join(words)} or a number"
    return _worded(ASKED["proto"], words, takes, read, occurring=occurring, bare=True)


_IN_STATE: Final[dict[State, Callable[[CtTable], Bools]]] = {
    State.OPENING: lambda one: one.alive & ~one.closing & one.tcp & ~one.spoken,
    State.ONE_WAY: lambda one: (
        one.alive & ~one.closing & ~one.established & (one.spoken | ~one.tcp)
    ),
    State.ESTABLISHED: lambda one: one.established,
    State.HALF_CLOSED: lambda one: one.alive & one.closing & ~one.ending,
    State.CLOSING: lambda one: one.alive & one.ending,
    State.EXPIRED: lambda one: ~one.alive,
}
"""What `CtTable.state` says, of one state alone: in less time than all of them take."""


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
            return Test(lambda seen: np.asarray(seen.table.state <= State.ONE_WAY))
        code = known.get(word)
        if code is None:
            return None
        is_in = _IN_STATE[code]
        return Test(
            lambda seen: np.asarray(is_in(seen.table)),
            _needs_bound if code == State.EXPIRED else None,
        )

    def occurring(seen: Seen) -> Iterable[str]:
        return (told[code] for code in most_frequent(seen.table.state))

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

        held = {Risk.BREAKS: breaking, Risk.AT_RISK: endangered, Risk.COMES_BACK: returning}
        holds = held[Risk(code)]
        return Test(lambda seen: holds(seen.table, Change.RECREATE))

    return _worded(ASKED["risk"], words, ", ".join(words), read, cost=50, beside="risk")


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
