"""What the console may do to this node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.agent.state import StateDir
from ctconsole.errors import AgentError, CtconsoleError
from ctconsole.manager.recreate import RecreatePlan
from ctconsole.manager.resize.plan import MapWish, ResizePlan
from ctconsole.manager.restart import RestartPlan
from ctconsole.node import acts
from ctconsole.node.flushing import FlushPlan, plan_flush
from ctconsole.node.owner import agent_of
from ctconsole.node.resizing import plan_resizing, plan_undoing, resize_maps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreateReport
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.manager.restart import RestartReport
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.plan import Plan, Report
    from ctconsole.node.flushing import FlushReport


class NodeActions:
    """The deeds of `acts`, through the write gate, for `ctconsole.ui.actions.Actions`.

    Args:
        gate: the write gate.
        state_dir: state folder of the agent that is restarted, and whose history gets the events
            of maps that no other running agent of ours looks after.
        reading: how entries are read and judged, from what the console knows already: a plan
            is made at every key, and must not ask agents each time.
    """

    def __init__(self, gate: Gate, state_dir: Path, reading: Callable[[], Reading]) -> None:
        self._gate = gate
        self._state_dir = state_dir
        self._reading = reading

    def plan_recreate(self, path: PurePath, max_entries: int) -> RecreatePlan:
        """See `ctconsole.ui.actions.Actions`."""
        pin = Path(path)
        settings = agent_of(pin, self._state_dir)
        return acts.plan_recreation(pin, max_entries, self._reading(), settings)

    def plan_resize(self, path: PurePath, max_entries: int) -> ResizePlan:
        """See `ctconsole.ui.actions.Actions`."""
        pin = Path(path)
        settings = agent_of(pin, self._state_dir)
        return plan_resizing(pin, MapWish(max_entries), self._reading(), settings)

    def plan_undo(self, path: PurePath) -> ResizePlan:
        """See `ctconsole.ui.actions.Actions`."""
        return plan_undoing(Path(path), self._reading())

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> FlushPlan:
        """See `ctconsole.ui.actions.Actions`."""
        return plan_flush(Path(path), query, key, reading=self._reading())

    def plan_restart(self, changes: Mapping[str, str]) -> RestartPlan:
        """See `ctconsole.ui.actions.Actions`."""
        return acts.plan_restart(self._settings(), changes, self._reading)

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
            case FlushPlan():
                return self.flush(plan)
            case RestartPlan():
                return self.restart(plan)
            case _:
                raise TypeError(plan)

    def recreate(self, plan: RecreatePlan) -> RecreateReport:
        """Remove the map with all its entries and create it anew, as planned."""
        settings = agent_of(plan.path, self._state_dir)
        report = acts.recreate_map(self._gate, plan, settings, self._state_dir)
        if report.failure and report.unrecorded:
            raise CtconsoleError(f"{report.failure}. {report.unrecorded}")
        report.check()
        return report

    def resize(
        self, plan: ResizePlan, tell: Callable[[str], None], is_cancelled: Callable[[], bool]
    ) -> ResizeReport:
        """Give the maps another capacity with everything in them, or lead back."""
        settings = agent_of(plan.maps[0].path, self._state_dir)
        report = resize_maps(
            self._gate, plan, settings, lambda progress: tell(progress.text), is_cancelled
        )
        report = acts.record(settings.state_dir if settings else self._state_dir, report)
        if report.failure and report.unrecorded:
            raise CtconsoleError(f"{report.failure}. {report.unrecorded}")
        report.check()
        return report

    def flush(self, plan: FlushPlan) -> FlushReport:
        """Delete what was planned, as far as it still matches."""
        settings = agent_of(plan.path, self._state_dir)
        folder = settings.state_dir if settings else self._state_dir
        return acts.flush_map(self._gate, plan, folder)

    def restart(self, plan: RestartPlan) -> RestartReport:
        """Restart our agent.

        A changed option goes where it was set: into the config folder, if the agent has one and
        no flag overrides it there.
        """
        return acts.restart_agent(self._settings(), plan.changes)

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
