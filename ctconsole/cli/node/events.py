"""``ctconsole events``: what happened to maps and agent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.filters import event_filter_option, events_where
from ctconsole.cli.options import GivenPath, read_history_option
from ctconsole.cli.shown import columns_by, how, lines_option, sort_option, watch_option
from ctconsole.cli.told import LineTeller
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ctconsole.model.event import Event, EventKind
    from ctconsole.model.filter.events import EventFilter

EVENT_COLUMNS = ("id", "time", "kind", "level", "source", "subject", "message", "fields")
"""The columns of events."""


@click.command(name="events")
@read_history_option
@click.option(
    "--history",
    "file",
    type=GivenPath(),
    metavar="FILE",
    help="A history file, instead of the one of a state folder.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on.")
@click.option("--limit", "-n", type=click.IntRange(1), metavar="N", help="Only the last N.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="Only this kind, e.g. map-recreated; may be repeated.",
)
@event_filter_option
@click.option("--all", "everything", is_flag=True, help="Events of level debug too.")
@lines_option
@sort_option
@watch_option
@columns_by(lambda: EVENT_COLUMNS)
def command(  # noqa: PLR0917 - click hands every option over
    state_dir: Path | None,
    file: Path | None,
    follow: bool,
    limit: int | None,
    kinds: tuple[str, ...],
    where: str | None,
    everything: bool,
) -> None:
    """Show what happened to maps, programs and agent, oldest first, or in the order of --sort.

    \b
    Examples:
      ctconsole events -n 20
      ctconsole events --kind map-recreated --kind map-removed
      ctconsole events --sort kind --columns time,kind,message -o csv
      ctconsole events --filter 'level>=warning age<1h or kind:map-*'
      ctconsole events --follow --json --state-dir /run/ctconsole/labs/lab/state
    """
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.history import History
    from ctconsole.model.event import Level, as_it_happened

    told = LineTeller(EVENT_COLUMNS)
    _refuse_unending(follow=follow)
    path = file or StateDir(state_dir or default_state_dir()).history
    wanted, chosen = _kinds(kinds), events_where(where)
    with History(path, create=follow) as history:
        newest = limit is not None and chosen is None and not how().sort
        found = history.read(
            limit=limit if newest else None, kinds=wanted, newest=newest, debug=everything
        )
        last = found[-1][0] if found else 0
        found = [one for one, passes in zip(found, passing(chosen, found), strict=True) if passes]
        if how().sort:
            shown_now = _sorted(found)[:limit]
        else:
            shown_now = list(as_it_happened(found if limit is None else found[-limit:]))
        for number, event in shown_now:
            print_event(event, told, number=number, at_once=False)
        if follow:
            for number, event in history.follow(last):
                shown = everything or event.level is not Level.DEBUG
                if (
                    shown
                    and (wanted is None or event.kind in wanted)
                    and passing(chosen, [(number, event)])[0]
                ):
                    print_event(event, told, number=number)


def _refuse_unending(*, follow: bool) -> None:
    """Say what cannot be had of a list that has no end.

    Raises:
        click.UsageError: it was asked for.
    """
    again = click.get_current_context().params.get("watch") is not None
    if follow and (how().sort or again):
        raise click.UsageError("--follow goes on for ever, and excludes --sort and --watch.")


def _sorted(found: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """In the order that was asked for; those of one value as they happened."""
    from ctconsole.model.event import as_it_happened
    from ctconsole.model.listing.rows import columns_of, sorted_rows

    known = dict(as_it_happened(found))
    rows = [_as_dict(number, event) for number, event in known.items()]
    in_order = sorted_rows(rows, columns_of(rows), how().sort) if rows else []
    return [(row["id"], known[row["id"]]) for row in in_order]


def passing(chosen: EventFilter | None, events: Sequence[tuple[int, Event]]) -> list[bool]:
    """Whether each event passes a filter, now."""
    if chosen is None:
        return [True] * len(events)
    import time

    from ctconsole.model.filter.events import Happened

    return list(chosen.rows(Happened([event for _, event in events], time.time())).tolist())


def _kinds(names: Iterable[str]) -> frozenset[EventKind] | None:
    """The kinds of these names, None for all.

    Raises:
        UsageError: there is no such kind.
    """
    from ctconsole.model.event import EventKind

    known = {kind.value: kind for kind in EventKind}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"{unknown[0]} is no kind of event", hint=f"The kinds are {', '.join(sorted(known))}"
        )
    return frozenset(known[name] for name in names) or None


def print_event(
    event: Event, told: LineTeller, *, number: int | None = None, at_once: bool = True
) -> None:
    """One line on stdout, as it was asked for; programs get its number in the history, too."""
    told.tell(lambda: _line(event), lambda: _as_dict(number, event), at_once=at_once)


def _as_dict(number: int | None, event: Event) -> dict[str, Any]:
    return {
        **({} if number is None else {"id": number}),
        "time": _moment(event.time),
        "kind": event.kind.value,
        "level": event.level.value,
        "source": event.source,
        "subject": event.subject,
        "message": event.message,
        "fields": dict(event.fields),
    }


def _line(event: Event) -> str:
    # A story's sentence says it all; its fields are for programs.
    told = {} if event.kind.value == "story" else event.fields
    fields = " ".join(f"{name}={value}" for name, value in told.items())
    when = _moment(event.time) or "time not told".ljust(29)
    return f"{when}  {event.level.value:<7}  {event.message}  {fields}".rstrip()


def _moment(seconds: float) -> str | None:
    """RFC 3339 with milliseconds and the local offset; None for a time that was not told."""
    if math.isnan(seconds):
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="milliseconds")
