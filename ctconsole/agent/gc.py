"""Conntrack garbage collection: delete entries whose lifetime is over (``pkg/maps/ctmap``).

The table is read in bulk, which takes long enough for a connection to send a packet and live on.
So the lifetime is read again right before each deletion, and what the deletion really took out
is looked at once more: a revived connection keeps its entry.
"""

from __future__ import annotations

import struct
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.agent import natgc
from ctconsole.errors import BpfError, FormatError, GoneError, NoMapError
from ctconsole.happening import happened
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.knowledge import open_nat
from ctconsole.manager.revived import Revived
from ctconsole.model.ct.layout import KEY4, LIFETIME_AT, lifetimes
from ctconsole.model.event import Event, EventKind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ctconsole.agent.evictions import Evictions
    from ctconsole.agent.natgc import NatGc
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Scalar

STARTING_INTERVAL = 300.0
MIN_INTERVAL = 10.0
MAX_LRU_INTERVAL = 12 * 3600.0
"""``ConntrackGCStartingInterval``, ``MinInterval``, ``MaxLRUInterval``, in seconds."""

MIN_SIGNAL_GAP = 1.0
"""Seconds between two passes at least that full tables call for."""

BATCH = 256
"""Deletions between two looks at whether to stop."""

_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class MapGc:
    """What a pass did to one map.

    Attributes:
        path: its pin.
        max_entries: its capacity.
        alive: entries kept.
        deleted: entries deleted.
        revived: entries that looked expired when read and were alive when they came up.
        complete: whether the whole map was seen.
        seconds: wall time.
        nat_deleted: NAT entries deleted together with entries of this map.
        evicted: entries the kernel has evicted since the pass before, estimated; None where
            that cannot be told (see `Evictions`).
    """

    path: Path
    max_entries: int
    alive: int
    deleted: int
    revived: int
    complete: bool
    seconds: float
    nat_deleted: int = 0
    evicted: int | None = None


@dataclass(frozen=True, slots=True)
class GcReport:
    """One pass over all conntrack maps; the numbers are sums.

    Attributes:
        maps: each map.
        alive: entries kept.
        deleted: entries deleted.
        revived: see `MapGc`.
        delete_ratio: the largest share of a map's capacity that was deleted, 0 to 1.
        seconds: wall time.
        time: when the pass ended, seconds since the Unix epoch.
        nat: what became of the NAT table; None where there is none.
        passed_over: a sentence of each pin that is no map of its name.
    """

    maps: tuple[MapGc, ...]
    alive: int
    deleted: int
    revived: int
    delete_ratio: float
    seconds: float
    time: float
    nat: NatGc | None = None
    passed_over: tuple[str, ...] = ()

    @property
    def evicted(self) -> int | None:
        """Entries evicted since the pass before, of all maps whose number can be told."""
        known = [one.evicted for one in self.maps if one.evicted is not None]
        return sum(known) if known else None

    def as_fields(self) -> dict[str, Scalar]:
        """The pass in numbers, for events and for whoever asks the agent."""
        fields: dict[str, Scalar] = {
            "alive": self.alive,
            "deleted": self.deleted,
            "revived": self.revived,
            "duration": round(self.seconds, 6),
            "evicted_estimate": self.evicted,
        }
        if self.nat is not None:
            fields |= {
                "nat_alive": self.nat.alive,
                "nat_deleted": self.nat.deleted,
                "nat_orphans": self.nat.orphans,
                "nat_purged": self.nat.purged,
            }
        return fields

    def event(self, interval: float, reason: str = "interval") -> Event:
        """The pass as an event.

        Args:
            interval: how long until the next one, in seconds.
            reason: why now: ``interval``, ``signal`` or ``request``.
        """
        complete = all(one.complete for one in self.maps)
        fields = {**self.as_fields(), "interval": interval, "reason": reason}
        if self.passed_over:
            fields["passed_over"] = "; ".join(self.passed_over)
        return happened(
            EventKind.GC_PASS,
            "agent",
            ",".join(one.path.name for one in self.maps),
            "completed ctmap gc pass" if complete else "Garbage collection CT map failed to finish",
            fields,
            level=Level.INFO if complete and not self.passed_over else Level.WARNING,
            at=self.time,
        )


