"""Giving tables of an agent that is not ours another capacity: all is made before it restarts.

::

    stage    new maps are made beside the old ones, as the agent would make them, and seeded
    hand     the settings are written, the new maps take the pins, the agent is restarted; it
    over     opens them as they are. What comes meanwhile is carried, until its programs move
    settle   no program uses an old map any more: counts are moved
    release  the old maps are let go of

As long as the agent has not taken the new maps over everything can be undone. Where it makes maps
of its own instead, what is in the old ones is carried over into those.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from ctconsole.errors import AgentError, CtconsoleError, UsageError
from ctconsole.kernel.clock import boot_id, ct_now
from ctconsole.manager.bpfmap import map_event
from ctconsole.manager.interrupts import Interrupts
from ctconsole.manager.resize.journal import Entry, Foreign, Stage, journal_of
from ctconsole.manager.resize.pace import Past
from ctconsole.manager.resize.report import ResizeReport
from ctconsole.manager.resize.run import LATER, moving
from ctconsole.manager.resize.stages import StageTimes
from ctconsole.manager.resize.undo import Undos, undoable
from ctconsole.manager.resize.watching import CancelledError
from ctconsole.model.catalogue import option_of
from ctconsole.model.event import EventKind, Level
from ctconsole.model.plan import Row
from ctconsole.model.units import duration
from ctconsole.node.prestage.plan import layouts_told
from ctconsole.node.prestage.restart import Restart
from ctconsole.node.prestage.settings import put_back, write
from ctconsole.node.prestage.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.journal import Journal
    from ctconsole.manager.resize.undo import Undoable
    from ctconsole.model.event import Event
    from ctconsole.node.prestage.plan import PrestagePlan

PATIENCE: Final = 300.0
"""Seconds without a sign of the agent, once its restart was begun, until it is given up."""

_PAUSE: Final = 0.02
"""Seconds between two looks at the pins: entries of a re-created table are missed that long."""

_YOUNG: Final = 10.0
"""Seconds after its start when an agent that does not like its settings has ended again. One that
lives on has read them and will want the new map, however late that is."""

_GLANCE: Final = 0.25
"""Seconds between two looks at the agent's process."""


