"""``ctconsole console``: opens the console, and gives it what it may do to the node."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctconsole.cli.gates import gate_hint, gate_options
from ctconsole.cli.options import (
    GivenPath,
    Seconds,
    bpf_root_option,
    from_dump_option,
    layout_option,
)
from ctconsole.errors import AgentError, UsageError
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import PurePath
    from types import FrameType

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.recreate import RecreatePlan, RecreateReport
    from ctconsole.manager.restart import RestartPlan, RestartReport
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.query import Query
    from ctconsole.model.plan import Plan, Report
    from ctconsole.node.flushing import FlushPlan, FlushReport

    Leave = Callable[[], None]


@click.command(name="console")
@bpf_root_option
@layout_option
@click.option(
    "--state-dir",
    type=GivenPath(),
    metavar="DIR",
    help="State folder of the agent whose events are shown and that can be restarted; without "
    "it the one that looks after the maps below --bpf-root.",
)
@gate_options
@click.option(
    "--interval",
    type=Seconds(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two samples.",
)
@click.option("--theme", metavar="NAME", help="Colours to start with; ctrl+p lists them all.")
@from_dump_option
def command(
    *,
    bpf_root: Path,
    layout: Layout | None,
    state_dir: Path | None,
    read_only: bool,
    allow_writes: bool,
    interval: float,
    theme: str | None,
    dumps: tuple[Path, ...],
) -> int:
    """Open the console: the node's maps, their entries, and what happens to them.

    Keys: 1 to 5 switch views, enter opens, / filters, n shows names, D deletes entries, r
    recreates a map, R restarts the agent, space freezes, ? lists all keys, q leaves. Maps of an
    agent that is not ours are only looked at unless --allow-writes is given.

    \b
    Examples:
      ctconsole
      ctconsole console --read-only
      ctconsole console --bpf-root /run/ctconsole/labs/lab1/bpf --interval 0.5
      ctconsole console --from-dump cilium-sysdump.zip
    """
    if dumps:
        from ctconsole.cli.console_files import open_offline

        return open_offline(dumps, layout=layout, theme=theme or "")
    return open_console(
        bpf_root,
        state_dir,
        layout=layout,
        read_only=read_only,
        allow_writes=allow_writes,
        interval=interval,
        theme=theme or "",
    )


def open_console(
    bpf_root: Path,
    state_dir: Path | None = None,
    *,
    layout: Layout | None = None,
    read_only: bool = False,
    allow_writes: bool = False,
    interval: float = 2.0,
    theme: str = "",
    on_open: Callable[[Leave], None] | None = None,
) -> int:
    """Show the console until the person leaves it.

    Args:
        bpf_root: the bpffs whose maps are shown.
        state_dir: the agent's state folder; None finds it by ``bpf_root``.
        layout: of the entries; None finds out.
        read_only: make no write gate.
        allow_writes: make one even where the maps belong to an agent that is not ours.
        interval: seconds between two samples.
        theme: name of a theme, empty for the default.
        on_open: handed a function that ends the console from a signal handler. Without it
            SIGTERM and SIGHUP end the console in good order.

    Returns:
        The exit code.

    Raises:
        UsageError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The console needs a terminal, and there is none on standard input and output",
            hint="For scripts there are ctconsole map list, ct list and events, all with --json",
        )
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.knowledge import read_translated
    from ctconsole.node.names import names_of_node
    from ctconsole.node.owner import agent_of
    from ctconsole.node.reading import own_policy
    from ctconsole.node.watching import watching
    from ctconsole.observe.discovery import find_globals
    from ctconsole.observe.live import LiveSource
    from ctconsole.ui.app import ConsoleApp
    from ctconsole.ui.themes import DEFAULT_THEME

    settings = agent_of(bpf_root / GLOBALS / "any", state_dir)
    if state_dir is None:
        state_dir = settings.state_dir if settings else default_state_dir()
    history = StateDir(state_dir).history
    closed = gate_hint(bpf_root, read_only=read_only, allow_writes=allow_writes)
    gate = Gate.open(read_only=bool(closed))
    app = ConsoleApp(
        LiveSource(bpf_root, history, layout, policy=partial(own_policy, bpf_root)),
        NodeActions(gate, state_dir, layout) if gate else None,
        interval=interval,
        theme=theme or DEFAULT_THEME,
        names=partial(names_of_node, bpf_root),
        translated=partial(read_translated, find_globals(bpf_root)),
        read_only_hint=closed,
    )
    if on_open is not None:
        on_open(app.leave)
    with watching(bpf_root, history, foreign=settings is None):
        if on_open is not None:
            app.run()
            return app.return_code or 0
        with _ending(app.leave) as ended_by:
            app.run()
    return 128 + ended_by[0] if ended_by else app.return_code or 0


