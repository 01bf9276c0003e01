"""``--filter`` of every verb that has it: the option, and how what it says is read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.errors import CtconsoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from ctconsole.model.ct.query import Query
    from ctconsole.model.filter.events import EventFilter
    from ctconsole.model.filter.maps import MapFilter
    from ctconsole.model.filter.nodes import NodeFilter
    from ctconsole.model.filter.rules import Fields

_F = TypeVar("_F", bound="Callable[..., Any]")

_EXAMPLES = {
    "entries": "'proto:tcp dport:443 state:syn idle<30s src:10.0.0.0/8 !dst:10.0.0.1 risk:breaks'",
    "events": "'level>=warning map:cilium_ct4_global age<1h or kind:map-*'",
    "maps": "'group:conntrack fill>80 or memory>10M'",
    "nodes": "'fill>80% or split>0'",
}


class FilterOption(click.Option):
    """``--filter``: its help and what completes it come from the table of the rows' fields."""

    what = "entries"

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """See click; the table is looked at only when somebody reads the help."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        from ctconsole.model.filter.asking import fields_help

        # Click wraps paragraphs but for those behind a backspace.
        return record[0], f"{record[1]}\n\n\b\n{fields_help(self.what)}"

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See click."""
        del ctx
        from click.shell_completion import CompletionItem

        from ctconsole.filterbook import FilterBook
        from ctconsole.model.filter.complete import completions

        saved: Mapping[str, str] = {}
        # Who presses tab is told nothing; the verb will say what is wrong.
        with suppress(CtconsoleError):
            saved = FilterBook().saved() if "@" in incomplete else {}
        found = completions(incomplete, fields_of(self.what), saved=saved)
        return [CompletionItem(one.text) for one in found]


class _EventsOption(FilterOption):
    what = "events"


class _MapsOption(FilterOption):
    what = "maps"


class _NodesOption(FilterOption):
    what = "nodes"


def _option(kind: type[FilterOption]) -> Callable[[_F], _F]:
    return click.option(
        "--filter",
        "where",
        cls=kind,
        metavar="EXPR",
        help=f"Only {kind.what} that match, e.g. {_EXAMPLES[kind.what]}; ctconsole filter --help "
        "tells the language.",
    )


def filter_option(function: _F) -> _F:
    """``--filter EXPR``: which entries are meant, handed over as ``where``."""
    return _option(FilterOption)(function)


def event_filter_option(function: _F) -> _F:
    """The same for events."""
    return _option(_EventsOption)(function)


def map_filter_option(function: _F) -> _F:
    """The same for maps."""
    return _option(_MapsOption)(function)


def node_filter_option(function: _F) -> _F:
    """The same for the nodes of a fleet."""
    return _option(_NodesOption)(function)


def fields_of(what: str) -> Fields[Any]:
    """What can be asked of entries, events, maps or nodes."""
    from ctconsole.model.ct.query import entry_fields
    from ctconsole.model.filter.events import event_fields
    from ctconsole.model.filter.maps import map_fields
    from ctconsole.model.filter.nodes import node_fields

    places: Mapping[str, Callable[[], Fields[Any]]] = {
        "entries": entry_fields,
        "events": event_fields,
        "maps": map_fields,
        "nodes": node_fields,
    }
    return places[what]()


def saved_filters(where: str) -> Mapping[str, str]:
    """Saved filters, where one may be named."""
    from ctconsole.filterbook import FilterBook

    return FilterBook().saved() if "@" in where else {}


def entries_where(
    where: str | None, bpf_root: Path | None = None, dumps: Sequence[Path] = ()
) -> Query:
    """The filter for entries that was given; with names where it asks for them.

    Args:
        where: as it was given, None for everything.
        bpf_root: where a live node's names are read.
        dumps: files that are read in place of a node.

    Raises:
        FilterError: it cannot be meant.
    """
    from ctconsole.model.ct.query import Query

    query = Query.parse(where or "", saved_filters(where or ""))
    if not query.needs_names or bpf_root is None:
        return query
    from ctconsole.cli.ct.naming import names_for

    return query.named(names_for(dumps, bpf_root))


def events_where(where: str | None) -> EventFilter | None:
    """The filter for events that was given; without one nothing is loaded.

    Raises:
        FilterError: it cannot be meant.
    """
    if not where:
        return None
    from ctconsole.model.filter.events import parse_events

    return parse_events(where, saved_filters(where))


def maps_where(where: str | None) -> MapFilter | None:
    """The filter for maps that was given; without one nothing is loaded.

    Raises:
        FilterError: it cannot be meant.
    """
    if not where:
        return None
    from ctconsole.model.filter.maps import parse_maps

    return parse_maps(where, saved_filters(where))


def nodes_where(where: str | None) -> NodeFilter | None:
    """The filter for nodes that was given; without one nothing is loaded.

    Raises:
        FilterError: it cannot be meant.
    """
    if not where:
        return None
    from ctconsole.model.filter.nodes import parse_nodes

    return parse_nodes(where, saved_filters(where))
