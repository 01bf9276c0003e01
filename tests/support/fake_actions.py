"""What can be done to a node that exists only in memory (see `tests.support.fakes`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.manager.recreate import RecreatePlan, RecreateReport
from ctconsole.manager.resize.pace import Estimate
from ctconsole.manager.resize.plan import MapPlan, ResizePlan
from ctconsole.manager.resize.report import MapReport, ResizeReport
from ctconsole.manager.resize.undo import Before, Undoable
from ctconsole.manager.restart import RestartPlan, RestartReport
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.outcomes import Change, Reason, Risk
from ctconsole.model.ct.reading import PLAIN, Reading
from ctconsole.model.ct.related import in_a_line
from ctconsole.model.ct.risk import judge
from ctconsole.model.ct.stats import stats_of
from ctconsole.model.memory import map_memory
from ctconsole.model.spec import differences, spec_of
from ctconsole.node.flush_plan import FlushPlan, FlushReport
from ctconsole.node.prestage.plan import PrestagePlan
from tests.support.ct_tables import elsewhere
from tests.support.fakes import CPUS, EPOCH, SERVICES_KNOWN, FakeSource

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import PurePath

    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan, Report


@dataclass
class FakeActions:
    """`Actions` upon a `FakeSource`; keeps what it was asked to do.

    Attributes:
        source: what is changed.
        done: paths and sizes of the maps recreated, and the changes of restarts.
        error: raised by every action while it is set.
        unrecorded: why deeds are not in the history, empty where they are.
        held: while it is there and not set, a resize goes on moving programs, and a deletion
            deleting, until cancelled.
        undo: what `plan_undo` restores: the last resize that was done.
        foreign: what an agent that is not ours needs beside the resize, None where it is ours.
        guarding: what the guard does; empty while it is off.
    """

    source: FakeSource
    done: list[object] = field(default_factory=list)
    error: CtconsoleError | None = None
    unrecorded: str = ""
    held: threading.Event | None = None
    undo: Undoable | None = None
    foreign: PrestagePlan | None = None
    guarding: str = ""

    def guard(self, folder: PurePath, *, on: bool) -> str:
        if self.error:
            raise self.error
        self.done.append(("guard", folder, on))
        self.guarding = "guard on" if on else ""
        return f"the guard is {'on' if on else 'off'}"

    def plan_resize(self, path: PurePath, max_entries: int) -> ResizePlan | PrestagePlan:
        plan = self._plan_resize(path, max_entries)
        return replace(self.foreign, resize=plan) if self.foreign else plan

    def _plan_resize(self, path: PurePath, max_entries: int) -> ResizePlan:
        row = self.source.rows[path]
        entries = row.entries or 0
        wish = spec_of(row.info, max_entries=max_entries)
        missing = max(0, entries - max_entries)
        kept = Counter({(Risk.UNTOUCHED, Reason.NONE): entries - missing})
        if missing:
            kept[Risk.BREAKS, Reason.RANDOM_BACKEND] = missing
        verdicts = {
            Change.RESIZE: tuple((*what, number) for what, number in reversed(kept.items())),
            Change.RECREATE: ((Risk.COMES_BACK, Reason.ONE_BACKEND, entries),),
            Change.FLUSH: ((Risk.COMES_BACK, Reason.ONE_BACKEND, entries),),
        }
        alive, closing = entries * 9 // 10, entries // 100
        table = self._whole(path)
        if table is not None:
            # Where the table has all the entries that its row tells, the plan tells the same.
            kinds = stats_of(table).kinds
            alive, closing = kinds.alive, kinds.closing
            for way in (Change.RECREATE, Change.FLUSH):
                verdicts[way] = tuple(judge(table, way).reasons())
        one = MapPlan(
            path=Path(path),
            info=row.info,
            wish=wish,
            layout=Layout.V1_9,
            differences=differences(row.info, wish),
            entries=entries,
            alive=alive,
            expired=entries - alive,
            closing=closing,
            room=max_entries,
            growth=0,
            smallest=entries,
            dropped={"alive": missing} if missing else {},
            memory_old=row.info.memlock or 0,
            memory_new=map_memory(wish, CPUS),
            memory_passes=7 << 20,
            forecasts=verdicts,
        )
        return ResizePlan(
            maps=(one,),
            memory_free=6_550_000_000,
            estimate=Estimate(0.9, "as the last 3 resizes on this node took", 3),
            users=(322, 323),
            clock=PLAIN.clock,
        )

    def _whole(self, path: PurePath) -> CtTable | None:
        """A conntrack table that has as many entries as its row tells; None for a part of one."""
        row = self.source.rows[path]
        table = self.source.table(path) if row.is_conntrack else None
        return table if table is not None and len(table) == row.entries else None

    def planned_tables(self, plan: Plan) -> Iterable[tuple[CtTable, int]]:
        if self.error:
            raise self.error
        if isinstance(plan, PrestagePlan):
            plan = plan.resize
        assert isinstance(plan, ResizePlan)
        # A table that has a part of the entries its row tells drops a part, too.
        return [
            (
                self.source.table(one.path),
                0 if not one.dropped else sum(one.dropped.values()) if self._whole(one.path) else 7,
            )
            for one in plan.maps
        ]

    def plan_undo(self, path: PurePath) -> ResizePlan:
        if self.undo is None or not self.undo.has(Path(path)):
            raise UsageError(f"{path.name} was not resized of late: there is nothing to undo")
        plan = self._plan_resize(path, self.undo.maps[0].max_entries)
        return replace(plan, undoes=True)

    def resize(
        self, plan: ResizePlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> ResizeReport:
        if self.error:
            raise self.error
        one = plan.maps[0]
        tell("switch: 1 of 3 endpoints, loading")
        while self.held and not self.held.wait(0.01):
            if is_cancelled():
                raise CtconsoleError(f"{one.path.name} was not resized: it was cancelled")
        self.done.append(("resize", one.path, one.wish.max_entries))
        row = self.source.rows[one.path]
        new_id = max(row.info.id for row in self.source.rows.values()) + 1
        info = replace(row.info, id=new_id, max_entries=one.wish.max_entries)
        self.source.rows[one.path] = replace(row, info=info)
        before = Before(str(one.path), new_id, row.info.max_entries, row.info.flags)
        self.undo = Undoable("boot", EPOCH + 3600, (before,))
        did = MapReport(
            path=one.path,
            old_id=row.info.id,
            new_id=new_id,
            pinned_id=new_id,
            old_entries=row.info.max_entries,
            new_entries=one.wish.max_entries,
            carried=row.entries or 0,
        )
        return ResizeReport((did,), {"stage": 0.2, "switch": 0.6}, seconds=0.9, undo=self.undo)

    def plan_recreate(self, path: PurePath, max_entries: int) -> RecreatePlan:
        row = self.source.rows[path]
        if not row.info.type.is_hash:
            raise UsageError(f"{path} cannot be recreated")
        wish = spec_of(row.info, max_entries=max_entries)
        entries = row.entries or 0
        verdicts: tuple[tuple[Risk, Reason, int], ...] = ()
        alive, established = entries * 9 // 10, entries * 8 // 10
        table = self._whole(path)
        if table is not None:
            kinds = stats_of(table).kinds
            alive, established = kinds.alive, kinds.established
        if row.is_conntrack:
            verdicts = tuple(judge(self.source.table(path), Change.RECREATE).reasons())
        return RecreatePlan(
            path=Path(path),
            info=row.info,
            wish=wish,
            differences=differences(row.info, wish),
            entries=entries,
            alive=alive if row.is_conntrack else None,
            established=established if row.is_conntrack else None,
            memory_old=row.info.memlock or 0,
            memory_new=map_memory(wish, CPUS),
            memory_free=6_550_000_000,
            users=(322, 323),
            warnings=(f"2 programs keep using map {row.info.id} until they are replaced",),
            verdicts=verdicts,
        )

    def recreate(self, plan: RecreatePlan) -> RecreateReport:
        if self.error:
            raise self.error
        self.done.append((plan.path, plan.wish.max_entries))
        row = self.source.rows[plan.path]
        new_id = max(row.info.id for row in self.source.rows.values()) + 1
        info = replace(row.info, id=new_id, max_entries=plan.wish.max_entries)
        self.source.rows[plan.path] = replace(row, info=info, entries=0)
        self.source.tables.pop(plan.path, None)
        return RecreateReport(
            path=plan.path,
            old_id=row.info.id,
            new_id=new_id,
            pinned_id=new_id,
            max_entries=plan.wish.max_entries,
            lost=row.entries or 0,
            old_users=(),
            failure="",
            events=(),
            seconds=0.41,
            unrecorded=self.unrecorded,
        )

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> FlushPlan:
        table = self.source.table(path)
        rows = query.rows(table)
        raw = np.ascontiguousarray(table.keys).view(np.uint8).reshape(len(table), -1)
        if key is not None:
            rows &= (raw == np.frombuffer(key, np.uint8)).all(axis=1)
        chosen = table.take(rows)
        owners = {chosen.keys.dtype.itemsize: elsewhere(chosen.key_rows[::40])}
        chosen = replace(chosen, knowledge=replace(SERVICES_KNOWN, translated=owners))
        return FlushPlan(
            path=Path(path),
            info=table.info,
            query=query,
            reading=Reading(layout=table.layout),
            entries=len(table),
            keys=raw[rows],
            verdicts=tuple(judge(chosen, Change.FLUSH).reasons()),
            mappings=2 * int(chosen.translated.sum()),
            warnings=(),
            single=key is not None,
            connection="" if key is None else in_a_line(chosen),
        )

    def flush(
        self, plan: FlushPlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> FlushReport:
        if self.error:
            raise self.error
        tell(f"{plan.path.name}: 64 of {plan.chosen:,} entries done")
        while self.held and not self.held.wait(0.01):
            if is_cancelled():
                done = f"{plan.path.name}: 64 of {plan.chosen:,} entries deleted"
                raise CtconsoleError(
                    f"{done}; the other {plan.chosen - 64:,} stay: it was cancelled"
                )
        self.done.append(("flush", plan.path, plan.query.text, plan.chosen))
        table = self.source.table(plan.path)
        going = {row.tobytes() for row in plan.keys}
        keep = np.array([key.tobytes() not in going for key in table.keys], np.bool_)
        self.source.tables[plan.path] = table.take(keep)
        return FlushReport(
            path=plan.path,
            chosen=plan.chosen,
            deleted=plan.chosen,
            kept=0,
            vanished=0,
            mappings=plan.mappings,
            seconds=0.02,
            events=(),
            unrecorded=self.unrecorded,
        )

    def agent_sizes(self) -> Mapping[str, int]:
        if self.error:
            raise self.error
        return {"bpf-ct-global-tcp-max": 524288, "bpf-ct-global-any-max": 262144}

    def plan_restart(self, changes: Mapping[str, str]) -> RestartPlan:
        if self.error:
            raise self.error
        kinds = {"bpf-ct-global-tcp-max": "cilium_ct4_", "bpf-ct-global-any-max": "cilium_ct_any4_"}
        maps = [
            self.plan_recreate(path, int(size))
            for option, size in changes.items()
            for path in self.source.rows
            if path.name.startswith(kinds[option])
        ]
        return RestartPlan(Path("/run/ctconsole/agent"), changes, tuple(maps))

    def carry_out(
        self,
        plan: Plan,
        tell: Callable[[str], None] = lambda _: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Report:
        if isinstance(plan, PrestagePlan):
            return self.resize(plan.resize, tell, is_cancelled)
        if isinstance(plan, ResizePlan):
            return self.resize(plan, tell, is_cancelled)
        if isinstance(plan, RecreatePlan):
            return self.recreate(plan)
        if isinstance(plan, FlushPlan):
            return self.flush(plan, tell, is_cancelled)
        assert isinstance(plan, RestartPlan)
        if self.error:
            raise self.error
        self.done.append(dict(plan.changes))
        renewed = {one.path.name: one.info.id + 100 for one in plan.maps}
        return RestartReport(2115, 1.3, renewed, known=True)
