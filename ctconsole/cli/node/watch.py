"""``ctconsole watch``: follow a node without the console, and tell each restart as a story."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from ctconsole.cli.agent import state_dir_option
from ctconsole.cli.common import message
from ctconsole.cli.node.events import print_event
from ctconsole.cli.options import GivenPath, Seconds, bpf_root_option

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.model.event import Event


@click.command(name="watch")
@bpf_root_option
@state_dir_option
@click.option(
    "--history",
    "file",
    type=GivenPath(),
    metavar="FILE",
    help="Keep the events in this history, instead of the one of a state folder.",
)
@click.option(
    "--log",
    "log",
    metavar="FILE|-|journal",
    help="Also read the agent's log: a file, standard input, or systemd's journal.",
)
@click.option(
    "--window",
    type=Seconds(min=1.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long after a restart programs and returning entries are followed.",
)
@click.option(
    "--for",
    "seconds",
    type=Seconds(min=0.0),
    metavar="SECONDS",
    help="End after so long instead of with Ctrl-C.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on each line.")
def command(  # noqa: PLR0917 - click hands every option over
    bpf_root: Path,
    state_dir: Path | None,
    file: Path | None,
    log: str | None,
    window: float,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Follow a node's agent, pins, programs and log; nothing on the node is changed.

    Every map pinned, unpinned or replaced, the agent's process going and coming, its changed
    flags and the lines of its log are printed and kept in a history. Each restart is told as
    one story when its window is over.

    \b
    Examples:
      ctconsole watch
      ctconsole watch --log journal --json
      kubectl logs -f -n kube-system ds/cilium | ctconsole watch --log -
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.history import History
    from ctconsole.observe import logs
    from ctconsole.observe.discovery import discover
    from ctconsole.observe.watcher import Watcher

    facts = discover(bpf_root)
    agent = facts.agent
    version = f"Cilium {facts.version.value}" if facts.version else "an unknown release"
    who = f"process {agent.process.pid}, {version}" if agent else "no agent runs"
    message(f"Watching {facts.globals} ({who}); Ctrl-C ends")
    path = file or StateDir(state_dir or default_state_dir()).history
    broken = threading.Event()
    with History(path) as history:

        def record(events: Iterable[Event]) -> None:
            events = tuple(events)
            history.append(events)
            try:
                for event in events:
                    print_event(event, as_json=as_json)
            except BrokenPipeError:
                broken.set()

        source = None if log is None else lambda stopped: logs.follow(log, stopped)
        with Watcher(bpf_root, record, window=window, log=source, history=path):
            try:
                broken.wait(seconds)
            except KeyboardInterrupt:
                message("Ending; a story under way is told as far as it goes")
    if broken.is_set():
        raise BrokenPipeError
