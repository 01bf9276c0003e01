"""The stages of a resize, and the way back from each of them.

::

    stage    new maps are made and pinned beside the old ones
    seed     every entry is carried, and the ones used last are marked as used
    switch   the new maps take the pins, the programs are moved; what comes meanwhile is carried
    settle   no program uses an old map any more: what it counted is moved, until none is left
    verify   both maps are read and compared
    release  the old maps are let go of

Until the pins are taken nothing has happened to anybody. From then on both maps have every
entry, so that programs may use either; what one side counts is moved to the other at the end,
whichever way that is.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BpfError, CtconsoleError, UsageError
from ctconsole.kernel.clock import boot_id, ct_now
from ctconsole.manager.bpfmap import map_event, pinned_id
from ctconsole.manager.resize.back import WayBack
from ctconsole.manager.resize.journal import Entry, Moving, Stage
from ctconsole.manager.resize.pace import Past
from ctconsole.manager.resize.report import MapReport, ResizeReport
from ctconsole.manager.resize.sides import Side
from ctconsole.manager.resize.stages import StageTimes
from ctconsole.manager.resize.undo import Undos, undoable
from ctconsole.manager.resize.waiting import Waiting
from ctconsole.manager.resize.watching import (
    UNWATCHED,
    CancelledError,
    Options,
    ResizeProgress,
    Watching,
)
from ctconsole.manager.running import Running, watch
from ctconsole.manager.users import left_on, users
from ctconsole.model.event import EventKind, Level
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Journal
    from ctconsole.manager.resize.plan import MapPlan, ResizePlan
    from ctconsole.manager.resize.undo import Undoable
    from ctconsole.manager.resize.verify import Verified
    from ctconsole.manager.switch import Switch, Ticket
    from ctconsole.model.event import Event

_PAUSE: Final = 0.02
"""Seconds between two passes for what has come, at least."""

_PAUSES: Final = 3
"""How many times as long the pause is as the CPU took for the pass before it: an entry then waits
a little longer for its copy, and whoever makes entries has the CPU meanwhile."""


LATER: Final = (Stage.SWITCH, Stage.SETTLE, Stage.RELEASE, Stage.ROLL_BACK)
"""What comes when the new maps are filled, one way or the other."""


class NotVerifiedError(CtconsoleError):
    """The new map has not everything that it should have."""


def resize(
    gate: Gate,
    plan: ResizePlan,
    mover: Switch | None,
    journal: Journal,
    *,
    options: Options | None = None,
    watching: Watching = UNWATCHED,
    keeping: bool = False,
) -> ResizeReport:
    """Give maps another capacity with everything that is in them.

    Whatever fails, the old maps are pinned again with all that has come since, and the report
    says so; only where the programs' owner cannot be made to go back do the new ones stay, and
    the journal with them, so that the next start ends it.

    To be called with the lock of whoever changes maps.

    Args:
        gate: the write gate.
        plan: of `plan_resize`.
        mover: moves the programs to the maps pinned now; None where no program uses them.
        journal: of the bpffs.
        options: what the agent's next start has to find.
        watching: who follows it and may end it.
        keeping: whether the programs delete no conntrack entry by themselves. Then one that is
            not in the new map at the end leads back; else it is told.

    Raises:
        UsageError: the maps are not those planned for, or programs use them and nobody would
            move them; nothing was changed.
        BpfError: a new map cannot be made (ENOMEM); nothing was changed.
        OSError: the journal cannot be written; nothing was changed.
    """
    if mover is None and plan.users:
        raise UsageError(
            f"{len(plan.users)} programs use these maps, and nobody here can move them",
            hint="Start ctconsole's agent on them, or have their own agent restarted",
        )
    return _Resize(
        gate, plan, mover, journal, options=options, watching=watching, keeping=keeping
    ).run()


class _Resize:
    """One resize under way; see `resize`."""

    def __init__(
        self,
        gate: Gate,
        plan: ResizePlan,
        mover: Switch | None,
        journal: Journal,
        *,
        options: Options | None,
        watching: Watching,
        keeping: bool,
    ) -> None:
        self._keeping = keeping
        self._gate = gate
        self._plan = plan
        self._switch = mover
        self._journal = journal
        self._options = options
        self._tell = watching.tell
        self._is_cancelled = watching.is_cancelled
        self._sides: list[Side] = []
        self._events: list[Event] = []
        self._stages = StageTimes()
        self._gap = 0.0
        self._settled: float | None = None
        self._verified: dict[int, Verified] = {}
        self._ticket: Ticket | None = None
        self._running = Running()
        self._undo: Undoable | None = None
        self._no_undo = ""

    def run(self) -> ResizeReport:
        """Go through the stages."""
        started = time.perf_counter()
        with ExitStack() as stack:
            try:
                self._stage(stack)
            except CancelledError as error:
                self._unstage()
                raise CancelledError(f"{error} before anything was changed") from error
            except BpfError as error:
                self._unstage()
                if error.errno == errno.ENOMEM:
                    raise self._too_large(error) from error
                raise
            except BaseException:
                self._unstage()
                raise
            failure = ""
            left: tuple[int, ...] = ()
            try:
                self._move_programs()
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - all leads back
                failure, left = self._roll_back(_told(error))
                return self._report(failure, left, started)
            try:
                self._settle()
                left = self._release()
                failure = "; ".join(filter(None, map(_stranger, self._sides)))
            except NotVerifiedError as error:
                failure, left = self._roll_back(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the state is to be told
                failure = (
                    "The programs use the new maps, but not every count has been moved: "
                    f"{_told(error)}. ctconsole's next start goes on with it"
                )
            return self._report(failure, left, started)

    def _stage(self, stack: ExitStack) -> None:
        with self._stages.timed(Stage.STAGE):
            self._write(Stage.STAGE)
            for one in self._plan.maps:
                self._sides.append(stack.enter_context(Side.stage(self._gate, one, in_slices=True)))
        with self._stages.timed("seed"):
            for side, one in zip(self._sides, self._plan.maps, strict=True):
                missing = sum(one.dropped.values())
                with side.asking(self._cancel_point):
                    side.choose(missing, ct_now(self._plan.clock))
                    self._cancel_point()
                    side.seed()
            self._cancel_point()
        # From here on the way ahead and the way back need no room on the disk.
        self._journal.prepare(map(self._entry, LATER))

    def _too_large(self, error: BpfError) -> BpfError:
        """The same, and what to do about it."""
        memory = self._plan.memory
        needs = f"It needs {size(memory.new + memory.passes)} beside what is there"
        hint = f"Nothing was changed. {memory.lack or needs}: give fewer entries, or free memory"
        return BpfError(errno.ENOMEM, error.command, error.subject, hint)

    def _unstage(self) -> None:
        """Leave everything as it was before anybody could have seen it."""
        for side in self._sides:
            side.release()
        self._journal.clear()

    def _move_programs(self) -> None:
        self._write(Stage.SWITCH)
        with self._stages.timed(Stage.SWITCH):
            if self._options:
                self._options.store(self._options.after)
            for side in self._sides:
                side.take_pin()
            self._events += [self._swap_event(side) for side in self._sides]
            if self._switch is not None:
                first = self._sides[0]
                self._ticket = self._switch(first.path, first.new.info.id)
                self._follow(self._ticket)
            left = left_on(*(side.old.info.id for side in self._sides), but=self._own)
            if left:
                raise CtconsoleError(
                    f"{len(left)} programs still use the old map after the switch, {left[0]} "
                    f"among them; ctconsole map users {self._sides[0].path.name} tells whose"
                )
            # What the last of them made.
            self._carry_new()
            if self._switch is not None:
                new_ids = [side.new.info.id for side in self._sides]
                self._running = watch(self._gate, new_ids)
                self._running.check()

    def _follow(self, ticket: Ticket) -> None:
        """Carry what comes while programs are being moved; cancel where that is wished."""
        self._settled = time.monotonic()
        ticket.begin()
        waiting, used = Waiting(ticket), 0.0
        while True:
            over = waiting.is_over(max(_PAUSE, _PAUSES * used))
            before = time.thread_time()
            self._carry_new()
            used = time.thread_time() - before
            if over:
                return
            self._tell(ResizeProgress(Stage.SWITCH, waiting.progress()))
            self._cancel_point()

    def _carry_new(self) -> None:
        """Carry what old programs have made since; such an entry may be as old as the last pass."""
        began = time.monotonic()
        for side in self._sides:
            side.settle()
        if self._settled is not None:
            self._gap = max(self._gap, time.monotonic() - self._settled)
        self._settled = began

    def _settle(self) -> None:
        """Move the counts, and see that everything is in the new maps."""
        self._write(Stage.SETTLE)
        with self._stages.timed(Stage.SETTLE):
            for side in self._sides:
                side.finish()
        with self._stages.timed("verify"):
            for side, one in zip(self._sides, self._plan.maps, strict=True):
                found = side.prove(ct_now(self._plan.clock))
                self._verified[side.old.info.id] = found
                self._require_all(side, one, found)

    def _require_all(self, side: Side, plan: MapPlan, found: Verified) -> None:
        """Raise NotVerifiedError where an entry is not in the new map that must be."""
        # Whoever has agreed to lose the living for want of room has agreed to this.
        lacking = found.missing if plan.drops_living else found.lost
        # Programs delete translations by themselves.
        if self._keeping and plan.layout is not None and lacking:
            raise NotVerifiedError(
                f"{count(lacking)} of {count(found.entries)} entries of {side.path.name} are not "
                f"in the new map ({found.sentence})"
            )

    def _release(self) -> tuple[int, ...]:
        """Let go of the old maps."""
        self._write(Stage.RELEASE)
        with self._stages.timed(Stage.RELEASE):
            left = users(*(side.old.info.id for side in self._sides), but=self._own)
            for side in self._sides:
                side.release()
            self._keep_undo()
        self._journal.clear()
        return left

    def _keep_undo(self) -> None:
        """Let the sizes before be known, and how long it took; a resize is done in any case."""
        undo = undoable(self._sides)
        with suppress(OSError):
            held = sum(found.entries for found in self._verified.values())
            Past(self._journal.path).keep(held, self._stages)
        try:
            Undos(self._journal.path).keep(undo)
        except OSError as error:
            self._no_undo = str(error)
        else:
            self._undo = undo

    def _roll_back(self, why: str) -> tuple[str, tuple[int, ...]]:
        """Give the old maps their pins again, with what has come since; the failure in words."""
        with self._stages.timed(Stage.ROLL_BACK):
            back = WayBack(self._sides, self._journal, self._switch, self._own)
            return back.go(
                why,
                self._ticket,
                journaled=lambda: self._write(Stage.ROLL_BACK),
                restored=self._store_before,
            )

    def _store_before(self) -> None:
        if self._options:
            self._options.store(self._options.before)

    def _write(self, stage: Stage) -> None:
        """Journal a stage, then say that it begins."""
        self._journal.write(self._entry(stage))
        self._tell(ResizeProgress(stage))

    def _entry(self, stage: Stage) -> Entry:
        sides = {side.path: side for side in self._sides}
        options = self._options
        return Entry(
            stage=stage,
            boot=boot_id(),
            pid=os.getpid(),
            maps=tuple(moving(one, sides.get(one.path)) for one in self._plan.maps),
            before=options.before if options else {},
            after=options.after if options else {},
        )

    @property
    def _own(self) -> frozenset[int]:
        return frozenset().union(*(side.program_ids for side in self._sides))

    def _cancel_point(self) -> None:
        if self._is_cancelled():
            raise CancelledError("The resize was cancelled")

    def _swap_event(self, side: Side) -> Event:
        fields = {
            "max_entries": side.new.info.max_entries,
            "old_id": side.old.info.id,
            "new_id": side.new.info.id,
            "carried": side.seeded.carried,
            "left_behind": side.seeded.left_behind,
        }
        return map_event(EventKind.MAP_RESIZED, side.path, "Resized BPF map", fields)

    def _report(self, failure: str, left: tuple[int, ...], started: float) -> ResizeReport:
        maps = []
        for side in self._sides:
            tally = side.seeded + side.moved
            old = side.old.info
            maps.append(
                MapReport(
                    path=side.path,
                    old_id=old.id,
                    new_id=side.new.info.id,
                    pinned_id=pinned_id(side.path),
                    old_entries=old.max_entries,
                    new_entries=side.new.info.max_entries,
                    carried=tally.carried,
                    merged=tally.moved,
                    verified=self._verified.get(old.id),
                    recreated=tally.recreated,
                    touched=tally.touched,
                    contended=tally.contended,
                )
            )
            if failure:
                event = map_event(EventKind.WARNING, side.path, failure, level=Level.ERROR)
                self._events.append(event)
        return ResizeReport(
            maps=tuple(maps),
            stages=self._stages,
            gap=self._gap,
            running=self._running,
            left=left,
            failure=failure,
            events=tuple(self._events),
            seconds=time.perf_counter() - started,
            undo=self._undo,
            no_undo=self._no_undo,
        )


def moving(plan: MapPlan, side: Side | None) -> Moving:
    """What is journaled of one map; ``side`` is None until the new one is made."""
    layout = plan.layout or ""
    if side is None:
        return Moving(str(plan.path), plan.info.id, 0, layout)
    known_id = side.known.info.id if side.known else 0
    return Moving(
        str(plan.path), plan.info.id, side.new.info.id, layout, side.cut, side.now, known_id
    )


def _stranger(side: Side) -> str:
    """What is pinned now where the new map was, as a failure; empty where it still is."""
    found, path = pinned_id(side.path), side.path
    if found == side.new.info.id:
        return ""
    what = f"map {found}" if found else "nothing"
    return (
        f"The programs use the new {path.name} with everything in it, but {what} is pinned at "
        f"{path} now: somebody else changed it meanwhile, and it was left alone"
    )


def _told(error: BaseException) -> str:
    """What went wrong, in words."""
    if isinstance(error, (CtconsoleError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")
