"""Resizing the nodes of a fleet, and leading them back.

Each step is in the journal before it is taken. What came of one that was cut off, by a crash of
this process or by a connection that broke, is asked of the node and never assumed.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import ClusterError, CtconsoleError, CutOffError
from ctconsole.fleet.rolling.journal import NodeState, RunNotes
from ctconsole.fleet.rolling.watch import TroubleError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from ctconsole.fleet.rolling.answers import NodeResized, RollingLook
    from ctconsole.fleet.rolling.journal import NodeStep, RollingJournal
    from ctconsole.fleet.rolling.node import NodeWork
    from ctconsole.fleet.rolling.watch import HealthWatch

    class OptionStore(Protocol):
        """The option that agents read when they start."""

        def write(self, value: str | None) -> None:
            """Give it a value; None takes it away."""
            ...


_PAUSE: Final = 2.0
"""Seconds between two questions to a node that is still at it."""


class StoppedError(CtconsoleError):
    """Somebody asked the run to stop."""


@dataclass(frozen=True, slots=True)
class RollingReport:
    """What became of a run.

    Attributes:
        run: its journal's last word.
        failure: what stopped it; empty where it went to its end.
        stopped: whether somebody asked for that.
    """

    run: RunNotes
    failure: str = ""
    stopped: bool = False

    @property
    def ok(self) -> bool:
        """Whether every node has the size that was wished."""
        every = all(one.state is NodeState.DONE for one in self.run.nodes)
        return not self.failure and every

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ok": self.ok,
            "map": self.run.map_name,
            "entries": self.run.entries,
            "nodes": [
                {"node": one.name, "state": one.state.value, "before": one.before, "note": one.note}
                for one in self.run.nodes
            ],
            "option_written": self.run.option_written,
            "stopped": self.stopped,
            "failure": self.failure or None,
        }


@dataclass
class RollingRun:
    """One run, begun or resumed.

    Attributes:
        run: how far it is; in the journal already.
        journal: where that is kept.
        work: does what is done on a node.
        watch: sees how they are.
        option: what their agents read; None leaves it alone.
        check: raises where the Lease is lost.
        is_cancelled: whether somebody asked to stop.
        say: told what goes on.
        patience: seconds for which a node is asked that is still at it.
        wait: rests so many seconds.
    """

    run: RunNotes
    journal: RollingJournal
    work: NodeWork
    watch: HealthWatch
    option: OptionStore | None = None
    check: Callable[[], None] = lambda: None
    is_cancelled: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = lambda _: None
    patience: float = 600.0
    wait: Callable[[float], None] = time.sleep
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sizes: dict[str, int] = field(default_factory=dict)

    def forward(self) -> RollingReport:
        """Resize every node that is still to be, as long as all goes well.

        Raises:
            CtconsoleError: the journal cannot be written; nothing more was begun.
        """
        try:
            self._settle_begun()
            self._write_option()
            while due := self.run.having(NodeState.TODO)[: self.watch.limits.at_a_time]:
                self._check()
                self._turn(due)
        except StoppedError as error:
            return RollingReport(self.run, error.message, stopped=True)
        except CtconsoleError as error:
            self.say(f"Trouble: {error}")
            if self.watch.limits.undo and isinstance(error, (TroubleError, ClusterError)):
                led_back = self.back()
                return RollingReport(self.run, f"{error.message}; {_undone(led_back)}")
            return RollingReport(self.run, error.message)
        self._keep(replace(self.run, over=True))
        return RollingReport(self.run)

    def back(self) -> RollingReport:
        """Give every node of the run that has the new size the one before, the last one first."""
        begun = (NodeState.DONE, NodeState.BEGUN, NodeState.FAILED, NodeState.UNDOING)
        failures = []
        for step in reversed(self.run.having(*begun)):
            try:
                self._check()
                self._lead_back(step)
            except CtconsoleError as error:
                self.say(f"Trouble: {error}")
                failures.append(error.message)
                if isinstance(error, StoppedError):
                    break
        if not failures:
            try:
                self._restore_option()
            except CtconsoleError as error:
                failures.append(error.message)
        self._keep(replace(self.run, over=not failures))
        return RollingReport(self.run, "; ".join(failures))

    def _turn(self, due: Sequence[NodeStep]) -> None:
        """Resize some nodes together, and watch them."""
        names = [one.name for one in due]
        self._resting(lambda: self.watch.fit(names))
        with ThreadPoolExecutor(len(due)) as several:
            failures = [one for one in several.map(self._tried, due) if one]
        if failures:
            raise TroubleError("; ".join(failures))
        self._watched(names)

    def _watched(self, names: Sequence[str]) -> None:
        done = [one.name for one in self.run.having(NodeState.DONE)]
        sizes = {name: self._sizes[name] for name in names if name in self._sizes}
        self._resting(lambda: self.watch.after(done, sizes))

    def _tried(self, step: NodeStep) -> str:
        """What went wrong with a node; empty where nothing did."""
        try:
            self._resize(step)
        except StoppedError:
            raise
        except CtconsoleError as error:
            return error.message
        return ""

    def _resize(self, step: NodeStep) -> None:
        """Resize one node.

        Raises:
            ClusterError: it is not resized.
        """
        name = step.name
        look = self.work.look(name, self.run.entries)
        if look.is_done:
            self._done(step, look, "it had the size already")
            return
        step = replace(step, state=NodeState.BEGUN, before=step.before or look.entries)
        self._mark(step)
        self.say(f"{name}: {look.map_name} from {look.entries} to {look.wished} entries")
        try:
            told = self.work.resize(name, self.run.entries, foreign=look.foreign)
        except CutOffError as error:
            self.say(f"{error}; {name} is asked how it is")
            self._ask_and_end(step)
        except CtconsoleError as error:
            self._failed(step, error)
        else:
            self._resized(step, look, told)

    def _resized(self, step: NodeStep, look: RollingLook, told: NodeResized) -> None:
        self._done(step, look, told.told)
        if told.lost:
            raise TroubleError(f"{step.name}: {told.told}")

    def _failed(self, step: NodeStep, error: CtconsoleError) -> None:
        """A node says that it could not; what it has now is asked, too."""
        try:
            now = f"it holds {self.work.look(step.name, self.run.entries).entries} entries"
        except CtconsoleError as unknown:
            now = f"how it is now is not known: {unknown.message}"
        self._mark(replace(step, state=NodeState.FAILED, note=f"{error.message}; {now}"))
        raise ClusterError(f"{error.message}; {now}") from error

    def _ask_and_end(self, step: NodeStep) -> None:
        """See what came of a resize that was lost sight of, and end it.

        Raises:
            StoppedError: somebody asked to stop meanwhile.
            ClusterError: the node cannot be asked, is still at it, or could not be resized.
        """
        look = self._settled(step.name, self.run.entries)
        if not look.all_so or look.cut_off:
            # It was led back, or its process died: the node's own next resize ends what it left.
            self.say(f"{step.name}: it is not resized yet, and is begun anew")
            try:
                told = self.work.resize(step.name, self.run.entries, foreign=look.foreign)
            except CutOffError:
                raise
            except CtconsoleError as error:
                self._failed(step, error)
            else:
                self._resized(step, look, told)
            return
        self._done(step, look, "it has the size, as it says itself")

    def _settled(self, name: str, entries: int) -> RollingLook:
        """How a node is once nobody changes its maps any more.

        Raises:
            ClusterError: it cannot be asked in time, or is still at it.
        """
        end = time.monotonic() + self.patience
        while True:
            try:
                look = self.work.look(name, entries)
                if not look.changed_by:
                    return look
                why = look.changed_by
            except CtconsoleError as error:
                why = error.message
            if self.is_cancelled():
                raise StoppedError(
                    f"Stopped as asked: what becomes of {name} is not known yet: {why}"
                )
            if time.monotonic() > end:
                raise ClusterError(f"{name}: what became of it is not known: {why}")
            self.wait(_PAUSE)

    def _settle_begun(self) -> None:
        """After a crash: nodes that were begun are asked, and all that are done are watched."""
        for step in self.run.having(NodeState.BEGUN):
            self.say(f"{step.name}: it was begun when this run was cut off, and is asked how it is")
            self._ask_and_end(step)
        if self.run.having(NodeState.DONE):
            self._watched([])

    def _lead_back(self, step: NodeStep) -> None:
        look = self._settled(step.name, step.before or self.run.entries)
        if step.before and not look.is_done:
            self._mark(replace(step, state=NodeState.UNDOING))
            self.say(f"{step.name}: back to {step.before} entries")
            try:
                told = self.work.undo(step.name, step.before, foreign=look.foreign).told
            except CutOffError:
                look = self._settled(step.name, step.before)
                if not look.is_done:
                    raise
                told = "it has the size before, as it says itself"
            self._mark(replace(step, state=NodeState.UNDONE, note=told))
        elif step.before:
            self._mark(replace(step, state=NodeState.UNDONE, note="it has the size before"))

    def _write_option(self) -> None:
        """Have agents that start from now on find the size: before any of them has to."""
        if self.option is None or not self.run.option:
            return
        # Whether it was written is known by nobody if this process dies in between.
        self._keep(replace(self.run, option_written=True))
        self.option.write(str(self.run.entries))
        self.say(f"{self.run.option} is {self.run.entries} for every agent that starts from now on")

    def _restore_option(self) -> None:
        if self.option is not None and self.run.option_written:
            self.option.write(self.run.option_before)
            self._keep(replace(self.run, option_written=False))
            self.say(f"{self.run.option} is {self.run.option_before or 'not set'} again")

    def _done(self, step: NodeStep, look: RollingLook, note: str) -> None:
        self._sizes[step.name] = look.wished
        self._mark(replace(step, state=NodeState.DONE, note=note))
        self.say(f"{step.name}: {note}")

    def _mark(self, step: NodeStep) -> None:
        with self._lock:
            self._keep(self.run.with_node(step))

    def _keep(self, run: RunNotes) -> None:
        self.journal.write(run)
        self.run = run

    def _check(self) -> None:
        """Between two steps."""
        if self.is_cancelled():
            raise StoppedError("Stopped as asked: no node is at work")
        self.check()

    def _resting(self, act: Callable[[], None]) -> None:
        """Do what only looks, which may be broken off at any time."""
        self._check()
        act()


def _undone(report: RollingReport) -> str:
    if report.failure:
        return f"leading back failed as well: {report.failure}"
    return "every node of this run has the size before again"
