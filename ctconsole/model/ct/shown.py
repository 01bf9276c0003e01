"""What the console's columns say of conntrack entries, field by field; for the rows in view."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.risk import judge
from ctconsole.model.ct.table import Direction, State
from ctconsole.model.ct.words import (
    DIRECTION_NAMES,
    RISKS,
    STATES,
    protocol_name,
    short_flags,
    texts,
)
from ctconsole.model.text.addresses import end_text
from ctconsole.model.units import duration, short_count, short_size

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.changes import Speeds
    from ctconsole.model.ct.table import CtTable

NOTHING: Final = "-"

_STATES: Final = texts(STATES)
_RISKS: Final = {int(word.code): word.brief for word in RISKS}

DIRECTION_TONES: Final = MappingProxyType({DIRECTION_NAMES[Direction.SERVICE]: "accent"})
STATE_TONES: Final = MappingProxyType(
    {
        _STATES[State.OPENING]: "fresh",
        _STATES[State.ONE_WAY]: "second",
        _STATES[State.HALF_CLOSED]: "closing",
        _STATES[State.CLOSING]: "closing",
        _STATES[State.EXPIRED]: "expired",
    }
)
RISK_TONES: Final = MappingProxyType({_RISKS[Risk.BREAKS]: "crit", _RISKS[Risk.AT_RISK]: "warn"})
"""How words that stand out are drawn; the others are drawn as their column is."""


def protocols(table: CtTable, _called: Called | None) -> list[str]:
    """Names, or numbers."""
    return [protocol_name(number) for number in table.keys["nexthdr"].tolist()]


def directions(table: CtTable, _called: Called | None) -> list[str]:
    """``OUT``, ``IN``, ``SVC``."""
    return [DIRECTION_NAMES[code] for code in table.direction.tolist()]


def ends(which: str) -> Callable[[CtTable, Called | None], list[str]]:
    """One end of each entry: its name or address, and its port."""

    def texts_of(table: CtTable, called: Called | None) -> list[str]:
        raw = getattr(table.ends, which)
        ports = getattr(table.ends, f"{which}_port").tolist()
        names = called.addresses(raw) if called else [""] * len(table)
        return [
            f"{name}:{port}" if name else end_text(one.tobytes(), port)
            for name, one, port in zip(names, raw, ports, strict=True)
        ]

    return texts_of


def states(table: CtTable, _called: Called | None) -> list[str]:
    """The life of each connection."""
    return [_STATES[code] for code in table.state.tolist()]


def left(table: CtTable, _called: Called | None) -> list[str]:
    """What is left of each lifetime."""
    known = table.has_clock
    seconds = table.remaining.tolist()
    return [duration(one) if one > 0 and known else NOTHING for one in seconds]


def packets(table: CtTable, _called: Called | None) -> list[str]:
    """In few characters."""
    if not table.counted:
        return [NOTHING] * len(table)
    return [short_count(one) for one in table.packets.tolist()]


def sizes(table: CtTable, _called: Called | None) -> list[str]:
    """Bytes, in few characters."""
    if not table.counted:
        return [NOTHING] * len(table)
    return [short_size(one) for one in table.bytes.tolist()]


def nothing(table: CtTable, _called: Called | None) -> list[str]:
    """What one table alone does not tell."""
    return [NOTHING] * len(table)


def speed_texts(speeds: Speeds, which: str) -> list[str]:
    """Bytes or packets a second, in few characters."""
    short = short_size if which == "bytes" else short_count
    return [
        NOTHING if math.isnan(one) else short(round(one)) for one in getattr(speeds, which).tolist()
    ]


def risks(table: CtTable, _called: Called | None) -> list[str]:
    """What becomes of each connection when the table is re-created."""
    return [_RISKS[code] for code in judge(table, Change.RECREATE).risk.tolist()]


def flags(table: CtTable, _called: Called | None) -> list[str]:
    """The flags that are not the rule."""
    pairs = zip(table.values["flags"].tolist(), table.related.tolist(), strict=True)
    return [short_flags(bits, related=related) for bits, related in pairs]


def rev_nats(table: CtTable, called: Called | None) -> list[str]:
    """The service's name, or its number."""
    numbers = table.values["rev_nat_index"].tolist()
    return [(called.service(one) if called and one else "") or _number(one) for one in numbers]


def numbers(column: Callable[[CtTable], npt.ArrayLike]) -> Callable[..., list[str]]:
    """Numbers of which 0 is none."""

    def texts_of(table: CtTable, _called: Called | None) -> list[str]:
        return [_number(one) for one in np.asarray(column(table)).tolist()]

    return texts_of


def _number(one: int) -> str:
    return str(one) if one else NOTHING
