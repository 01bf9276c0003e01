"""Deleting conntrack entries: one, all that match a filter, or a whole map.

As Cilium's flush it takes the address translation of a connection along, which a recreated map
leaves alone (``purgeCtEntry`` in ``pkg/maps/ctmap/ctmap.go``): the plan says what that breaks.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.agent import natgc
from ctconsole.errors import BpfError, UsageError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ct_now
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.changing import changing
from ctconsole.manager.knowledge import nat_translations, open_nat
from ctconsole.manager.revived import Revived
from ctconsole.model.catalogue import classify
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.outcomes import Change, Risk
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.reading import PLAIN
from ctconsole.model.ct.related import in_a_line
from ctconsole.model.ct.risk import judge
from ctconsole.model.ct.table import CtTable
from ctconsole.model.event import EventKind, Level
from ctconsole.node.flush_plan import FlushPlan, FlushProgress, FlushReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.event import Event, Scalar
    from ctconsole.model.spec import MapInfo

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Bools: TypeAlias = npt.NDArray[np.bool_]

BATCH = 64
"""Entries looked at again together: what is then deleted was looked at a millisecond before."""


def plan_flush(
    path: Path,
    query: Query | None = None,
    key: bytes | None = None,
    *,
    reading: Reading = PLAIN,
) -> FlushPlan:
    """Say what deleting entries would do; changes nothing.

    Args:
        path: pin of a conntrack map.
        query: which entries; None for all.
        key: only the entry with this key.
        reading: how the entries are read and judged; the NAT tables are looked at here.

    Raises:
        GoneError: nothing is pinned at ``path``.
        UsageError: it is no conntrack map, or it has no entry with that key.
    """
    wanted = query or Query.parse("")
    with BpfMap.open(path) as live:
        info = live.info
        entry = classify(path.name, info)
        if entry is None or not entry.is_ct or not entry.matches(info):
            raise UsageError(f"{path.name} is no conntrack map: its entries are not deleted here")
        knowledge = replace(reading.knowledge, translated=_translated(path, info))
        table = live.read_conntrack(replace(reading, knowledge=knowledge)).table()
    rows = wanted.rows(table)
    if key is not None:
        rows &= table.key_rows == np.array([_checked(key, info)], f"V{info.key_size}")
        if not rows.any():
            raise UsageError(f"{path.name} has no entry with the key {key.hex()}")
    chosen = table.take(rows)
    plan = FlushPlan(
        path=path,
        info=info,
        query=wanted,
        reading=replace(reading, layout=table.layout),
        entries=len(table),
        keys=chosen.key_rows.view(np.uint8).reshape(-1, info.key_size),
        verdicts=tuple(judge(chosen, Change.FLUSH).reasons()),
        mappings=int(np.count_nonzero(np.isin(chosen.translations.owners, chosen.key_rows))),
        warnings=(),
        single=key is not None,
        connection="" if key is None else in_a_line(chosen),
    )
    return replace(plan, warnings=tuple(_warnings(plan, complete=table.walk.complete)))


def flush(
    gate: Gate,
    plan: FlushPlan,
    tell: Callable[[FlushProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> FlushReport:
    """Delete what was planned, each entry only if it still matches.

    What is deleted cannot be brought back: a deletion that is cancelled, or fails on its way, ends
    where it is, and the report says what was deleted and what stays.

    Args:
        gate: the write gate.
        plan: of `plan_flush`.
        tell: hears how far it is, after each `BATCH`; must return at once.
        is_cancelled: asked before each `BATCH`; True ends the deletion.

    Returns:
        What was done; see `FlushReport.check`.

    Raises:
        UsageError: another map is pinned there than the one planned for; nothing was changed.
        BusyError: somebody else changes maps; nothing was changed.
        BpfError: the map cannot be written; nothing was changed.
    """
    started = time.perf_counter()
    with (
        changing(plan.path.parent, f"deletes entries of {plan.path.name}"),
        BpfMap.open(plan.path) as live,
        _nat_of(plan.path, plan.info) or nullcontext() as nat,
    ):
        if live.info.id != plan.info.id:
            raise UsageError(
                f"{plan.path} is map {live.info.id} now, the plan was made for {plan.info.id}",
                hint="Plan again",
            )
        with Revived(gate, live, plan.entries) as back:
            deletion = _Deletion(gate, live, nat, plan, back)
            deletion.run(tell, is_cancelled)
            deletion.finish()
    return FlushReport(
        path=plan.path,
        chosen=plan.chosen,
        deleted=deletion.deleted,
        kept=deletion.kept,
        vanished=deletion.vanished,
        mappings=deletion.mappings,
        seconds=time.perf_counter() - started,
        events=(_event(plan, deletion),),
        left=plan.chosen - deletion.done,
        stopped=deletion.stopped,
    )


def _event(plan: FlushPlan, deletion: _Deletion) -> Event:
    fields: dict[str, Scalar] = {
        "filter": plan.query.meaning,
        "deleted": deletion.deleted,
        "kept": deletion.kept,
        "nat_deleted": deletion.mappings,
        "left": plan.chosen - deletion.done,
        "id": plan.info.id,
    }
    of = f" of {plan.chosen}" if deletion.stopped else ""
    why = f": {deletion.stopped}" if deletion.stopped else ""
    return map_event(
        EventKind.ENTRIES_DELETED,
        plan.path,
        f"Flushed {deletion.deleted}{of} entries from {plan.path}{why}",
        fields,
        Level.WARNING,
    )


class _Deletion:
    """One deletion under way, and what it has done so far."""

    def __init__(
        self, gate: Gate, live: BpfMap, nat: BpfMap | None, plan: FlushPlan, back: Revived
    ) -> None:
        self._gate, self._live, self._nat, self._plan, self._back = gate, live, nat, plan, back
        self.deleted = self.kept = self.vanished = self.mappings = 0
        self.stopped = ""

    @property
    def done(self) -> int:
        """How many entries it came to."""
        return self.deleted + self.kept + self.vanished

    def run(self, tell: Callable[[FlushProgress], None], is_cancelled: Callable[[], bool]) -> None:
        """Delete what was planned, or as much of it as can be.

        Raises:
            BpfError: the map cannot be written; nothing was deleted.
        """
        plan = self._plan
        for start in range(0, plan.chosen, BATCH):
            if is_cancelled():
                self.stopped = "it was cancelled"
                return
            try:
                self.delete(plan.keys[start : start + BATCH])
            except BpfError as error:
                if not self.deleted:
                    raise
                self.stopped = str(error)
                return
            tell(FlushProgress(plan.path.name, self.done, plan.chosen))

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
            taken = mapwrite.take(self._gate, self._live, key)
        except BpfError as error:
            if error.errno not in mapwrite.CANNOT_TAKE:
                raise
            taken = None
            mapwrite.delete(self._gate, self._live, key)
        # A packet may have come between the look and the deletion: what was taken out tells.
        if taken is not None and not self._matches([(key, taken)])[0]:
            self._back.put_back(key, taken)
            self.kept += 1
            return
        self.deleted += 1
        self._back.deleted += 1
        if self._nat is not None:
            self.mappings += natgc.delete_mapping(self._gate, self._nat, key)

    def finish(self) -> None:
        """Put back what had no room while the deletion went on."""
        lost = self._back.finish()
        self.kept -= lost
        self.deleted += lost

    def _matches(self, rows: list[tuple[bytes, bytes]]) -> Bools:
        """Which entries the query still chooses, as they are now."""
        if not (rows and self._plan.query):
            return np.ones(len(rows), np.bool_)
        info, reading = self._plan.info, self._plan.reading
        keys = np.frombuffer(b"".join(key for key, _ in rows), np.uint8)
        values = np.frombuffer(b"".join(value for _, value in rows), np.uint8)
        table = CtTable.from_raw(
            info,
            reading.layout or Layout.V1_9,
            keys.reshape(-1, info.key_size),
            values.reshape(-1, info.value_size),
            now=ct_now(reading.clock),
            hertz=reading.clock.stamp_hertz,
            knowledge=reading.knowledge,
        )
        return self._plan.query.rows(table)


def _nat_of(path: Path, info: MapInfo) -> BpfMap | None:
    """The NAT table that goes with a conntrack map; those of single endpoints have none."""
    return open_nat(path.parent, info.key_size) if path.name.endswith("_global") else None


def _translated(path: Path, info: MapInfo) -> Mapping[int, Translations]:
    """Whose translations go with the entries of a map (see `Knowledge.translated`)."""
    nat = _nat_of(path, info)
    if nat is None:
        return {}
    with nat:
        return {info.key_size: nat_translations(nat)}


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
