"""``ctconsole watch``: follow a node without the console, and tell each restart as a story."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import click

from ctconsole.cli.common import message
from ctconsole.cli.filters import event_filter_option, events_where
from ctconsole.cli.node.events import EVENT_COLUMNS, passing, print_event
from ctconsole.cli.options import (
    GivenPath,
    Seconds,
    for_option,
    state_dir_option,
    watched_root_option,
)
from ctconsole.cli.shown import columns_by, lines_option
from ctconsole.cli.told import LineTeller
from ctconsole.config import HISTORY_MAX_AGE, HISTORY_MAX_EVENTS
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ctconsole.model.event import Event
    from ctconsole.model.filter.events import EventFilter
    from ctconsole.observe.discovery import NodeFacts


_FIRST_LOOK = 10.0
"""Seconds the first look at a node gets before the wait for an end begins."""


@click.command(name="watch")
@watched_root_option
@state_dir_option
@click.option(
    "--history",
    "file",
    type=GivenPath(),
    metavar="FILE",
    help="Keep the events in this history, instead of the one of a state folder.",
)
@click.option(
    "--history-max-age",
    "max_age",
    type=Seconds(min=0.0),
    default=HISTORY_MAX_AGE,
    show_default=True,
    metavar="SECONDS",
    help="Age at which events leave the history; 0 keeps them.",
)
@click.option(
    "--history-max-events",
    "max_events",
    type=click.IntRange(min=0),
    default=HISTORY_MAX_EVENTS,
    show_default=True,
    metavar="NUMBER",
    help="Events the history keeps; 0 keeps all.",
)
@click.option(
    "--agent-log",
    "agent_log",
    metavar="FILE|-|journal",
    help="Also read what the node's agent writes to its log from now on: a file, standard input, "
    "or systemd's journal.",
)
@click.option(
    "--log",
    "log",
    metavar="FILE|-",
    help="Read a saved log from its beginning, or those in an archive, not the node; - is standard "
    "input.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes to the log.")
@click.option(
    "--window",
    type=Seconds(min=1.0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long after a restart programs and returning entries are followed.",
)
@for_option
@event_filter_option
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="End after N events.")
@lines_option
@columns_by(lambda: EVENT_COLUMNS)
def command(  # noqa: PLR0917 - click hands every option over
    bpf_root: Path,
    state_dir: Path | None,
    file: Path | None,
    max_age: float,
    max_events: int,
    agent_log: str | None,
    log: str | None,
    follow: bool,
    window: float,
    seconds: float | None,
    where: str | None,
    limit: int | None,
) -> None:
    """Follow a node's agent, pins, programs and log; nothing on the node is changed.

    Every map pinned, unpinned or replaced, the agent's process going and coming, its changed
    flags and the lines of its log are printed and kept in a history. Each restart is told as
    one story when its window is over. With --log the stories in a log alone are told, each with
    its day, and of each pod or host its own; they are kept only with --history. A filter chooses
    what is printed, not what is kept.

    \b
    Examples:
      ctconsole watch
      ctconsole watch --agent-log journal --json
      ctconsole watch --filter 'kind:story or level>=warning'
      ctconsole watch --log cilium-agent.log
      kubectl logs -f --prefix -n kube-system -l k8s-app=cilium | ctconsole watch --log -
    """
    if follow and log is None:
        raise click.UsageError("--follow is for --log; a node is followed in any case.")
    wanted = _Wanted(file, max_age, max_events, window, seconds, events_where(where), _Lines(limit))
    if log == "journal":
        agent_log, log = log, None
    if log is not None:
        if agent_log is not None:
            raise click.UsageError("--log reads a log alone; --agent-log a node's beside it.")
        _tell_log(log, wanted, follow=follow)
        return
    _follow_node(bpf_root, state_dir, agent_log, wanted)


class _Lines:
    """Prints events, at most so many; `done` is set with the last of them."""

    def __init__(self, limit: int | None) -> None:
        self._told = LineTeller(EVENT_COLUMNS)
        self._left = limit
        self.done = threading.Event()

    def __call__(self, event: Event, *, at_once: bool) -> None:
        if self.done.is_set():
            return
        print_event(event, self._told, at_once=at_once)
        if self._left is not None:
            self._left -= 1
            if not self._left:
                self.done.set()


class _Wanted(NamedTuple):
    """What both ways share: the history and what it keeps, the times, and how to print."""

    history: Path | None
    max_age: float
    max_events: int
    window: float
    seconds: float | None
    chosen: EventFilter | None
    lines: _Lines

    def tell(self, event: Event, *, at_once: bool = True) -> None:
        """Print an event that passes the filter."""
        if passing(self.chosen, [(0, event)])[0]:
            self.lines(event, at_once=at_once)


def _tell_log(log: str, wanted: _Wanted, *, follow: bool) -> None:
    """The events and stories of a log alone."""
    import math

    from ctconsole.history import History, Retention
    from ctconsole.observe.savedlog import LogStories, lines_of, written_at

    keep = Retention(wanted.max_age, wanted.max_events)
    end = math.inf if wanted.seconds is None else time.monotonic() + wanted.seconds
    stories = LogStories(wanted.window, written_at(log))
    told = untold = 0
    with ExitStack() as opened:
        history = None
        if wanted.history:
            history = opened.enter_context(History(wanted.history, keep=keep))

        def show(events: Iterable[Event]) -> None:
            nonlocal told, untold
            for event in events:
                told += 1
                wanted.tell(event, at_once=follow or log == "-")
                if math.isnan(event.time):
                    untold += 1
                elif history is not None:
                    history.append([event])

        ended = wanted.lines.done.is_set
        lines = lines_of(log, lambda: ended() or time.monotonic() >= end, follow=follow)
        failed = _failure_in(lambda: show(stories.tell(lines)))
        show(stories.finish())
    if not told and failed is None:
        message(f"{log}: no line tells of a map, an option, the collector or a restart")
    if stories.no_year:
        message("The log tells no year: of each day the last one there was is meant")
    if untold and history is not None:
        message(f"{untold} events whose time is not told are not kept in {wanted.history}")
    if failed is not None:
        raise failed


def _failure_in(telling: Callable[[], None]) -> UsageError | None:
    """What ended a telling early: what was told before it goes on as if nothing came after."""
    try:
        telling()
    except KeyboardInterrupt:
        message("Ending; a story under way is told as far as it goes")
    except UsageError as error:
        return error
    return None


def _follow_node(bpf_root: Path, state_dir: Path | None, log: str | None, wanted: _Wanted) -> None:
    """Everything that happens on a node from now on."""
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.history import History, Retention
    from ctconsole.node.owner import discover_node
    from ctconsole.observe import tail
    from ctconsole.observe.watcher import Watcher
    from ctconsole.recorder import Recorder

    end = None if wanted.seconds is None else time.monotonic() + wanted.seconds
    facts = discover_node(bpf_root)
    path = wanted.history or StateDir(state_dir or default_state_dir()).history
    over = wanted.lines.done
    failures: list[OSError] = []

    def show(event: Event) -> None:
        try:
            wanted.tell(event)
        except OSError as error:
            failures.append(error)
            over.set()

    def left(most: float | None = None) -> float | None:
        """Seconds until the end, at most so many."""
        if end is None:
            return most
        rest = max(0.0, end - time.monotonic())
        return rest if most is None else min(rest, most)

    with History(path, keep=Retention(wanted.max_age, wanted.max_events)) as history:
        record = Recorder(history.append, source="observe", subject=str(path), tell=show)
        source = None if log is None else lambda stopped: tail.follow(log, stopped, idle=True)
        watcher = Watcher(
            bpf_root,
            record,
            window=wanted.window,
            log=source,
            history=path,
            agent=facts.agent,
        )
        try:
            watcher.start(left(_FIRST_LOOK) or 0.0)
            # Said now, because what happens before the first look is not seen.
            message(f"Watching {facts.globals} ({_who(facts)}); Ctrl-C ends")
            over.wait(left())
        except KeyboardInterrupt:
            message("Ending; a story under way is told as far as it goes")
        finally:
            watcher.close()
    for error in failures:
        raise error


def _who(facts: NodeFacts) -> str:
    """Whose maps these are, for the first line."""
    from ctconsole.node.owner import own_agent

    if facts.agent is not None:
        version = f"Cilium {facts.version.value}" if facts.version else "an unknown release"
        return f"process {facts.agent.process.pid}, {version}"
    if facts.own is not None:
        return f"{own_agent(facts.own)}; it keeps its own history"
    return "no agent runs"
