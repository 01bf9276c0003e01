"""What became of connections after their table was changed, told by comparing snapshots.

Only what can be seen is told. An entry that is away says nothing of its connection: that may be
silent, and come back with its next packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.changes import KeyedTable, matched
from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.layout import TcpFlag

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Hashes: TypeAlias = npt.NDArray[np.uint64]
    Records: TypeAlias = npt.NDArray[np.void]


class Sequel(IntEnum):
    """What is seen of an entry that was there before."""

    BACK = 0
    RESET = 1
    OTHER_BACKEND = 2
    REVERSED = 3
    AWAY = 4
    OVER = 5

    @property
    def broke(self) -> bool:
        """Whether its connection is seen to have broken."""
        return self in _BROKE


_BITS: Final = 20
"""Of a hash, by which most that are not looked for are passed over."""

_PART: Final = 1 << 14
"""Rows that are compared at a time."""

_BROKE: Final = frozenset({Sequel.RESET, Sequel.OTHER_BACKEND, Sequel.REVERSED})

SEQUEL_REASONS: Final = MappingProxyType({
    Sequel.BACK: "it is there, and nothing is seen to be wrong with it",
    Sequel.RESET: "it is there, but the connection was reset since (RST)",
    Sequel.OTHER_BACKEND: "it is there, but its service has sent it to another backend",
    Sequel.REVERSED: "an entry the other way round is there: its answers are taken for a beginning",
    Sequel.AWAY: "it is not there; whether its connection lives is not known until it speaks",
    Sequel.OVER: "its lifetime was over before: nothing was to come back",
})  # fmt: skip


@dataclass(frozen=True)
class Sequels:
    """What is seen at one moment.

    Attributes:
        of: a `Sequel` for each row of the table before, u1.
    """

    of: npt.NDArray[np.uint8]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many of each `Sequel`."""
        return tuple(np.bincount(self.of, minlength=len(Sequel)).tolist())

    @property
    def broke(self) -> int:
        """How many are seen to have broken."""
        return sum(self.counts[one] for one in _BROKE)

    @property
    def expected(self) -> int:
        """How many were alive before."""
        return len(self.of) - self.counts[Sequel.OVER]

    @property
    def sentence(self) -> str:
        """In one line, without a full stop."""
        if not self.expected:
            return "nothing that lived was in it"
        parts = [f"{self.counts[Sequel.BACK]:,} of {self.expected:,} are there"]
        if self.broke:
            parts.append(f"{self.broke:,} broke")
        if self.counts[Sequel.AWAY]:
            parts.append(f"{self.counts[Sequel.AWAY]:,} are away: silent or gone, not known")
        return ", ".join(parts)


class EntriesBefore:
    """Entries as they were before a change.

    Args:
        table: those of interest, as they were read last.
    """

    def __init__(self, table: CtTable) -> None:
        self.table = table
        self._keyed = KeyedTable(table)
        self._over = table.has_clock & ~table.alive

    def sequels(self, now: CtTable) -> Sequels:
        """What is seen of them in a table of the same kind; takes half a second for a million."""
        table, found = self.table, np.full(len(self.table), Sequel.AWAY, np.uint8)
        if not len(table) or table.keys.dtype != now.keys.dtype:
            found[self._over] = Sequel.OVER
            return Sequels(found)
        hashes = KeyedTable(now).hashes
        kept = matched(self._keyed.hashes, hashes)
        for start in range(0, len(kept.older), _PART):
            older, newer = (rows[start : start + _PART] for rows in kept)
            found[older] = _of_those_there(table.take(older), now.take(newer))
        away = np.flatnonzero(found == Sequel.AWAY)
        found[away[self._turned(away, hashes)]] = Sequel.REVERSED
        found[self._over] = Sequel.OVER
        return Sequels(found)

    def _turned(self, away: npt.NDArray[np.intp], hashes: Hashes) -> Bools:
        """Which of these rows are there the other way round now, and were not before."""
        turned = np.zeros(len(away), np.bool_)
        for keys in _other_way(self.table.keys[away]):
            mine = hash_rows(keys.view(np.uint8).reshape(len(keys), keys.dtype.itemsize))
            turned |= _among(mine, hashes) & ~_among(mine, self._keyed.hashes)
        return turned


def _among(mine: Hashes, hashes: Hashes) -> Bools:
    """Which of these hashes are among others, of which there may be many more."""
    may = np.zeros(1 << _BITS, np.bool_)
    last = np.uint64((1 << _BITS) - 1)
    may[(mine & last).astype(np.intp)] = True
    return np.isin(mine, hashes[may[(hashes & last).astype(np.intp)]])


def _of_those_there(was: CtTable, there: CtTable) -> npt.NDArray[np.uint8]:
    """What is seen of entries that are there again; a row of each table is one of them."""
    found = np.full(len(was), Sequel.BACK, np.uint8)
    found[_reset(there) & ~_reset(was)] = Sequel.RESET
    found[was.service & there.service & (was.backend != there.backend)] = Sequel.OTHER_BACKEND
    return found


def _reset(table: CtTable) -> Bools:
    seen = table.values["tx_flags_seen"] | table.values["rx_flags_seen"]
    return np.asarray((seen & TcpFlag.RST != 0) & ~table.service)


def _other_way(keys: Records) -> tuple[Records, ...]:
    """The keys of connections that the other end opens, out of an endpoint and into one."""
    turned = keys.copy()
    for one, other in (("saddr", "daddr"), ("sport", "dport")):
        turned[one], turned[other] = keys[other], keys[one]
    crossed = turned.copy()
    crossed["flags"] ^= 1
    return turned, crossed
