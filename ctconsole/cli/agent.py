"""``ctconsole agent``: run, ask and stop the embedded agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import (
    GivenPath,
    named_agent_option,
    read_agent_option,
    written_agent_option,
)
from ctconsole.cli.plans import is_confirmed
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option
from ctconsole.cli.wing import Verbs
from ctconsole.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.agent.control import AgentStatus
    from ctconsole.agent.state import AgentSettings
    from ctconsole.manager.restart import RestartReport

_F = TypeVar("_F", bound="Callable[..., Any]")


def _settings_options(function: _F) -> _F:
    """What a start takes, but for whose agent it is."""
    for option in (
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option that wins over the config folder; may be repeated.",
        ),
        click.option(
            "--netns", metavar="NAME", help="The network namespace of the agent's endpoints."
        ),
        click.option(
            "--bpf-root",
            type=GivenPath(),
            metavar="DIR",
            help="The bpffs to pin maps on.  [default: /sys/fs/bpf]",
        ),
        click.option(
            "--config-dir",
            type=GivenPath(),
            metavar="DIR",
            help="A folder with one file for each option, named as the option.",
        ),
    ):
        function = option(function)
    return function


def settings_of(state_dir: Path | None, **given: Any) -> AgentSettings:  # noqa: ANN401 - click's values
    """Settings from the command line over those of the last start over the defaults."""
    from dataclasses import replace

    from ctconsole.agent.state import AgentSettings, StateDir, default_state_dir

    folder = (state_dir or default_state_dir()).absolute()
    last = StateDir(folder).load_settings()
    settings = last or AgentSettings(folder)
    options = {**settings.options, **parse_options(given.pop("options", ()))}
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(settings, state_dir=folder, options=options, **changed)


def parse_options(texts: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` arguments as a mapping.

    Raises:
        UsageError: one has no ``=``.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text} has no value", hint="Give --option NAME=VALUE")
        found[name.removeprefix("--")] = value
    return found


@click.group(name="agent", cls=Verbs)
def command() -> None:
    """Run the embedded agent: it makes Cilium's maps, loads the programs, collects garbage.

    Stopping it removes nothing: programs keep forwarding and maps stay pinned.

    \b
    Examples:
      ctconsole agent start --config-dir ./config --bpf-root /tmp/bpf
      ctconsole agent restart --option bpf-ct-global-tcp-max=1048576
      ctconsole agent status --json
    """


_yes_option = click.option(
    "--yes",
    is_flag=True,
    help="Do it even where entries are lost; without this it tells what would be, and a terminal "
    "is asked.",
)


@command.command()
@_settings_options
@named_agent_option
@_yes_option
@json_option
def start(*, yes: bool, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - click's values
    """Start the agent and wait until it is ready.

    Settings not given are those of the last start on the same state folder.

    Maps that are there and not as the options say are REMOVED WITH EVERY ENTRY IN THEM and made
    again. Where entries would be lost it prints what that costs, and what would keep them, and has
    the name of the map typed; without a terminal, or with --json, it starts nothing (exit code 1)
    unless --yes is given.

    \b
    Examples:
      ctconsole agent start
      ctconsole agent start --config-dir mount/configmap --netns node1
      ctconsole agent start --option enable-ipv6=false --option conntrack-gc-interval=30s
      ctconsole agent start --option bpf-ct-global-tcp-max=1048576 --yes
    """
    from functools import partial

    from ctconsole.agent import control
    from ctconsole.kernel.gate import Gate
    from ctconsole.node.acts import plan_begin, start_agent
    from ctconsole.node.reading import reading_of_node

    changes = parse_options(given["options"])
    settings = settings_of(**given)
    control.require_none(settings)
    plan = plan_begin(settings, changes, partial(reading_of_node, settings.bpf_root))
    if not is_confirmed(plan, yes=yes, as_json=as_json):
        return 1
    _tell(*start_agent(Gate.open(), settings, plan, losing=yes), as_json=as_json)
    return 0


@command.command()
@_settings_options
@written_agent_option
@_yes_option
@json_option
def restart(*, yes: bool, as_json: bool, **given: Any) -> int:  # noqa: ANN401 - click's values
    """Stop the agent if it runs, and start it with the settings it had.

    Maps whose properties changed are REMOVED WITH EVERY ENTRY IN THEM and made again. Where entries
    would be lost it prints what that costs, and what would keep them, and has the name of the map
    typed; without a terminal, or with --json, it changes nothing (exit code 1) unless --yes is
    given.

    \b
    Examples:
      ctconsole agent restart
      ctconsole agent restart --option bpf-ct-global-tcp-max=1048576
      ctconsole agent restart --option bpf-ct-global-tcp-max=1048576 --yes
    """
    from functools import partial

    from ctconsole.kernel.gate import Gate
    from ctconsole.node.acts import plan_restart, restart_agent
    from ctconsole.node.reading import reading_of_node

    changes = parse_options(given["options"])
    settings = settings_of(**given)
    plan = plan_restart(settings, changes, partial(reading_of_node, settings.bpf_root))
    if not is_confirmed(plan, yes=yes, as_json=as_json):
        return 1
    _tell(*restart_agent(Gate.open(), settings, {}, plan, losing=yes), as_json=as_json)
    return 0


def _tell(report: RestartReport, after: AgentStatus, *, as_json: bool) -> None:
    """Print the agent that runs now, and what became of the maps.

    Raises:
        AgentError: a program never runs.
    """
    if report.lost:
        message(f"{report.lost:,} entries were lost with the maps that were re-created")
    _show(after, as_json=as_json)
    for row in report.rows:
        message(row.text)
    if report.failure:
        raise AgentError(report.failure)


@command.command()
@read_agent_option
@json_option
def status(state_dir: Path | None, as_json: bool) -> int:
    """Say whether the agent runs, and with what. Exit code 1 if it is not ready.

    \b
    Examples:
      ctconsole agent status
      ctconsole agent status --state-dir /run/ctconsole/labs/lab1/state --json
    """
    from ctconsole.agent import control

    found = control.status(settings_of(state_dir))
    _show(found, as_json=as_json)
    return 0 if found.ready else 1


@command.command()
@written_agent_option
def stop(state_dir: Path | None) -> None:
    """Stop the agent; programs stay attached and maps pinned.

    \b
    Example:
      ctconsole agent stop
    """
    from ctconsole.agent import control

    was_running = control.stop(settings_of(state_dir))
    message("The agent has stopped" if was_running else "No agent was running")


@command.command(hidden=True)
@click.option("--settings", "text", required=True)
@click.option("--ready-fd", type=int)
@click.option("--lock-fd", type=int)
@click.option("--detach", is_flag=True)
@click.option("--yes", is_flag=True)
def run(text: str, ready_fd: int | None, lock_fd: int | None, detach: bool, yes: bool) -> None:
    """Be the agent, in the foreground unless told to detach.

    Where entries would be lost with maps that are not as the options say it ends at once, unless
    --yes is given.
    """
    from ctconsole.agent import daemon
    from ctconsole.agent.state import AgentSettings

    settings = AgentSettings.from_json(text)
    daemon.run(settings, ready_fd=ready_fd, lock_fd=lock_fd, detach=detach, losing=yes)


def _show(found: AgentStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(found))
        return
    if not found.running:
        click.echo("not running")
        return
    state = "ready" if found.ready else "starting or stopping"
    click.echo(f"{state}, process {found.pid}")
    if found.settings:
        click.echo(f"state folder   {found.settings.state_dir}")
        click.echo(f"config folder  {found.settings.config_dir or '-'}")
        click.echo(f"bpffs          {found.settings.bpf_root}")
        click.echo(f"namespace      {found.settings.netns or '-'}")
    click.echo(f"endpoints      {len(found.endpoints)}")
    click.echo(f"maps           {len(found.maps)}")
    for name in ("bpf-ct-global-tcp-max", "bpf-ct-global-any-max"):
        click.echo(f"{name}  {found.config.get(name, '-')}")
    if found.gc:
        last = found.gc
        done = f"{last['deleted']} deleted, {last['alive']} alive" if last["time"] else "none yet"
        click.echo(f"last GC pass   {done}; every {last['interval']:g} s")
        for line in _gc_details(last):
            click.echo(line)


def _gc_details(last: Mapping[str, Any]) -> Iterator[str]:
    """What is only worth a line where there is something."""
    if last.get("nat_alive") is not None:
        yield (
            f"NAT entries    {last['nat_alive']} alive, {last['nat_deleted']} deleted, "
            f"{last['nat_orphans']} without a connection, {last['nat_purged']} of them deleted"
        )
    if last.get("evicted_total"):
        yield f"evicted        about {last['evicted_total']} entries since the start"
    if last.get("records_lost"):
        yield f"records lost   {last['records_lost']} of the datapath's events"


def as_dict(found: AgentStatus) -> dict[str, Any]:
    """A status as JSON shows it."""
    settings = found.settings
    return {
        "running": found.running,
        "ready": found.ready,
        "pid": found.pid,
        "started": found.started,
        "state_dir": str(settings.state_dir) if settings else None,
        "config_dir": str(settings.config_dir) if settings and settings.config_dir else None,
        "bpf_root": str(settings.bpf_root) if settings else None,
        "netns": settings.netns if settings else None,
        "config": dict(found.config),
        "endpoints": list(found.endpoints),
        "maps": dict(found.maps),
        "gc": dict(found.gc),
    }