def prestage(
    gate: Gate,
    plan: PrestagePlan,
    tell: Callable[[str], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> ResizeReport:
    """Give an agent's tables another capacity with everything that is in them.

    To be called with the lock of whoever changes maps.

    Args:
        gate: the write gate.
        plan: of `ctconsole.node.prestage.plan.plan_prestage`.
        tell: hears how far it is.
        is_cancelled: asked again and again; True leads back, until the restart has begun.
        patience: seconds without a sign of the agent after which it is given up.

    Returns:
        What was done; see `ResizeReport.check`.

    Raises:
        UsageError: the maps or the agent are not those planned for; nothing was changed.
        CancelledError: it was cancelled before anything was changed.
        BpfError: a new map cannot be made (ENOMEM); nothing was changed.
        OSError: the journal cannot be written; nothing was changed.
    """
    with Interrupts() as heard:
        run = _Prestage(
            gate,
            plan,
            tell=tell,
            is_cancelled=lambda: bool(heard.noted) or is_cancelled(),
            patience=patience,
        )
        return run.run()


class _Prestage:
    """One under way; see `prestage`."""

    def __init__(
        self,
        gate: Gate,
        plan: PrestagePlan,
        *,
        tell: Callable[[str], None],
        is_cancelled: Callable[[], bool],
        patience: float,
    ) -> None:
        self._gate = gate
        self._plan = plan
        self._tell = tell
        self._is_cancelled = is_cancelled
        self._patience = patience
        self._journal: Journal = journal_of(plan.folder)
        self._tables: list[Table] = []
        self._events: list[Event] = []
        self._stages = StageTimes()
        self._notes = [Row("layout", layouts_told(plan.resize))]
        self._hand_over_began = 0.0
        self._undo: Undoable | None = None
        self._no_undo = ""
        self._began = time.perf_counter()

    def run(self) -> ResizeReport:
        """Go through the stages."""
        with ExitStack() as stack:
            restart = stack.enter_context(
                Restart(self._plan.folder, self._plan.agent, self._plan.command)
            )
            restart.look()
            if restart.happened:
                raise UsageError(
                    "The agent was restarted since this was planned", hint="Plan again"
                )
            try:
                self._stage(stack)
            except BaseException:
                for table in self._tables:
                    table.side.release()
                self._journal.clear()
                raise
            try:
                self._hand_over(restart)
            except (CtconsoleError, OSError) as error:
                return self._given_up(restart, str(error) or type(error).__name__)
            try:
                self._settle()
            except (CtconsoleError, OSError) as error:
                return self._report(
                    f"The agent uses the new maps, but not every count has been moved: {error}. "
                    "ctconsole's next start goes on with it"
                )
            return self._report(self._not_as_wished())

    def _stage(self, stack: ExitStack) -> None:
        self._journal.write(self._entry(Stage.STAGE))
        self._tell(f"{Stage.STAGE}: the new map is made and gets every entry")
        with self._stages.timed(Stage.STAGE):
            for one in self._plan.resize.maps:
                made = Table.stage(self._gate, one, self._plan.resize.clock)
                self._tables.append(stack.enter_context(made))
        with self._stages.timed("seed"):
            for table, one in zip(self._tables, self._plan.resize.maps, strict=True):
                table.side.choose(sum(one.dropped.values()), ct_now(self._plan.resize.clock))
                self._cancel_point()
                table.side.seed()
            self._cancel_point()
        # From here on the way ahead and the way back need no room on the disk.
        self._journal.prepare(map(self._entry, LATER))

    def _hand_over(self, restart: Restart) -> None:
        """Let the agent find the new maps, and wait until its programs use them."""
        self._journal.write(self._entry(Stage.SWITCH))
        with self._stages.timed("hand over"):
            write(self._plan.settings)
            for table in self._tables:
                table.side.take_pin()
                self._events.append(_taken_event(table))
            self._cancel_point()
            self._hand_over_began = time.monotonic()
            restart.begin()
            self._follow(restart)

    def _follow(self, restart: Restart) -> None:
        """Carry what comes until no program uses an old map; raises where the agent is lost."""
        look_at = sign_at = time.monotonic()
        sign: object = None
        while True:
            for table in self._tables:
                table.step(hurried=restart.happened)
            if time.monotonic() >= look_at:
                restart.look()
                look_at = time.monotonic() + _GLANCE
                # An agent that starts again and again is no sign of one that takes the map over.
                seen = (restart.happened, *(table.progress for table in self._tables))
                if seen != sign:
                    sign, sign_at = seen, time.monotonic()
                self._tell(self._doing(restart))
                if restart.happened and all(self._is_over(one, restart) for one in self._tables):
                    return
                if restart.begun and time.monotonic() - sign_at > self._patience:
                    raise AgentError(self._silence(restart))
            if not restart.begun:
                self._cancel_point()
            time.sleep(_PAUSE)

    def _is_over(self, table: Table, restart: Restart) -> bool:
        """Whether the agent has this table, as it was made for it or made anew, to itself."""
        if table.renewed:
            return table.is_over
        new_id = table.side.new.info.id
        return table.is_over and (bool(table.users_of_new) or restart.holds(new_id))

    def _doing(self, restart: Restart) -> str:
        if not restart.begun:
            return f"{Stage.SWITCH}: the new map is pinned; now {self._plan.advice}"
        late = " (a restart cannot be cancelled)" if self._is_cancelled() else ""
        if not restart.happened:
            waited = f" for {duration(restart.waited)}" if restart.waited >= 1 else ""
            return f"{Stage.SWITCH}: waits{waited} for the agent to come back{late}"
        left = len({one for table in self._tables for one in table.programs})
        of = len(self._plan.resize.users)
        renewed = any(table.renewed for table in self._tables)
        what = "its own map, into which all is carried" if renewed else "the new map"
        return (
            f"{Stage.SWITCH}: the agent runs as process {restart.now.pid if restart.now else 0} "
            f"on {what}; {left} of {max(of, left)} programs use the old one{late}"
        )

    def _silence(self, restart: Restart) -> str:
        waited = duration(self._patience)
        if restart.now is None:
            return f"The agent has not come back for {waited}"
        if not restart.happened:
            return f"The agent has not been restarted for {waited}: process {restart.now.pid} runs"
        if not any(restart.holds(one.side.new.info.id) for one in self._tables):
            return f"The agent has come back and not opened the new map for {waited}"
        return f"The agent has the new map and has moved no program for {waited}"

    def _settle(self) -> None:
        """Move the counts and let go of the old maps."""
        self._notes += [table.told for table in self._tables]
        self._notes.append(self._agent_told())
        self._journal.write(self._entry(Stage.SETTLE))
        self._tell(f"{Stage.SETTLE}: the counts are moved")
        with self._stages.timed(Stage.SETTLE):
            for table in self._tables:
                table.finish()
        with self._stages.timed("verify"):
            for table in self._tables:
                table.verify()
        self._journal.write(self._entry(Stage.RELEASE))
        with self._stages.timed(Stage.RELEASE):
            for table in self._tables:
                table.side.release()
            self._put_back_unused()
            kept = [table.side for table in self._tables if not table.renewed]
            if len(kept) == len(self._tables):
                with suppress(OSError):
                    held = sum(table.entries for table in self._tables)
                    Past(self._journal.path).keep(held, self._stages)
                undo = undoable(kept)
                try:
                    Undos(self._journal.path).keep(undo)
                except OSError as error:
                    self._no_undo = str(error)
                else:
                    self._undo = undo
        self._journal.clear()

    def _put_back_unused(self) -> None:
        """Settings by which the agent did not go are as they were before."""
        unused = {
            option_of(table.side.path.name)
            for table in self._tables
            if table.renewed and table.renewed.max_entries == table.side.old.info.max_entries
        }
        for one in self._plan.settings:
            if one.option in unused and one.file is not None:
                with suppress(OSError):
                    put_back(one.file, one.text, one.new_text)

    def _not_as_wished(self) -> str:
        """What the agent made of its own, as a failure; empty where it took what was made."""
        told = [table.failure for table in self._tables if table.renewed]
        return ". ".join(told)

    def _given_up(self, restart: Restart, why: str) -> ResizeReport:
        """Undo everything if the agent has taken nothing, else leave it to the next start."""
        names = ", ".join(table.side.path.name for table in self._tables)
        with suppress(CtconsoleError):
            restart.look()
        new_ids = [table.side.new.info.id for table in self._tables]
        taken = (
            any(table.renewed or table.users_of_new for table in self._tables)
            or restart.holds(*new_ids)
            or restart.happened_before(_YOUNG)
        )
        if taken:
            self._notes += [table.told for table in self._tables]
            return self._report(
                f"{names}: {why}. It runs with the new settings, so that nothing is undone; both "
                "maps stay, nothing is lost yet. Look what it waits for, then run ctconsole map "
                f"resize {self._tables[0].side.path.name} again, which ends it"
            )
        self._journal.write(self._entry(Stage.ROLL_BACK))
        self._tell(f"{Stage.ROLL_BACK}: everything goes back to the old map")
        stays = []
        with self._stages.timed(Stage.ROLL_BACK):
            for one in self._plan.settings:
                if one.file is None:
                    stays.append(f"to undo your own part, {one.undo}")
                elif not put_back(one.file, one.text, one.new_text):
                    stays.append(f"{one.file} was changed by somebody else and stays")
            for table in self._tables:
                told = table.side.give_back()
                stays += [told] if told else []
                table.side.release()
        self._journal.clear()
        more = "".join(f"; {one}" for one in stays)
        return self._report(
            f"{names} was not resized: {why}. Every program uses the old map, which is pinned "
            f"again with all its entries, and the settings are as they were{more}"
        )

    def _agent_told(self) -> Row:
        took = time.monotonic() - self._hand_over_began
        return Row("agent", f"its last program had moved {took:.1f} s after the restart began")

    def _entry(self, stage: Stage) -> Entry:
        plan, files = self._plan, [one for one in self._plan.settings if one.file is not None]
        sides = {table.side.path: table.side for table in self._tables}
        before = plan.agent
        return Entry(
            stage=stage,
            boot=boot_id(),
            pid=os.getpid(),
            maps=tuple(moving(one, sides.get(one.path)) for one in plan.resize.maps),
            before={str(one.file): one.text for one in files},
            after={str(one.file): one.new_text for one in files},
            foreign=Foreign(
                pid=before.pid if before else 0,
                ticks=before.ticks if before else 0,
                command=plan.command or plan.advice,
                undo="; ".join(one.undo for one in plan.settings if one.file is None),
            ),
        )

    def _cancel_point(self) -> None:
        if self._is_cancelled():
            raise CancelledError("It was cancelled before the agent was restarted")

    def _report(self, failure: str) -> ResizeReport:
        left = {one for table in self._tables for one in table.programs}
        for table in self._tables:
            self._events += table.events
        if failure:
            path = self._tables[0].side.path
            self._events.append(map_event(EventKind.WARNING, path, failure, level=Level.ERROR))
        return ResizeReport(
            maps=tuple(table.report() for table in self._tables),
            stages=self._stages,
            gap=max(table.gap for table in self._tables),
            left=tuple(sorted(left)),
            failure=failure,
            events=tuple(self._events),
            seconds=time.perf_counter() - self._began,
            undo=self._undo,
            no_undo=self._no_undo,
            notes=tuple(self._notes),
        )


def _taken_event(table: Table) -> Event:
    side = table.side
    fields = {
        "max_entries": side.new.info.max_entries,
        "old_id": side.old.info.id,
        "new_id": side.new.info.id,
        "carried": side.seeded.carried,
        "left_behind": side.seeded.left_behind,
    }
    text = "Pinned a resized BPF map for the agent's next start"
    return map_event(EventKind.MAP_RESIZED, side.path, text, fields)
