"""What the console may do to this node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ctconsole.agent.state import StateDir
from ctconsole.errors import AgentError, CtconsoleError
from ctconsole.handles import Closing
from ctconsole.history import History
from ctconsole.kernel import procs
from ctconsole.manager.recreate import RecreatePlan, guarded
from ctconsole.manager.resize.plan import MapWish, ResizePlan
from ctconsole.manager.restart import RestartPlan
from ctconsole.model.catalogue import option_of
from ctconsole.node import acts
from ctconsole.node.affected import planned_tables
from ctconsole.node.flush_plan import FlushPlan
from ctconsole.node.flushing import plan_flush
from ctconsole.node.guarding import Guarding
from ctconsole.node.owner import agent_of, is_foreign
from ctconsole.node.prestage.plan import PrestagePlan, plan_for_agent, plan_prestage
from ctconsole.node.resizing import plan_resizing, plan_undoing, resize_foreign, resize_maps
from ctconsole.observe.discovery import discover
from ctconsole.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import PurePath

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreateReport
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.manager.restart import RestartReport
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.plan import Plan, Report
    from ctconsole.node.flush_plan import FlushReport
    from ctconsole.observe.discovery import NodeFacts

_R = TypeVar("_R", "RecreateReport", "ResizeReport", "FlushReport")


class NodeActions(Closing):
    """The deeds of `acts`, through the write gate, for `ctconsole.ui.actions.Actions`.

    Args:
        gate: the write gate.
        state_dir: state folder of the agent that is restarted, and whose history gets the events
            of maps that no other running agent of ours looks after.
        reading: how entries are read and judged, from what the console knows already: a plan
            is made at every key, and must not ask agents each time.
        facts: what the console knows of the node, None where it knows nothing yet.
        restart_command: what restarts an agent that is not ours, for a shell.
    """

    def __init__(
        self,
        gate: Gate,
        state_dir: Path,
        reading: Callable[[], Reading],
        facts: Callable[[], NodeFacts | None] = lambda: None,
        restart_command: str = "",
    ) -> None:
        self._gate = gate
        self._state_dir = state_dir
        self._reading = reading
        self._facts = facts
        self._restart_command = restart_command
        self._guarding: Guarding | None = None
        self._guarded: History | None = None

    def plan_recreate(self, path: PurePath, max_entries: int) -> RecreatePlan:
        """See `ctconsole.ui.actions.Actions`."""
        pin = Path(path)
        settings = agent_of(pin, self._state_dir)
        plan = acts.plan_recreation(pin, max_entries, self._reading(), settings)
        return guarded(plan) if pin in self._held else plan

    def plan_resize(self, path: PurePath, max_entries: int) -> ResizePlan | PrestagePlan:
        """See `ctconsole.ui.actions.Actions`."""
        pin = Path(path)
        settings = agent_of(pin, self._state_dir)
        facts = self._foreign(pin, settings)
        if facts is not None:
            wish = MapWish(max_entries)
            return plan_prestage(pin, wish, self._reading(), facts, self._restart_command)
        return plan_resizing(pin, MapWish(max_entries), self._reading(), settings)

    def planned_tables(self, plan: Plan) -> Iterable[tuple[CtTable, int]]:
        """See `ctconsole.ui.actions.Actions`."""
        if isinstance(plan, PrestagePlan):
            plan = plan.resize
        if not isinstance(plan, ResizePlan):
            raise TypeError(plan)
        return planned_tables(plan.maps, self._reading())

    def plan_undo(self, path: PurePath) -> ResizePlan | PrestagePlan:
        """See `ctconsole.ui.actions.Actions`."""
        pin = Path(path)
        plan = plan_undoing(pin, self._reading())
        facts = self._foreign(pin, agent_of(pin, self._state_dir))
        return plan_for_agent(plan, facts, self._restart_command) if facts else plan

    def _foreign(self, pin: Path, settings: AgentSettings | None) -> NodeFacts | None:
        """What is known of an agent that is not ours and that sizes this map; None without one."""
        facts = self._facts()
        if settings is not None or facts is None or not option_of(pin.name):
            return None
        agent = facts.agent
        if agent is None and not is_foreign(facts.bpf_root):
            return None
        if agent is None or not procs.is_same(agent.process):
            # It was restarted since, or is by now.
            return discover(facts.bpf_root)
        return facts

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> FlushPlan:
        """See `ctconsole.ui.actions.Actions`."""
        return plan_flush(Path(path), query, key, reading=self._reading())

    def plan_restart(self, changes: Mapping[str, str]) -> RestartPlan:
        """See `ctconsole.ui.actions.Actions`."""
        plan = acts.plan_restart(self._settings(), changes, self._reading)
        held = (one.path.name for one in plan.maps if one.path in self._held)
        return replace(plan, guarded=tuple(held))

    def carry_out(
        self,
        plan: Plan,
        tell: Callable[[str], None] = lambda _: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Report:
        """See `ctconsole.ui.actions.Actions`."""
        match plan:
            case RecreatePlan():
                return self.recreate(plan)
            case ResizePlan():
                return self.resize(plan, tell, is_cancelled)
            case PrestagePlan():
                return self.prestage(plan, tell, is_cancelled)
            case FlushPlan():
                return self.flush(plan, tell, is_cancelled)
            case RestartPlan():
                return self.restart(plan)
            case _:
                raise TypeError(plan)

    def recreate(self, plan: RecreatePlan) -> RecreateReport:
        """Remove the map with all its entries and create it anew, as planned."""
        settings = agent_of(plan.path, self._state_dir)
        report = acts.recreate_map(self._gate, plan, settings, self._state_dir)
        return _told(replace(report, guarded=plan.guarded))

    def resize(
        self, plan: ResizePlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> ResizeReport:
        """Give the maps another capacity with everything in them, or lead back."""
        settings = agent_of(plan.maps[0].path, self._state_dir)
        report = resize_maps(
            self._gate, plan, settings, lambda progress: tell(progress.text), is_cancelled
        )
        return _told(acts.record(settings.state_dir if settings else self._state_dir, report))

    def prestage(
        self, plan: PrestagePlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> ResizeReport:
        """The same for tables of an agent that is not ours, which is restarted."""
        report = resize_foreign(self._gate, plan, tell, is_cancelled)
        return _told(acts.record(self._state_dir, report))

    def guard(self, folder: PurePath, *, on: bool) -> str:
        """See `ctconsole.ui.actions.Actions`."""
        if self._guarding is None:
            history = StateDir(self._state_dir).history
            self._guarded = History(history)
            record = Recorder(self._guarded.append, source="manager", subject=str(history))
            self._guarding = Guarding(self._gate, lambda: Path(folder), self._reading, record)
        return self._guarding.switch(on=on)

    @property
    def guarding(self) -> str:
        """See `ctconsole.ui.actions.Actions`."""
        return self._guarding.told if self._guarding else ""

    @property
    def _held(self) -> tuple[Path, ...]:
        """The pins of the tables whose entries the guard keeps."""
        return self._guarding.held if self._guarding else ()

    def close(self) -> None:
        """End the guard, if it is on."""
        if self._guarding is not None:
            self._guarding.switch(on=False)
        if self._guarded is not None:
            self._guarded.close()

    def flush(
        self, plan: FlushPlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> FlushReport:
        """Delete what was planned, as far as it still matches, or end where it is."""
        settings = agent_of(plan.path, self._state_dir)
        folder = settings.state_dir if settings else self._state_dir
        report = acts.flush_map(
            self._gate, plan, folder, lambda progress: tell(progress.text), is_cancelled
        )
        return _told(report)

    def restart(self, plan: RestartPlan) -> RestartReport:
        """Restart our agent.

        A changed option goes where it was set: into the config folder, if the agent has one and
        no flag overrides it there.
        """
        report, _ = acts.restart_agent(self._gate, self._settings(), plan.changes, plan)
        return replace(report, guarded=plan.guarded)

    def agent_sizes(self) -> Mapping[str, int]:
        """See `ctconsole.ui.actions.Actions`."""
        config, _ = self._settings().read_config()
        return {
            "bpf-ct-global-tcp-max": config.bpf_ct_global_tcp_max,
            "bpf-ct-global-any-max": config.bpf_ct_global_any_max,
        }

    def _settings(self) -> AgentSettings:
        """Those of the last start of our agent."""
        settings = StateDir(self._state_dir).load_settings()
        if settings is None:
            raise AgentError(
                f"No agent of ours was ever started on {self._state_dir}",
                hint="Start one with ctconsole agent start, or name its folder with --state-dir",
            )
        return settings


def _told(report: _R) -> _R:
    """The report, if all went well.

    Raises:
        CtconsoleError: what went wrong, and why it is not in the history if it is not.
    """
    if report.failure and report.unrecorded:
        raise CtconsoleError(f"{report.failure}. {report.unrecorded}")
    report.check()
    return report
