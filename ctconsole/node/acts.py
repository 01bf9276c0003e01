"""What a person does to the maps of a running agent, as the console and the command line do it."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ctconsole.agent import control
from ctconsole.agent.options import change_options
from ctconsole.agent.state import StateDir, load_endpoints
from ctconsole.agent.ticket import AgentTicket
from ctconsole.errors import CtconsoleError, MissingFeatureError
from ctconsole.history import History
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.changing import changing
from ctconsole.manager.interrupts import Interrupts
from ctconsole.manager.recreate import RecreateReport, plan_recreate, recreate
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.restart import Aftermath, RestartPlan, RestartReport
from ctconsole.manager.restart import plan_restart as plan_start
from ctconsole.manager.running import Running, watch
from ctconsole.model.catalogue import option_of, twins_of
from ctconsole.node.flushing import flush
from ctconsole.node.lossless import lossless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ctconsole.agent.control import AgentStatus
    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreatePlan
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.model.ct.reading import Reading
    from ctconsole.node.flush_plan import FlushPlan, FlushProgress, FlushReport

_R = TypeVar("_R", "RecreateReport", "FlushReport", "ResizeReport")

_NO_AGENT = (
    "No agent of ours looks after this map: attached programs keep using the old one until "
    "whoever attached them replaces them"
)


def plan_recreation(
    pin: Path, max_entries: int, reading: Reading, settings: AgentSettings | None
) -> RecreatePlan:
    """Say what another capacity of a map costs; see `ctconsole.manager.recreate.plan_recreate`.

    Args:
        pin: the map's.
        max_entries: its new capacity.
        reading: how its entries are read and judged.
        settings: of the running agent that looks after the map, None where there is none.
    """
    plan = plan_recreate(pin, max_entries, reading)
    more = agent_warnings(plan, settings)
    return replace(plan, warnings=(*plan.warnings, *more), lasting=more)


def agent_warnings(plan: RecreatePlan, settings: AgentSettings | None) -> tuple[str, ...]:
    """What to know beside the plan's own warnings before re-creating a map.

    Args:
        plan: the plan.
        settings: of the running agent that looks after the map, None where there is none.
    """
    if settings is None:
        if not plan.users:
            return ()
        return (_NO_AGENT,)
    option = option_of(plan.path.name)
    if option is None:
        return (
            f"No option sizes {plan.path.name}: the agent's next start makes it as it was, empty",
        )
    if plan.wish.max_entries == plan.info.max_entries:
        return ()
    return tuple(
        f"{option} sizes {twin} as well, which the agent's next start will re-create"
        for twin in twins_of(plan.path.name)
        if plan.path.with_name(twin).exists()
    )


def recreate_map(
    gate: Gate, plan: RecreatePlan, settings: AgentSettings | None, state_dir: Path
) -> RecreateReport:
    """Re-create a map and have the agent that looks after it move its programs over.

    The size is written where the agent's next start finds it, so that it is not undone then; it
    is put back exactly if the old map stays pinned. The history gets the events.

    Args:
        gate: the write gate.
        plan: of `plan_recreation`.
        settings: of the running agent that looks after the map; None leaves the programs.
        state_dir: whose history gets the events where there is no such agent.

    Returns:
        What was done; see `RecreateReport.check`.

    Raises:
        ConfigError: the agent's option cannot take this size; nothing was changed.
        AgentError: the agent does not answer as one that can move its programs; nothing was
            changed.
        BusyError: somebody else changes maps; nothing was changed.
        BpfError, UsageError: see `recreate`; nothing was changed.
        KeyboardInterrupt: asked to end before anything was changed.
    """
    with changing(plan.path.parent, f"re-creates {plan.path.name}"):
        if settings is None:
            return record(state_dir, recreate(gate, plan))
        control.check_ready(settings)
        option = option_of(plan.path.name)
        # Nobody is torn away between the option and the map; `recreate` hears who asks.
        with Interrupts():
            wish = {option: str(plan.wish.max_entries)} if option else {}
            change = change_options(settings, wish)
            try:
                report = recreate(gate, plan, partial(AgentTicket, settings))
            finally:
                if pinned_id(plan.path) == plan.info.id:
                    change.undo()
            return record(settings.state_dir, report)


def flush_map(
    gate: Gate,
    plan: FlushPlan,
    state_dir: Path,
    tell: Callable[[FlushProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> FlushReport:
    """Delete what was planned, as far as it still matches; see `ctconsole.node.flushing.flush`.

    Args:
        gate: the write gate.
        plan: of `ctconsole.node.flushing.plan_flush`.
        state_dir: whose history gets the events.
        tell: hears how far it is.
        is_cancelled: asked again and again; True ends it where it is.
    """
    return record(state_dir, flush(gate, plan, tell, is_cancelled))


def restart_agent(
    gate: Gate,
    settings: AgentSettings,
    changes: Mapping[str, str],
    plan: RestartPlan | None = None,
    *,
    losing: bool = False,
) -> tuple[RestartReport, AgentStatus]:
    """Restart our agent, with other options where wished; see `ctconsole.agent.control.restart`.

    Where it gave a map another size its programs are watched for a moment.

    Args:
        gate: the write gate.
        settings: how it is started.
        changes: options that are set where they were before.
        plan: of `plan_restart`, if there is one: what it forecast is told beside what became of
            it, and a restart that would lose entries is refused where it had none.
        losing: do it also then.

    Returns:
        What became of its maps, as far as the agents before and after told, and what the new one
        tells of itself.

    Raises:
        CtconsoleError: see `ctconsole.agent.control.restart`.
    """
    before = control.status(settings).maps
    losing = losing or plan is None or bool(plan.data_loss)
    begin = partial(control.restart, settings, changes, losing=losing)
    return _begin(gate, begin, before, plan.maps if plan else ())


def start_agent(
    gate: Gate, settings: AgentSettings, plan: RestartPlan, *, losing: bool = False
) -> tuple[RestartReport, AgentStatus]:
    """Start our agent as planned; see `ctconsole.agent.control.start`.

    Args:
        gate: the write gate.
        settings: how it is started.
        plan: of `plan_begin`; a start that would lose entries is refused where it had none.
        losing: do it also then.

    Returns:
        As `restart_agent`.

    Raises:
        CtconsoleError: see `ctconsole.agent.control.start`.
    """
    before = {one.path.name: one.info.id for one in plan.maps}
    begin = partial(control.start, settings, losing=losing or bool(plan.data_loss))
    return _begin(gate, begin, before, plan.maps)


def _begin(
    gate: Gate,
    begin: Callable[[], AgentStatus],
    before: Mapping[str, int],
    maps: Sequence[RecreatePlan],
) -> tuple[RestartReport, AgentStatus]:
    """Begin with an agent and see what becomes of the maps; ``before`` has their ids by name."""
    with Aftermath(maps) as aftermath:
        started = time.monotonic()
        after = begin()
        seconds = time.monotonic() - started
        aftermath.look()
    renewed = {
        name: number for name, number in after.maps.items() if before.get(name, number) != number
    }
    # Some maps are made anew at every start, and programs that use no other are not watched.
    sized = [number for name, number in renewed.items() if option_of(name)]
    report = RestartReport(
        pid=after.pid,
        seconds=seconds,
        renewed=renewed,
        known=bool(before and after.maps),
        running=watch(gate, sized) if sized else Running(),
        lost=aftermath.lost,
        verdicts=aftermath.verdicts,
        back=aftermath.back,
    )
    return report, after


def plan_restart(
    settings: AgentSettings, changes: Mapping[str, str], reading: Callable[[], Reading]
) -> RestartPlan:
    """Say which maps a start with some options changed would re-create.

    Args:
        settings: how the agent will be started, but for the changes.
        changes: options that get another value.
        reading: see `ctconsole.manager.restart.plan_restart`.

    Raises:
        ConfigError: the agent cannot run with them.
    """
    changed = replace(settings, options={**settings.options, **changes})
    config, _ = changed.read_config()
    plan = plan_start(
        settings.state_dir,
        config,
        settings.bpf_root,
        load_endpoints(settings.state_dir),
        changes=changes,
        reading=reading,
    )
    return replace(plan, lossless=tuple(lossless(plan, changed)))


def plan_begin(
    settings: AgentSettings, changes: Mapping[str, str], reading: Callable[[], Reading]
) -> RestartPlan:
    """The same where no agent runs and one is to be started.

    What a killed resize left is ended by the start itself before it looks at the maps. So
    nothing is known of them here where there is such a thing, and the start looks again.
    """
    try:
        is_due = journal_of(settings.bpf_root).read() is not None
    except (MissingFeatureError, OSError):
        is_due = False
    if is_due:
        return RestartPlan(settings.state_dir, changes, (), is_start=True)
    return replace(plan_restart(settings, changes, reading), is_start=True)


def record(state_dir: Path, report: _R) -> _R:
    """Store the events of a deed in an agent's history.

    The deed is done, whatever happens to the record of it: this never raises.

    Returns:
        The report, which says why its events are not in the history if they are not.
    """
    try:
        with History(StateDir(state_dir).history) as history:
            history.append(report.events)
    except (CtconsoleError, OSError) as error:
        return replace(report, unrecorded=f"What was done is not in the history: {error}")
    return report
