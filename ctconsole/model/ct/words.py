"""The words for what an entry can be: each written once, shown everywhere, and read by the filter.

A word is read whatever its case and with or without its dashes, so that what any list shows can
be typed back: ``one-way`` and ``one_way``, ``rx-closing`` and Cilium's ``RxClosing``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ctconsole.model.ct.layout import LAYOUTS, CtFlag
from ctconsole.model.ct.outcomes import Risk
from ctconsole.model.ct.table import Direction, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Code = TypeVar("_Code", bound=int)


@dataclass(frozen=True, slots=True)
class Word(Generic[_Code]):
    """One thing an entry can be, or have.

    Attributes:
        code: what stands for it in `CtTable`.
        text: the word, in lower case, without blanks.
        short: the same where there is little room; empty where the word itself is shown.
        also: other words for it that are read.
    """

    code: _Code
    text: str
    short: str = ""
    also: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """The word for a narrow column."""
        return self.short or self.text

    @property
    def every(self) -> tuple[str, ...]:
        """All that is read as it, the word itself first."""
        return (self.text, *([self.short] if self.short else []), *self.also)


PROTOCOLS: Final[Mapping[int, str]] = list(LAYOUTS.values())[-1].protocols
"""Names by IP protocol, as the newest layout has them; the others are shown as numbers."""

DIRECTIONS: Final = (
    Word(Direction.OUT, "out"),
    Word(Direction.IN, "in"),
    Word(Direction.SERVICE, "service", "svc"),
)

DIRECTION_NAMES: Final = MappingProxyType(
    {int(word.code): word.brief.upper() for word in DIRECTIONS}
)
"""``OUT``, ``IN``, ``SVC``: directions as columns have them."""

STATES: Final = (
    Word(State.OPENING, "opening", also=("syn",)),
    Word(State.ONE_WAY, "one-way"),
    Word(State.ESTABLISHED, "established", also=("est",)),
    Word(State.HALF_CLOSED, "half-closed", also=("half",)),
    Word(State.CLOSING, "closing"),
    Word(State.EXPIRED, "expired", also=("dead",)),
)
ALIVE: Final = "alive"
"""Every state but expired."""

UNANSWERED: Final = "unanswered"
"""Opening or one-way: alive, and nobody has answered yet."""

RELATED: Final = Word(1, "related", "rel")
"""Entries for ICMP errors about a tracked flow, of any direction."""

RISKS: Final = (
    Word(Risk.BREAKS, Risk.BREAKS.word),
    Word(Risk.AT_RISK, Risk.AT_RISK.word, "risk"),
    Word(Risk.COMES_BACK, Risk.COMES_BACK.word, "ok"),
    Word(Risk.DEAD, Risk.DEAD.word),
)

FLAGS: Final = (
    Word(CtFlag.RX_CLOSING, "rx-closing", "Rc"),
    Word(CtFlag.TX_CLOSING, "tx-closing", "Tc"),
    # Cilium's C code says NAT46 where its tools print Nat64.
    Word(CtFlag.NAT46, "nat46", also=("nat64",)),
    Word(CtFlag.LB_LOOPBACK, "lb-loopback", "lo", also=("loopback",)),
    Word(CtFlag.SEEN_NON_SYN, "seen-non-syn"),
    Word(CtFlag.NODE_PORT, "node-port", "np"),
    Word(CtFlag.PROXY_REDIRECT, "proxy-redirect", "px", also=("proxy",)),
    Word(CtFlag.DSR, "dsr", "dsr", also=("dsr-internal",)),
    Word(CtFlag.FROM_L7LB, "from-l7lb", "l7"),
    Word(CtFlag.FROM_TUNNEL, "from-tunnel", "tun"),
)
NO_FLAGS: Final = "none"
_NAMED: Final = sum(int(word.code) for word in FLAGS)


def fold(text: str) -> str:
    """What two spellings of one word have in common."""
    return text.lower().replace("-", "").replace("_", "")


def codes(words: tuple[Word[_Code], ...]) -> Mapping[str, _Code]:
    """Codes by everything that is read, folded."""
    return MappingProxyType({fold(text): word.code for word in words for text in word.every})


def texts(words: tuple[Word[_Code], ...]) -> Mapping[int, str]:
    """Words by code."""
    return MappingProxyType({int(word.code): word.text for word in words})


def protocol_name(number: int) -> str:
    """``TCP``, or the number of a protocol without a name here."""
    return PROTOCOLS.get(number, str(number))


def flag_words(flags: int) -> str:
    """The names of the bits of a value's flags; a bit without a name as ``0x0800``."""
    return ", ".join([*_named(flags), *_bits(flags & ~_NAMED)]) or NO_FLAGS


def short_flags(flags: int, *, related: bool) -> str:
    """The flags that are not the rule, in as few characters as can be told apart."""
    shown = [RELATED.brief] if related else []
    return " ".join(shown + [word.short for word in FLAGS if word.short and flags & word.code])


def _named(flags: int) -> Iterator[str]:
    return (word.text for word in FLAGS if flags & word.code)


def _bits(flags: int) -> Iterator[str]:
    return (f"{1 << bit:#06x}" for bit in range(16) if flags >> bit & 1)
