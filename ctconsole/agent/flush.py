"""Deleting conntrack entries: one, all that match a filter, or a whole map.

As Cilium's flush it takes the address translation of a connection along, which a recreated map
leaves alone (``purgeCtEntry`` in ``pkg/maps/ctmap/ctmap.go``): the plan says what that breaks.
"""

from __future__ import annotations

import errno
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.agent import natgc
from ctconsole.errors import BpfError, UsageError
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.gate import NOEXIST
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.catalogue import classify
from ctconsole.manager.knowledge import read_knowledge
from ctconsole.model.event import EventKind, Level
from ctconsole.model.layout import KEY4, Layout, guess_layout
from ctconsole.model.query import Query
from ctconsole.model.risk import Change, Reason, Risk, judge
from ctconsole.model.table import CtTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event, Scalar
    from ctconsole.model.spec import MapInfo

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Bools: TypeAlias = npt.NDArray[np.bool_]

BATCH = 64
"""Entries looked at again together: what is then deleted was looked at a millisecond before."""

_CANNOT_TAKE = frozenset({errno.EINVAL, errno.EOPNOTSUPP, 524})
"""What Linux before 5.14 answers to a deletion that hands out the value."""


@dataclass(frozen=True)
class FlushPlan:
    """What a deletion would take away.

    Attributes:
        path: the map's pin.
        info: the map.
        query: what is to be deleted; the empty query for everything.
        layout: how the entries were read.
        entries: entries in the map.
        keys: keys of those chosen, u1 of shape (n, key size).
        verdicts: what becomes of their connections, the worst first.
        mappings: NAT entries that go with them.
        warnings: sentences for whoever decides.
        hertz: see `CtTable`.
    """

    path: Path
    info: MapInfo
    query: Query
    layout: Layout
    entries: int
    keys: Bytes
    verdicts: tuple[tuple[Risk, Reason, int], ...]
    mappings: int
    warnings: tuple[str, ...]
    hertz: int = 0

    @property
    def chosen(self) -> int:
        """How many entries would be deleted."""
        return len(self.keys)

    def count(self, risk: Risk) -> int:
        """How many of them have this risk."""
        return sum(number for one, _, number in self.verdicts if one is risk)


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a deletion did.

    Attributes:
        path: the map's pin.
        deleted: entries deleted.
        kept: entries that no longer matched when they came up: traffic had changed them.
        vanished: entries that were gone already.
        mappings: NAT entries deleted with them.
        seconds: wall time.
        events: to be stored.
    """

    path: Path
    deleted: int
    kept: int
    vanished: int
    mappings: int
    seconds: float
    events: tuple[Event, ...]


def plan_flush(
    path: Path,
    query: Query | None = None,
    key: bytes | None = None,
    *,
    layout: Layout | None = None,
    now: Callable[[], int] = ktime,
    hertz: int = 0,
) -> FlushPlan:
    """Say what deleting entries would do; changes nothing.

    Args:
        path: pin of a conntrack map.
        query: which entries; None for all.
        key: only the entry with this key.
        layout: None goes by the entries.
        now: the clock of the entries' lifetimes.
        hertz: see `CtTable`.

    Raises:
        NoSuchMapError: nothing is pinned at ``path``.
        UsageError: it is no conntrack map, or it has no entry with that key.
    """
    wanted = query or Query.parse("")
    with BpfMap.open(path) as live:
        info = live.info
        entry = classify(path.name, info)
        if entry is None or not entry.is_ct or not entry.matches(info):
            raise UsageError(f"{path.name} is no conntrack map: its entries are not deleted here")
        dump = live.read()
    found = layout or guess_layout(dump.values).layout
    table = CtTable.from_raw(
        info,
        found,
        dump.keys,
        dump.values,
        now=now(),
        taken_at=time.time(),
        walk=dump.walk,
        hertz=hertz,
    )
    rows = wanted.rows(table)
    if key is not None:
        rows &= (dump.keys == np.frombuffer(_checked(key, info), np.uint8)).all(axis=1)
        if not rows.any():
            raise UsageError(f"{path.name} has no entry with the key {key.hex()}")
    chosen = table.take(rows)
    translated, mappings = _translated(path, chosen)
    knowledge = replace(read_knowledge(path.parent), translated=translated)
    plan = FlushPlan(
        path=path,
        info=info,
        query=wanted,
        layout=found,
        entries=len(table),
        keys=dump.keys[rows],
        verdicts=tuple(judge(chosen, Change.FLUSH, knowledge).reasons()),
        mappings=mappings,
        warnings=(),
        hertz=hertz,
    )
    return replace(plan, warnings=tuple(_warnings(plan, complete=dump.walk.complete)))


def flush(gate: Gate, plan: FlushPlan, *, now: Callable[[], int] = ktime) -> FlushReport:
    """Delete what was planned, each entry only if it still matches.

    Args:
        gate: the write gate.
        plan: of `plan_flush`.
        now: as there.

    Raises:
        UsageError: another map is pinned there than the one planned for; nothing was changed.
        BpfError: the map cannot be written.
    """
    started = time.perf_counter()
    with BpfMap.open(plan.path) as live, _nat_of(plan.path) or nullcontext() as nat:
        if live.info.id != plan.info.id:
            raise UsageError(
                f"{plan.path} is map {live.info.id} now, the plan was made for {plan.info.id}",
                hint="Plan again",
            )
        deletion = _Deletion(gate, live, nat, plan, now)
        for start in range(0, plan.chosen, BATCH):
            deletion.delete(plan.keys[start : start + BATCH])
    fields: dict[str, Scalar] = {
        "filter": plan.query.text,
        "deleted": deletion.deleted,
        "kept": deletion.kept,
        "nat_deleted": deletion.mappings,
        "id": plan.info.id,
    }
    event = map_event(
        EventKind.ENTRIES_DELETED,
        plan.path,
        f"Flushed {deletion.deleted} entries from {plan.path}",
        fields,
        Level.WARNING,
    )
    return FlushReport(
        path=plan.path,
        deleted=deletion.deleted,
        kept=deletion.kept,
        vanished=deletion.vanished,
        mappings=deletion.mappings,
        seconds=time.perf_counter() - started,
        events=(event,),
    )


class _Deletion:
    """One deletion under way, and what it has done so far."""

    def __init__(
        self,
        gate: Gate,
        live: BpfMap,
        nat: BpfMap | None,
        plan: FlushPlan,
        now: Callable[[], int],
    ) -> None:
        self._gate, self._live, self._nat, self._plan, self._now = gate, live, nat, plan, now
        self.deleted = self.kept = self.vanished = self.mappings = 0

    def delete(self, keys: Bytes) -> None:
        """Look at some entries again and delete those that still match."""
        present = [
            (key, value)
            for key in (row.tobytes() for row in keys)
            if (value := self._live.lookup(key)) is not None
        ]
        self.vanished += len(keys) - len(present)
        for (key, _), matches in zip(present, self._matches(present), strict=True):
            if not matches:
                self.kept += 1
            else:
                self._delete_one(key)

    def _delete_one(self, key: bytes) -> None:
        try:
            taken = self._gate.take(self._live, key)
        except BpfError as error:
            if error.errno not in _CANNOT_TAKE:
                raise
            taken = None
            self._gate.delete(self._live, key)
        # A packet may have come between the look and the deletion: what was taken out tells.
        if taken is not None and not self._matches([(key, taken)])[0]:
            self._put_back(key, taken)
            self.kept += 1
            return
        self.deleted += 1
        if self._nat is not None:
            self.mappings += natgc.delete_mapping(self._gate, self._nat, key)

    def _put_back(self, key: bytes, value: bytes) -> None:
        try:
            self._gate.update(self._live, key, value, NOEXIST)
        except BpfError as error:
            if error.errno != errno.EEXIST:
                raise

    def _matches(self, rows: list[tuple[bytes, bytes]]) -> Bools:
        """Which entries the query still chooses, as they are now."""
        if not (rows and self._plan.query):
            return np.ones(len(rows), np.bool_)
        info = self._plan.info
        keys = np.frombuffer(b"".join(key for key, _ in rows), np.uint8)
        values = np.frombuffer(b"".join(value for _, value in rows), np.uint8)
        table = CtTable.from_raw(
            info,
            self._plan.layout,
            keys.reshape(-1, info.key_size),
            values.reshape(-1, info.value_size),
            now=self._now(),
            hertz=self._plan.hertz,
        )
        return self._plan.query.rows(table)


def _nat_of(path: Path) -> BpfMap | None:
    """The NAT table that goes with a conntrack map: that of the global IPv4 ones."""
    global4 = path.name in {natgc.CT4, natgc.CT_ANY4}
    return natgc.open_nat(path.parent) if global4 else None


def _translated(path: Path, table: CtTable) -> tuple[Bools | None, int]:
    """Rows whose connection is translated, and how many NAT entries those have."""
    nat = _nat_of(path)
    if nat is None:
        return None, 0
    with nat:
        dump = nat.read()
    owners: npt.NDArray[Any] = natgc.ct_keys_of(
        np.ascontiguousarray(dump.keys).view(KEY4).reshape(-1), dump.values
    ).view("V14")
    mine = np.ascontiguousarray(table.keys).view("V14").reshape(-1)
    return np.isin(mine, owners), int(np.count_nonzero(np.isin(owners, mine)))


def _checked(key: bytes, info: MapInfo) -> bytes:
    if len(key) != info.key_size:
        raise UsageError(
            f"A key of {len(key)} bytes is none of {info.label}",
            hint=f"Give {info.key_size} bytes as hexadecimal",
        )
    return key


def _warnings(plan: FlushPlan, *, complete: bool) -> list[str]:
    found = []
    if not complete:
        found.append("The map was read in part: entries that were not seen are not deleted")
    breaks = plan.count(Risk.BREAKS)
    if breaks:
        found.append(f"{breaks} entries are of connections that break")
    if plan.mappings:
        found.append(
            f"{plan.mappings} NAT entries go with them, which recreating the map would leave"
        )
    return found