@contextmanager
def _ending(leave: Leave) -> Iterator[list[int]]:
    """Turn SIGTERM and SIGHUP into leaving, so that the terminal is given back as it was."""
    ended_by: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        ended_by.append(number)
        leave()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ended_by
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class NodeActions:
    """What the console may do: the manager's and the agent's changes, through the write gate.

    Args:
        gate: the write gate.
        state_dir: state folder of the agent that `restart_agent` restarts.
        layout: of the entries; None finds out.
    """

    def __init__(self, gate: Gate, state_dir: Path, layout: Layout | None = None) -> None:
        self._gate = gate
        self._layout = layout
        self._state_dir = state_dir

    def plan_recreate(self, path: PurePath, max_entries: int) -> RecreatePlan:
        """See `ctconsole.ui.actions.Actions`."""
        from ctconsole.manager.recreate import plan_recreate
        from ctconsole.node.acts import agent_warnings
        from ctconsole.node.owner import agent_of
        from ctconsole.node.reading import reading_of_node

        pin = Path(path)
        plan = plan_recreate(pin, max_entries, reading_of_node(pin.parent, self._layout))
        more = agent_warnings(plan, agent_of(plan.path, self._state_dir))
        return replace(plan, warnings=(*plan.warnings, *more), lasting=more)

    def plan_flush(self, path: PurePath, query: Query, key: bytes | None) -> FlushPlan:
        """See `ctconsole.ui.actions.Actions`."""
        from ctconsole.node.flushing import plan_flush
        from ctconsole.node.reading import reading_of_node

        pin = Path(path)
        return plan_flush(pin, query, key, reading=reading_of_node(pin.parent, self._layout))

    def plan_restart(self, changes: Mapping[str, str]) -> RestartPlan:
        """See `ctconsole.ui.actions.Actions`."""
        from ctconsole.node.acts import plan_restart
        from ctconsole.node.reading import reading_of_node

        settings = self._settings()
        reading = partial(reading_of_node, settings.bpf_root, self._layout)
        return plan_restart(settings, changes, reading)

    def carry_out(self, plan: Plan) -> Report:
        """See `ctconsole.ui.actions.Actions`."""
        from ctconsole.manager.recreate import RecreatePlan
        from ctconsole.manager.restart import RestartPlan
        from ctconsole.node.flushing import FlushPlan

        match plan:
            case RecreatePlan():
                return self.recreate(plan)
            case FlushPlan():
                return self.flush(plan)
            case RestartPlan():
                return self.restart(plan)
            case _:
                raise TypeError(plan)

    def recreate(self, plan: RecreatePlan) -> RecreateReport:
        """Remove the map with all its entries and create it anew, as planned."""
        from ctconsole.node.acts import record, recreate_map
        from ctconsole.node.owner import agent_of

        settings = agent_of(plan.path, self._state_dir)
        report = recreate_map(self._gate, plan, settings)
        if settings is None:
            report = record(self._state_dir, report)
        report.check()
        return report

    def flush(self, plan: FlushPlan) -> FlushReport:
        """Delete what was planned, as far as it still matches."""
        from ctconsole.node.acts import record
        from ctconsole.node.flushing import flush
        from ctconsole.node.owner import agent_of

        report = flush(self._gate, plan)
        settings = agent_of(plan.path, self._state_dir)
        return record(settings.state_dir if settings else self._state_dir, report)

    def agent_sizes(self) -> Mapping[str, int]:
        """See `ctconsole.ui.actions.Actions`."""
        config, _ = self._settings().read_config()
        return {
            "bpf-ct-global-tcp-max": config.bpf_ct_global_tcp_max,
            "bpf-ct-global-any-max": config.bpf_ct_global_any_max,
        }

    def restart(self, plan: RestartPlan) -> RestartReport:
        """Restart our agent.

        A changed option goes where it was set: into the config folder, if the agent has one and
        no flag overrides it there.
        """
        from ctconsole.agent import control
        from ctconsole.manager.restart import RestartReport

        settings = self._settings()
        before = control.status(settings)
        started = time.monotonic()
        after = control.restart(settings, plan.changes)
        return RestartReport(
            pid=after.pid,
            seconds=time.monotonic() - started,
            renewed={
                name: number
                for name, number in after.maps.items()
                if before.maps.get(name, number) != number
            },
            known=bool(before.maps),
        )

    def _settings(self) -> AgentSettings:
        """Those of the last start of our agent."""
        from ctconsole.agent.state import StateDir

        settings = StateDir(self._state_dir).load_settings()
        if settings is None:
            raise AgentError(
                f"No agent of ours was ever started on {self._state_dir}",
                hint="Start one with ctconsole agent start, or name its folder with --state-dir",
            )
        return settings