def collect(
    gate: Gate,
    paths: Iterable[Path],
    stopped: Callable[[], bool] = lambda: False,
    *,
    evictions: Evictions | None = None,
    created: Mapping[tuple[int, bool], int] | None = None,
    nat_rules: natgc.NatRules | None = None,
) -> GcReport:
    """Delete the expired entries of conntrack maps, and with them their NAT entries.

    Args:
        gate: the write gate.
        paths: the maps' pins; one that is not there (any more), or is no map, is passed over.
            The NAT table is looked for beside the first.
        stopped: asked now and then; ends the pass early.
        evictions: what is known from the passes before.
        created: connections given an entry since the start, see `Evictions.estimate`.
        nat_rules: which NAT entries without a connection are deleted; None for no one.

    Raises:
        BpfError: a map cannot be read or written.
    """
    started = time.perf_counter()
    maps = []
    paths = list(paths)
    passed_over: list[str] = []
    nat = _nat_beside(paths[0], passed_over) if paths else None
    with nat or nullcontext():
        for path in paths:
            # Counted before it is read: an entry that comes in between is not taken for evicted.
            counted = dict(created) if created is not None else None
            try:
                with BpfMap.open(path) as live:
                    done = _collect(gate, live, path, stopped, nat)
            except GoneError:
                continue
            except (NoMapError, FormatError) as error:
                passed_over.append(str(error))
                continue
            if evictions:
                found = done.alive + done.deleted
                gone = evictions.estimate(path.name, counted, found, done.alive)
                done = replace(done, evicted=gone)
            maps.append(done)
    return GcReport(
        maps=tuple(maps),
        alive=sum(one.alive for one in maps),
        deleted=sum(one.deleted for one in maps),
        revived=sum(one.revived for one in maps),
        delete_ratio=max((one.deleted / one.max_entries for one in maps), default=0.0),
        seconds=time.perf_counter() - started,
        time=time.time(),
        nat=natgc.collect(gate, paths[0].parent, sum(one.nat_deleted for one in maps), nat_rules)
        if nat and not stopped()
        else None,
        passed_over=tuple(passed_over),
    )


def _nat_beside(path: Path, passed_over: list[str]) -> BpfMap | None:
    """The NAT table in the folder of a conntrack map; without it only its entries stay."""
    try:
        return open_nat(path.parent, KEY4.itemsize)
    except (NoMapError, FormatError) as error:
        passed_over.append(str(error))
        return None


def _collect(
    gate: Gate, live: BpfMap, path: Path, stopped: Callable[[], bool], nat: BpfMap | None
) -> MapGc:
    started = time.perf_counter()
    dump = live.read()
    # Cilium's filter: an entry in its last second is kept (`doGC4`: Lifetime < Time).
    expired = np.flatnonzero(lifetimes(dump.values) < ktime())
    deleted = revived = seen = nat_deleted = 0
    if live.info.key_size != KEY4.itemsize:
        nat = None
    with Revived(gate, live, len(dump.keys)) as back:
        for start in range(0, len(expired), BATCH):
            if stopped():
                break
            for row in expired[start : start + BATCH]:
                key = dump.keys[row].tobytes()
                gone = delete_expired(gate, live, key, back)
                if gone and nat:
                    nat_deleted += natgc.delete_mapping(gate, nat, key)
                deleted += gone
                back.deleted += gone
                revived += not gone
                seen += 1
        lost = back.finish()
    return MapGc(
        path=path,
        max_entries=live.info.max_entries,
        alive=len(dump.keys) - deleted - lost,
        deleted=deleted + lost,
        revived=revived - lost,
        complete=dump.walk.complete and seen == len(expired),
        seconds=time.perf_counter() - started,
        nat_deleted=nat_deleted,
    )


def delete_expired(gate: Gate, live: BpfMap, key: bytes, back: Revived) -> bool:
    """Delete one entry if it is still expired; whether it is gone.

    Between the look and the deletion a packet may revive the entry. What was taken out tells;
    ``back`` gets it then, which puts it back unless the next packet has already made a new one.
    """
    value = live.lookup(key)
    if value is None:
        return True
    if not _expired(value):
        return False
    try:
        taken = mapwrite.take(gate, live, key)
    except BpfError as error:
        if error.errno not in mapwrite.CANNOT_TAKE:
            raise
        # The window of some microseconds stays open on such a kernel.
        mapwrite.delete(gate, live, key)
        return True
    if taken is None or _expired(taken):
        return True
    back.put_back(key, taken)
    return False


MUCH_DELETED = 0.25
LITTLE_DELETED = 0.05
"""Shares of a map's capacity between which the wait stays (``calculateInterval``)."""


def calculate_interval(previous: float, delete_ratio: float) -> float:
    """``calculateInterval``: how long to wait after a pass, in whole seconds.

    Much deleted (over a quarter of a map's capacity) shortens the wait, little (under a
    twentieth) lengthens it, nothing at all leaves it.

    Args:
        previous: the wait before this pass, in seconds.
        delete_ratio: see `GcReport`.
    """
    if delete_ratio == 0.0:
        return previous
    if delete_ratio > MUCH_DELETED:
        shorter = round(previous * (1.0 - min(delete_ratio, 0.9)))
        return float(max(shorter, MIN_INTERVAL))
    if delete_ratio < LITTLE_DELETED:
        return float(min(round(previous * 1.5), MAX_LRU_INTERVAL))
    return previous


def next_interval(
    previous: float, delete_ratio: float, *, fixed: float = 0.0, longest: float = 0.0
) -> float:
    """The wait after a pass: ``conntrack-gc-interval`` if set, else adapted; seconds.

    ``longest`` is ``conntrack-gc-max-interval``, 0 for none.
    """
    if fixed:
        return fixed
    adapted = calculate_interval(previous, delete_ratio)
    return min(adapted, longest) if longest else adapted


def _expired(value: bytes) -> bool:
    """Whether one value's lifetime is over now."""
    lifetime: int = _U32.unpack_from(value, LIFETIME_AT)[0]
    return lifetime < ktime()
