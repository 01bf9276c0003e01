"""One sample of a conntrack map as frozen numpy columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.ct.ends import Ends
from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.knowledge import NOTHING_KNOWN, Translations
from ctconsole.model.ct.layout import (
    KEYS,
    LAYOUTS,
    TUPLE_F_IN,
    TUPLE_F_RELATED,
    TUPLE_F_SERVICE,
    VALUE_SIZE,
    CtFlag,
    IpProtocol,
    Layout,
    LayoutSpec,
)
from ctconsole.model.whose import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.knowledge import Knowledge
    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Bools: TypeAlias = npt.NDArray[np.bool_]
    Counts: TypeAlias = npt.NDArray[np.uint64]
    Records: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Walk:
    """How the reading of a map went.

    Attributes:
        complete: whether the end of the map was reached.
        duplicates: entries that came twice and were dropped.
        restarts: how often the walk started over because its key had vanished.
        seconds: wall time of the walk.
        note: one sentence for a person where something is to be said, else empty.
    """

    complete: bool
    duplicates: int
    restarts: int
    seconds: float
    note: str = ""


UNWALKED = Walk(complete=True, duplicates=0, restarts=0, seconds=0.0)
"""For tables that did not come from a live map."""


class Direction(IntEnum):
    """Which way an entry looks; RELATED is a property beside it (`CtTable.related`)."""

    OUT = 0
    IN = 1
    SERVICE = 2


class State(IntEnum):
    """The life of a connection as its entry tells it.

    OPENING has seen no packet but a SYN, ONE_WAY packets of one direction only, ESTABLISHED
    data both ways. HALF_CLOSED has a FIN of one direction: its lifetime stays that of an open
    connection, for hours (``ct_entry_alive``). CLOSING has both, or seconds to live; EXPIRED waits
    for the garbage collector.
    """

    OPENING = 0
    ONE_WAY = 1
    ESTABLISHED = 2
    HALF_CLOSED = 3
    CLOSING = 4
    EXPIRED = 5


_PART = 1 << 16
"""Rows of a part: what is made of them stays in the processor's cache."""

_SOON = 60
"""Seconds; a connection that both sides have closed has ten."""

_FLAGS = np.arange(256, dtype=np.uint8)
_DIRECTIONS = np.where(
    _FLAGS & TUPLE_F_SERVICE, np.uint8(Direction.SERVICE), _FLAGS & np.uint8(TUPLE_F_IN)
)
"""The `Direction` of an entry whose key has these flags."""


