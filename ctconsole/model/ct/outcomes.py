"""What can be said of losing an entry: the risk to its connection, the reason, and how many.

Who judges is `model.ct.risk`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt


class Change(StrEnum):
    """What is done to the table."""

    RESIZE = "resize"
    RECREATE = "recreate"
    FLUSH = "flush"


class Risk(IntEnum):
    """What becomes of a connection; worse is more."""

    UNTOUCHED = 0
    DEAD = 1
    COMES_BACK = 2
    AT_RISK = 3
    BREAKS = 4

    @property
    def word(self) -> str:
        """``comes-back``, ``at-risk``, ``breaks``, ``dead``, ``untouched``: one word each."""
        return self.name.lower().replace("_", "-")


class Reason(IntEnum):
    """Why."""

    NONE = 0
    EXPIRED = 1
    FORWARD = 2
    ONE_BACKEND = 3
    UNKNOWN_SERVICE = 4
    RANDOM_BACKEND = 5
    QUIET = 6
    REPLY_FIRST = 7
    NODE_PORT = 8
    DSR = 9
    LOOPBACK = 10
    PROXY = 11
    TUNNEL = 12
    RELATED = 13
    SNAT = 14
    SNAT_KEPT = 15


REASONS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.NONE: "the entry stays",
        Reason.EXPIRED: "its lifetime is over: nothing is lost",
        Reason.FORWARD: "the opener's next packet makes a new entry",
        Reason.ONE_BACKEND: "the service picks the same backend again",
        Reason.UNKNOWN_SERVICE: "not known whether its service would pick the same backend",
        Reason.RANDOM_BACKEND: "its service picks one of several backends at random",
        Reason.QUIET: "quiet: if the server speaks first, policy judges it as a new connection",
        Reason.REPLY_FIRST: "the server spoke last: its next packet is judged as a new connection",
        Reason.NODE_PORT: "node port: answers leave with the pod's address until the client speaks",
        Reason.DSR: "direct server return: answers are no longer translated",
        Reason.LOOPBACK: "a pod that reaches itself through a service",
        Reason.PROXY: "through a proxy, which answers do not show",
        Reason.TUNNEL: "came out of a tunnel, which answers do not show",
        Reason.RELATED: "ICMP errors about a connection are judged by policy",
        Reason.SNAT: "its address translation goes with it, and the next one has another port",
        Reason.SNAT_KEPT: "translated to its own port, which it has again if the pod speaks first; "
        "if the outside does, that is reset",
    }
)
"""One sentence each for a person."""


@dataclass(frozen=True)
class Verdicts:
    """The verdict about each row.

    Attributes:
        risk: `Risk` codes, u1.
        reason: `Reason` codes, u1.
    """

    risk: npt.NDArray[np.uint8]
    reason: npt.NDArray[np.uint8]

    def count(self, risk: Risk) -> int:
        """How many rows have this risk."""
        return int(np.count_nonzero(self.risk == risk))

    def rows(self, risk: Risk, reason: Reason) -> npt.NDArray[np.intp]:
        """Which rows have this risk for this reason."""
        return np.flatnonzero((self.risk == risk) & (self.reason == reason))

    def reasons(self) -> list[tuple[Risk, Reason, int]]:
        """How many rows for each reason, the worst and largest first."""
        pairs = self.risk.astype(np.uint16) << 8 | self.reason
        counts = Counter({int(p): int(n) for p, n in zip(*np.unique_counts(pairs), strict=True)})
        return _worst_first((Risk(pair >> 8), Reason(pair & 0xFF), n) for pair, n in counts.items())


@dataclass(frozen=True)
class Forecast:
    """What one change would do to a table.

    Attributes:
        change: the change.
        verdicts: about each row.
    """

    change: Change
    verdicts: Verdicts

    @cached_property
    def reasons(self) -> tuple[tuple[Risk, Reason, int], ...]:
        """How many rows for each reason, the worst and largest first."""
        return tuple(self.verdicts.reasons())

    def count(self, risk: Risk) -> int:
        """How many rows have this risk."""
        return self.verdicts.count(risk)

    def worst(self) -> Iterator[tuple[Risk, Reason, npt.NDArray[np.intp]]]:
        """The rows that break or may break, by reason, the worst first."""
        for risk, why, _ in self.reasons:
            if risk >= Risk.AT_RISK:
                yield risk, why, self.verdicts.rows(risk, why)


@dataclass(frozen=True)
class Outcome:
    """What one change would do to a table that came in parts: the numbers of a `Forecast`.

    Attributes:
        change: the change.
        reasons: how many rows for each reason, the worst and largest first.
    """

    change: Change
    reasons: tuple[tuple[Risk, Reason, int], ...]

    def count(self, risk: Risk) -> int:
        """How many rows have this risk."""
        return sum(number for one, _, number in self.reasons if one is risk)


class RiskTally:
    """Adds up the forecasts for the parts of a table."""

    def __init__(self) -> None:
        self._counts: dict[Change, Counter[tuple[Risk, Reason]]] = {}

    def add(self, found: Iterable[Forecast]) -> None:
        """Count what is forecast for another part."""
        for one in found:
            counts = self._counts.setdefault(one.change, Counter())
            for risk, why, number in one.reasons:
                counts[risk, why] += number

    def outcomes(self) -> tuple[Outcome, ...]:
        """The numbers so far."""
        return tuple(
            Outcome(change, tuple(_worst_first((*one, n) for one, n in counts.items())))
            for change, counts in self._counts.items()
        )


def reasons_to_tell(
    found: Iterable[Forecast | Outcome],
) -> Iterator[tuple[Change, list[tuple[Risk, Reason, int]]]]:
    """Why connections break or may break; of a later change only what the ones before do not."""
    told: set[Reason] = set()
    for one in found:
        reasons = [
            (risk, why, number)
            for risk, why, number in one.reasons
            if risk >= Risk.AT_RISK and why not in told
        ]
        if reasons:
            yield one.change, reasons
        told |= {why for _, why, _ in reasons}


def _worst_first(found: Iterable[tuple[Risk, Reason, int]]) -> list[tuple[Risk, Reason, int]]:
    return sorted(found, key=lambda one: (-one[0], -one[2], one[1]))
