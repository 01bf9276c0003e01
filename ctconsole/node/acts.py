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
from ctconsole.errors import CtconsoleError
from ctconsole.history import History
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.changing import changing
from ctconsole.manager.interrupts import Interrupts
from ctconsole.manager.recreate import RecreateReport, plan_recreate, recreate
from ctconsole.manager.restart import Aftermath, Lossless, RestartReport
from ctconsole.manager.restart import plan_restart as plan_start
from ctconsole.manager.running import Running, watch
from ctconsole.model.catalogue import option_of, twins_of
from ctconsole.node.flushing import flush
from ctconsole.node.resizing import sized_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.agent.control import AgentStatus
    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreatePlan
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.manager.restart import RestartPlan
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
) -> tuple[RestartReport, AgentStatus]:
    """Restart our agent, with other options where wished; see `ctconsole.agent.control.restart`.

    Where it gave a map another size its programs are watched for a moment.

    Args:
        gate: the write gate.
        settings: how it is started.
        changes: options that are set where they were before.
        plan: of `plan_restart`, if there is one: what it forecast is told beside what became of it.

    Returns:
        What became of its maps, as far as the agents before and after told, and what the new one
        tells of itself.
    """
    before = control.status(settings)
    with Aftermath(plan.maps if plan else ()) as aftermath:
        started = time.monotonic()
        after = control.restart(settings, changes)
        seconds = time.monotonic() - started
        aftermath.look()
    renewed = {
        name: number
        for name, number in after.maps.items()
        if before.maps.get(name, number) != number
    }
    # Some maps are made anew at every start, and programs that use no other are not watched.
    sized = [number for name, number in renewed.items() if option_of(name)]
    report = RestartReport(
        pid=after.pid,
        seconds=seconds,
        renewed=renewed,
        known=bool(before.maps and after.maps),
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
    config, _ = replace(settings, options={**settings.options, **changes}).read_config()
    endpoints = load_endpoints(settings.state_dir)
    plan = plan_start(
        settings.state_dir,
        config,
        settings.bpf_root,
        endpoints,
        changes=changes,
        reading=reading,
    )
    return replace(plan, lossless=tuple(_lossless(plan)))


def _lossless(plan: RestartPlan) -> Iterator[Lossless]:
    """Resizes that keep what a restart would lose; none where no agent runs that could do them."""
    folder = StateDir(plan.agent)
    running = folder.load_settings() if folder.running_pid() is not None else None
    left = {one.path: one for one in plan.maps if option_of(one.path.name)}
    # Tables that follow others in size come with those whose option is changed.
    for path in sorted(left, key=lambda path: option_of(path.name) not in plan.changes):
        if running is None or path not in left:
            continue
        size = left[path].wish.max_entries
        together = sized_with(running, {str(option_of(path.name)): str(size)})
        kept = [left.pop(one) for one in (path, *together) if one in left and one in together]
        if any(one.entries for one in kept):
            fits = all(one.entries <= one.wish.max_entries for one in kept)
            yield Lossless(tuple(one.path.name for one in kept), size, fits)


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
