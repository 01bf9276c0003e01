"""``ctconsole console``: opens the console, and gives it what it may do to the node."""

from __future__ import annotations

import signal
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.gates import gate_hint, gate_options
from ctconsole.cli.loading import loading
from ctconsole.cli.options import (
    Seconds,
    bpf_root_option,
    from_dump_option,
    interval_option,
    layout_option,
    restart_command_option,
    state_dir_option,
)
from ctconsole.cli.settling import look_options, settled, themes_beside
from ctconsole.cli.streams import is_served, need_terminal
from ctconsole.errors import CtconsoleError
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.explain.facts import Known
    from ctconsole.node.actions import NodeActions
    from ctconsole.node.recording import NodeRecorder
    from ctconsole.observe.live import LiveSource
    from ctconsole.settings.read import UserSettings

    Leave = Callable[[], None]


@click.command(name="console")
@bpf_root_option
@layout_option
@state_dir_option
@gate_options
@interval_option("samples")
@click.option(
    "--keep",
    type=Seconds(min=0.0),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How far back [ and t can go, as far as 32 MiB reach; 0 keeps nothing.",
)
@look_options
@restart_command_option
@from_dump_option
def command(
    *,
    bpf_root: Path,
    layout: Layout | None,
    state_dir: Path | None,
    read_only: bool,
    allow_writes: bool,
    interval: float,
    keep: float,
    theme: str | None,
    color: str | None,
    ascii_only: bool | None,
    restart_command: str,
    dumps: tuple[Path, ...],
) -> int:
    """Open the console: the node's maps, their entries, and what happens to them.

    Keys: 1 to 7 switch views, enter opens, / filters, n shows names, D deletes entries, z
    resizes a map, u undoes that, r recreates a map, R restarts the agent, ctrl+g guards the
    tables, w says why, space freezes, [ and ] step through the last minutes, t jumps, o records
    into a file, ? lists all keys, q leaves. Maps of an agent that is not ours are only looked at
    unless --allow-writes is given.

    \b
    Examples:
      ctconsole
      ctconsole console --read-only
      ctconsole console --bpf-root /run/ctconsole/labs/lab1/bpf --interval 0.5
      ctconsole console --from-dump cilium-sysdump.zip
    """
    settings = settled(
        theme=theme, color=color, ascii_only=ascii_only, interval=interval, keep=keep
    )
    if dumps:
        from ctconsole.cli.console_files import open_offline

        return open_offline(dumps, layout=layout, settings=settings)
    return open_console(
        bpf_root,
        state_dir,
        layout=layout,
        read_only=read_only,
        allow_writes=allow_writes,
        settings=settings,
        restart_command=restart_command,
    )


def open_console(
    bpf_root: Path,
    state_dir: Path | None = None,
    *,
    layout: Layout | None = None,
    read_only: bool = False,
    allow_writes: bool = False,
    settings: UserSettings | None = None,
    restart_command: str = "",
    on_open: Callable[[Leave], None] | None = None,
) -> int:
    """Show the console until the person leaves it.

    Args:
        bpf_root: the bpffs whose maps are shown.
        state_dir: the agent's state folder; None finds it by ``bpf_root``.
        layout: of the entries; None finds out.
        read_only: make no write gate.
        allow_writes: make one even where the maps belong to an agent that is not ours.
        settings: what a person has settled; None reads it.
        restart_command: what restarts an agent that is not ours, for a shell.
        on_open: handed a function that ends the console from a signal handler. Without it
            SIGTERM and SIGHUP end the console in good order.

    Returns:
        The exit code.

    Raises:
        UsageError: there is no terminal.
    """
    need_terminal("For scripts there are ctconsole map list, ct list and events, all with -o json")
    # Whoever looks from a browser changes nothing, whatever else was asked for.
    read_only = read_only or is_served()
    with loading():
        from ctconsole.agent.state import StateDir, default_state_dir
        from ctconsole.filterbook import FilterBook
        from ctconsole.kernel.heap import give_back_freed_memory
        from ctconsole.node.names import names_of_node
        from ctconsole.node.owner import agent_of, own_agent_at
        from ctconsole.node.reading import own_policy
        from ctconsole.node.watching import watching
        from ctconsole.observe.agents import find_globals
        from ctconsole.observe.live import LiveSource
        from ctconsole.settings.write import remember
        from ctconsole.ui.app import ConsoleApp
        from ctconsole.ui.choices import Choices

    give_back_freed_memory()
    settings = settings or settled()
    interval = settings.number("interval")
    agent = agent_of(bpf_root / GLOBALS / "any", state_dir)
    if state_dir is None:
        state_dir = agent.state_dir if agent else default_state_dir()
    history = StateDir(state_dir).history
    closed = gate_hint(bpf_root, read_only=read_only, allow_writes=allow_writes)
    if not settings.sure and not allow_writes:
        closed = f"{settings.problems[0]}; correct it, or give --allow-writes if you mean this node"
    source = LiveSource(
        bpf_root,
        history,
        layout,
        policy=partial(own_policy, bpf_root),
        own_agent=own_agent_at,
    )
    actions = None if closed else _actions(source, state_dir, restart_command)
    if actions is not None:
        _end_cut_off(find_globals(bpf_root))
    app = ConsoleApp(
        source,
        actions,
        interval=interval,
        theme=settings.value("theme"),
        names=partial(names_of_node, bpf_root),
        explain=partial(_known, bpf_root, state_dir),
        translated=partial(_translated, find_globals(bpf_root)),
        read_only_hint=closed,
        keep=settings.number("keep"),
        record=partial(_record, bpf_root, layout, interval),
        book=FilterBook(),
        choices=Choices(settings, None if is_served() else remember),
        own_themes=themes_beside(settings),
    )
    if on_open is not None:
        on_open(app.leave)
    watched = watching(bpf_root, history, settings.thresholds, foreign=agent is None)
    with actions or nullcontext(), watched:
        if on_open is not None:
            app.run()
            return app.return_code or 0
        with _ending(app.leave) as ended_by:
            app.run()
    if app.recorded:
        message(app.recorded)
    return 128 + ended_by[0] if ended_by else app.return_code or 0


def _actions(source: LiveSource, state_dir: Path, restart_command: str) -> NodeActions:
    """What may be done to the node; loaded only where something may, as the first screen waits."""
    from ctconsole.kernel.gate import Gate
    from ctconsole.node.actions import NodeActions

    return NodeActions(Gate.open(), state_dir, source.reading, source.facts, restart_command)


def _known(bpf_root: Path, state_dir: Path) -> Known:
    """What answers to an operator's questions rest on; loaded when one is asked."""
    from ctconsole.node.explaining import known_of_node

    return known_of_node(bpf_root, lambda _: None, state_dir=state_dir)


def _translated(folder: Path) -> Mapping[int, Translations]:
    """Whose address translations are in the NAT tables; loaded behind the first screen."""
    from ctconsole.manager.knowledge import read_translated

    return read_translated(folder)


def _record(bpf_root: Path, layout: Layout | None, interval: float, path: Path) -> NodeRecorder:
    """Begin a recording of the node beside what is shown of it."""
    from ctconsole.node.names import names_of_node
    from ctconsole.node.recording import NodeRecorder, source_of_node

    return NodeRecorder(
        path,
        source_of_node(bpf_root, layout),
        interval=interval,
        names=lambda: names_of_node(bpf_root)[0],
    )


def _end_cut_off(folder: Path) -> None:
    """End a resize that a killed process left on another agent's maps, or tell what to do.

    Nobody is made to wait: where that takes time it is told, and left to ``map resize``.
    """
    from ctconsole.kernel.gate import Gate
    from ctconsole.node.resizing import end_cut_off

    try:
        told = end_cut_off(Gate.open(), folder, lambda _: None, 0.0)
    except CtconsoleError as error:
        told = str(error)
    if told:
        message(told)


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