@dataclass(frozen=True)
class CtTable:
    """A frozen sample of one map; every property is one numpy array with a row per entry.

    Attributes:
        info: the map the sample is of.
        layout: how its values are laid out.
        keys: records of `KEY4` or `KEY6`.
        values: records of ``value_dtype(layout)``.
        now: the clock entries are stamped with when the sample was taken, in the units they
            are stamped in; 0 where unknown (dump files).
        taken_at: seconds since the Unix epoch; 0 where unknown.
        walk: how the reading went.
        hertz: the kernel's HZ where entries are stamped in jiffies / 256; 0 where they are
            stamped in seconds of CLOCK_MONOTONIC.
        knowledge: what is known beside the entries.
        at_least: whether ``now`` is a lower bound only: what expires before it is dead, and of
            the rest nobody knows.
        whose: the node it is of, where it is one of several or a file tells.
        counted: whether packets and bytes are counted; without accounting every counter is 0.
    """

    info: MapInfo
    layout: Layout
    keys: Records
    values: Records
    now: int
    taken_at: float
    walk: Walk = UNWALKED
    hertz: int = 0
    knowledge: Knowledge = NOTHING_KNOWN
    at_least: bool = False
    whose: Whose = NOBODY
    counted: bool = True

    @classmethod
    def from_raw(
        cls,
        info: MapInfo,
        layout: Layout,
        keys: Bytes,
        values: Bytes,
        *,
        now: int = 0,
        taken_at: float = 0.0,
        walk: Walk = UNWALKED,
        hertz: int = 0,
        knowledge: Knowledge = NOTHING_KNOWN,
        at_least: bool = False,
        whose: Whose = NOBODY,
    ) -> CtTable:
        """Look at raw bytes as a table, without copying contiguous arrays.

        Args:
            info: the map; its sizes are not consulted, the arrays' are.
            layout: how to read the values.
            keys: u1 of shape (n, 14) or (n, 38).
            values: u1 of shape (n, 56).
            now: see `CtTable`.
            taken_at: see `CtTable`.
            walk: see `CtTable`.
            hertz: see `CtTable`.
            knowledge: see `CtTable`.
            at_least: see `CtTable`.
            whose: see `CtTable`.

        Raises:
            FormatError: the sizes are not those of a conntrack map.
        """
        key = KEYS.get(keys.shape[1])
        if key is None or values.shape[1] != VALUE_SIZE:
            raise FormatError(
                f"{info.label} has keys of {keys.shape[1]} and values of {values.shape[1]} bytes, "
                f"a conntrack map has keys of 14 or 38 and values of {VALUE_SIZE}"
            )
        frozen_keys = np.ascontiguousarray(keys).view(key).reshape(-1)
        frozen_values = np.ascontiguousarray(values).view(LAYOUTS[layout].value).reshape(-1)
        for array in (frozen_keys, frozen_values):
            array.flags.writeable = False
        return cls(
            info,
            layout,
            frozen_keys,
            frozen_values,
            now,
            taken_at,
            walk,
            hertz,
            knowledge,
            at_least=at_least and now > 0,
            whose=whose,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def lives_as(self, other: CtTable) -> bool:
        """Whether another sample shares these very arrays, and the same entries are alive in it."""
        return (
            self.keys is other.keys
            and self.values is other.values
            and self.has_clock == other.has_clock
            and bool(np.array_equal(self.alive, other.alive))
        )

    def take(self, rows: Records | slice) -> CtTable:
        """The table of some rows: a slice, a boolean mask or row numbers."""
        return replace(self, keys=_some(self.keys, rows), values=_some(self.values, rows))

    def parts(self) -> Iterator[CtTable]:
        """The table in parts, none where it is empty; what they cache goes with them."""
        for start in range(0, len(self), _PART):
            yield self.take(slice(start, start + _PART))

    @property
    def spec(self) -> LayoutSpec:
        """The layout's rules."""
        return LAYOUTS[self.layout]

    @property
    def is_ipv6(self) -> bool:
        """Whether the addresses are of IPv6."""
        return bool(self.keys.dtype["daddr"].shape[0] == 16)  # noqa: PLR2004 - bytes of an IPv6 address

    @property
    def has_clock(self) -> bool:
        """Whether ``now`` is known, so that entries can be told alive from expired."""
        return self.now > 0 and not self.at_least

    @cached_property
    def _kinds(self) -> Bytes:
        """The keys' flags, apart from the keys for the same reason as `flags`."""
        return np.ascontiguousarray(self.keys["flags"])

    @cached_property
    def service(self) -> Bools:
        """SERVICE entries: a service address and the backend chosen for it."""
        return np.asarray((self._kinds & TUPLE_F_SERVICE) != 0)

    @cached_property
    def related(self) -> Bools:
        """Entries for ICMP errors about a tracked flow."""
        return np.asarray((self._kinds & TUPLE_F_RELATED) != 0)

    @cached_property
    def direction(self) -> Bytes:
        """`Direction` codes."""
        return _DIRECTIONS.take(self._kinds, mode="clip")

    @cached_property
    def alive(self) -> Bools:
        """Not known to be dead: lifetime not yet over, as far as the clock is known.

        Expired entries stay until the GC runs.
        """
        return np.asarray(self.values["lifetime"] > self.now)

    @cached_property
    def flags(self) -> npt.NDArray[np.uint16]:
        """Bits of `CtFlag`; apart from the values, because they are looked at again and again."""
        return np.ascontiguousarray(self.values["flags"])

    @cached_property
    def closing(self) -> Bools:
        """A FIN or RST was seen in at least one direction."""
        either = np.uint16(CtFlag.RX_CLOSING | CtFlag.TX_CLOSING)
        return np.asarray((self.flags & either) != 0)

    @cached_property
    def spoken(self) -> Bools:
        """A packet was seen that is no SYN."""
        return np.asarray((self.flags & np.uint16(CtFlag.SEEN_NON_SYN)) != 0)

    @cached_property
    def ending(self) -> Bools:
        """A FIN or RST was seen in both directions, or in one and its time is nearly over."""
        both = np.uint16(CtFlag.RX_CLOSING | CtFlag.TX_CLOSING)
        closed = (self.flags & both) == both
        if self.has_clock:
            closed |= self.closing & (self.remaining <= _SOON)
        return np.asarray(closed)

    @cached_property
    def tcp(self) -> Bools:
        """Entries of TCP."""
        return np.asarray(self.keys["nexthdr"] == IpProtocol.TCP)

    @cached_property
    def both_ways(self) -> Bools:
        """Packets were seen in both directions; SERVICE entries never see replies."""
        values = self.values
        return np.asarray((values["last_rx_report"] != 0) & (values["last_tx_report"] != 0))

    @cached_property
    def established(self) -> Bools:
        """Alive, not closing, and past the opening: data for TCP, an answer for the rest.

        A SERVICE entry sees the client's packets only, so for TCP these decide alone.
        """
        return self.established_by(self.both_ways)

    def established_by(self, both_ways: Bools) -> Bools:
        """`established`, where `both_ways` is at hand already."""
        opened = (both_ways & (self.spoken | ~self.tcp)) | (self.spoken & self.service & self.tcp)
        return np.asarray(self.alive & ~self.closing & opened)

    @cached_property
    def state(self) -> Bytes:
        """`State` codes."""
        codes = (self.spoken | ~self.tcp).view(np.uint8) * np.uint8(State.ONE_WAY)
        # Of several the highest code counts; to choose by masks takes ten times as long.
        for marked, code in (
            (self.established, State.ESTABLISHED),
            (self.closing, State.HALF_CLOSED),
            (self.ending, State.CLOSING),
            (~self.alive, State.EXPIRED),
        ):
            np.maximum(codes, marked.view(np.uint8) * np.uint8(code), out=codes)
        return codes

    @property
    def key_rows(self) -> Records:
        """The raw keys, one ``V14`` or ``V38`` element each."""
        return _opaque(self.keys)

    @property
    def value_rows(self) -> Records:
        """The raw values, one ``V56`` element each."""
        return _opaque(self.values)

    @property
    def translations(self) -> Translations:
        """The NAT entries of the family; none where nobody looked for them."""
        none = Translations(self.key_rows[:0], np.zeros(0, np.bool_))
        return (self.knowledge.translated or {}).get(self.keys.dtype.itemsize, none)

    @cached_property
    def translated(self) -> Bools:
        """Entries with an SNAT mapping; none where nobody looked for mappings."""
        return self._among(self.translations.hashes)

    @cached_property
    def moved(self) -> Bools:
        """Those of them that leave from another port than their own."""
        return self._among(self.translations.moved_hashes)

    def _among(self, hashes: npt.NDArray[np.uint64]) -> Bools:
        """Entries whose key has one of these hashes, which are in order."""
        if not len(hashes):
            return np.zeros(len(self), np.bool_)
        mine = hash_rows(self.keys.view(np.uint8).reshape(len(self), -1))
        place = np.minimum(np.searchsorted(hashes, mine), len(hashes) - 1)
        return np.asarray(hashes[place] == mine)

    @cached_property
    def remaining(self) -> npt.NDArray[np.int64]:
        """Seconds of life left, negative for expired entries; the stamp where there is no clock."""
        return self.seconds_from_now(self.values["lifetime"])

    def seconds_from_now(self, stamps: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Seconds from the sample to each stamp, negative for the past.

        Jiffies are turned into seconds one by one before they are subtracted, as Cilium does
        (``pkg/maps/timestamp``), so that the numbers are its numbers.
        """
        units = np.asarray(stamps, np.int64)
        if not self.has_clock:
            return units
        if not self.hertz:
            return np.asarray(units - self.now)
        return np.asarray((units << 8) // self.hertz - (self.now << 8) // self.hertz)

    def is_before(self, stamps: npt.NDArray[np.uint32], seconds: int) -> Bools:
        """Where `seconds_from_now` is less than this, without a number for each."""
        if not self.has_clock:
            limit = seconds
        elif not self.hertz:
            limit = self.now + seconds
        else:
            # The first stamp whose second is not before it.
            limit = -(-((self.now << 8) // self.hertz + seconds) * self.hertz // 256)
        return np.asarray(stamps < limit)

    @cached_property
    def idle(self) -> npt.NDArray[np.int64]:
        """Seconds since the newer report of the two directions; since boot where there is none.

        Reports come every 5 seconds at most (``__ct_update_timeout``).
        """
        newest = np.maximum(self.values["last_rx_report"], self.values["last_tx_report"])
        return -self.seconds_from_now(newest)

    @cached_property
    def packets(self) -> Counts:
        """Packets of both directions together, as far as the layout counts them."""
        return self._sum("packets")

    @cached_property
    def bytes(self) -> Counts:
        """Bytes of both directions together, as far as the layout counts them."""
        return self._sum("bytes")

    def _sum(self, what: str) -> Counts:
        """Add up the counters whose name ends with ``what``, where they count."""
        spec = self.spec
        total = np.zeros(len(self), np.uint64)
        for name in (name for name in spec.counters if name.endswith(what)):
            column = self.values[name]
            # A product: choosing by a mask takes three times as long.
            total += column if name in spec.service_counters else column * ~self.service
        return total

    @cached_property
    def backend(self) -> Counts:
        """Backend ids of SERVICE entries, 0 elsewhere."""
        return np.asarray((self.values["backend_id"] * self.service).astype(np.uint64))

    @cached_property
    def ends(self) -> Ends:
        """Source and destination of every connection (see `Ends`)."""
        return Ends(self.keys, self.service)


def _some(records: Records, rows: Records | slice) -> Records:
    """Some of the records; numpy copies bytes that mean nothing five times as fast."""
    return np.asarray(records.view(f"V{records.dtype.itemsize}")[rows].view(records.dtype))


def _opaque(records: Records) -> Records:
    return np.ascontiguousarray(records).view(f"V{records.dtype.itemsize}").reshape(-1)


def joined(parts: Sequence[CtTable]) -> CtTable:
    """Parts of one table as one, at least one of them."""
    if len(parts) == 1:
        return parts[0]
    last = parts[-1]
    # As bytes: joined as records they would be laid out anew, in the machine's own byte order.
    keys = np.concatenate([part.key_rows for part in parts]).view(last.keys.dtype)
    values = np.concatenate([part.value_rows for part in parts]).view(last.values.dtype)
    return replace(last, keys=keys, values=values)
