"""Printing results as they were asked for (`ctconsole.cli.shown`): for people, or for programs."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ctconsole.cli.shown import how
from ctconsole.cli.streams import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ctconsole.cli.shown import How
    from ctconsole.model.listing.rows import Paint, RowColumn, TableCell

_T = TypeVar("_T")


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[RowColumn] = (),
    *,
    whole: object = None,
) -> None:
    """Print a list as it was asked for.

    Args:
        rows: what JSON shows of each.
        columns: how people see them; without any it is told by the rows themselves.
        whole: the JSON document, where it is more than the rows.
    """
    from ctconsole.model.listing import rows as listing

    asked = how()
    known = [*columns, *_beside(rows, columns)]
    chosen = _chosen(rows, known, asked)
    if asked.for_programs:
        if whole is not None and not (asked.chooses or asked.where) and asked.output == "json":
            _print_document(whole)
            return
        if asked.columns:
            names = [one.name for one in listing.chosen_columns(known, asked.columns, wide=True)]
            chosen = [{name: row.get(name) for name in names} for row in chosen]
        _print_for_programs(chosen, asked.output)
        return
    described = known if asked.columns or not columns else columns
    people = listing.chosen_columns(described, asked.columns, wide=asked.output == "wide")
    _print_table(chosen, people)


def show_reports(
    things: Sequence[_T],
    as_row: Callable[[_T], Mapping[str, Any]],
    show: Callable[[Sequence[_T]], None],
    *,
    whole: object = None,
) -> None:
    """Print a list of which each thing takes some lines; where columns are named it is a table.

    Args:
        things: what is listed.
        as_row: what JSON shows of each.
        show: prints for people those that were asked for.
        whole: the JSON document, where it is more than the rows.
    """
    asked = how()
    rows = [as_row(one) for one in things]
    if asked.for_programs or asked.columns:
        show_rows(rows, whole=whole)
        return
    of_row = {id(row): thing for row, thing in zip(rows, things, strict=True)}
    show([of_row[id(row)] for row in _chosen(rows, _beside(rows, ()), asked)])


def _beside(rows: Sequence[Mapping[str, Any]], columns: Sequence[RowColumn]) -> list[RowColumn]:
    """What rows also have, for whoever names it."""
    from ctconsole.model.listing.rows import columns_of

    described = {one.name for one in columns}
    return [one for one in columns_of(rows) if one.name not in described]


def _chosen(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[RowColumn], asked: How
) -> Sequence[Mapping[str, Any]]:
    """Those that pass the filter, in their order, as many as were asked for."""
    from ctconsole.model.listing.rows import sorted_rows

    if asked.where:
        from ctconsole.cli.filters import saved_filters
        from ctconsole.model.filter.rows import Listed, parse_rows

        passing = parse_rows(asked.where, rows, saved_filters(asked.where)).rows(Listed(rows))
        rows = [row for row, passes in zip(rows, passing.tolist(), strict=True) if passes]
    if asked.sort:
        rows = sorted_rows(rows, columns, asked.sort)
    return rows[: asked.limit]


def print_json(value: object) -> None:
    """Print what programs read: a document, or as ndjson and csv what is in it."""
    asked = how()
    if asked.output in {"ndjson", "csv"}:
        rows = value if isinstance(value, list) else [value]
        _print_for_programs(rows, asked.output)
        return
    _print_document(value)


def _print_document(value: object) -> None:
    import json

    click.echo(json.dumps(value, indent=2, default=str))


def _print_for_programs(rows: Sequence[Any], output: str) -> None:
    import json

    from ctconsole.model.listing.rows import csv_text

    match output:
        case "json":
            _print_document(rows)
        case "ndjson":
            for row in rows:
                click.echo(json.dumps(row, default=str))
        case _:
            objects = [row if isinstance(row, dict) else {"value": row} for row in rows]
            names = list(dict.fromkeys(name for row in objects for name in row))
            if names:
                click.echo(csv_text(objects, names), nl=False)


def _print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[RowColumn]) -> None:
    from ctconsole.model.listing.rows import cells_of

    toned = painter() is not None
    print_cells(cells_of(rows, columns, raw=how().raw, toned=toned), columns)


def print_cells(lines: Iterable[Sequence[TableCell]], columns: Sequence[RowColumn]) -> None:
    """Print a table for people; see `table_lines`."""
    out = sys.stdout.styled if isinstance(sys.stdout, Terminal) else sys.stdout.write
    for line in table_lines(lines, columns):
        out(f"{line}\n")


def table_lines(
    lines: Iterable[Sequence[TableCell]], columns: Sequence[RowColumn]
) -> Iterator[str]:
    """The lines of a table for people, as wide as the terminal and in its colours.

    Args:
        lines: what each shows; the first few thousand say how wide the columns are.
        columns: one for each cell.
    """
    from ctconsole.model.listing.rows import TableLayout, headings

    every = iter(lines)
    first = [headings(columns), *islice(every, _FIRST)]
    layout = TableLayout(first, columns, how().room, painter())
    return (layout.line(cells) for cells in chain(first, every))


_FIRST: Final = 4096
"""Lines that are looked at before one is printed."""


def show_parts(parts: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> None:
    """Print several lists with the same options, each under its own heading.

    A column that only some of them have is asked of these; the others are as they were, and have
    it empty for programs.

    Args:
        parts: a line for people, and what JSON shows of each row.

    Raises:
        UsageError: a column was named that none of them has.
    """
    from ctconsole.model.listing import rows as listing

    asked = how()
    found = [(title, rows, listing.columns_of(rows)) for title, rows in parts]
    every = list({one.name: one for _, _, known in found for one in known}.values())
    if every:
        named = [one.name for one in listing.chosen_columns(every, asked.columns, wide=True)]
        if asked.sort:
            listing.chosen_columns(every, [asked.sort.removeprefix("-")], wide=True)
    told: list[Mapping[str, Any]] = []
    for title, rows, known in found:
        names = {one.name for one in known}
        unsorted = asked.sort.removeprefix("-") not in names
        kept = _chosen(rows, known, replace(asked, sort="") if unsorted else asked) if rows else []
        if asked.for_programs:
            told += [
                {name: row.get(name) for name in named} if asked.columns else row for row in kept
            ]
            continue
        # Every row is of the map in the heading.
        shown = [name for name in asked.columns if name in names] or [
            one.name for one in known if one.name != "map"
        ]
        _show_part(title, kept, listing.chosen_columns(known, shown, wide=True) if known else [])
    if asked.for_programs:
        _print_for_programs(told, asked.output)


def _show_part(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[RowColumn]) -> None:
    """One list for people."""
    from ctconsole.model.text.safe import cell

    if title:
        click.echo(cell(title))
    if rows:
        _print_table(rows, columns)
    click.echo()


_COLOURS: Final[Mapping[str, Mapping[str, Any]]] = {
    "heading": {"bold": True},
    "dim": {"dim": True},
    "accent": {"fg": "cyan"},
    "fresh": {"fg": "green"},
    "second": {"fg": "blue"},
    "closing": {"fg": "yellow"},
    "expired": {"dim": True},
    "ok": {"fg": "green"},
    "warn": {"fg": "yellow"},
    "crit": {"fg": "red", "bold": True},
}
"""The console's tones in the eight colours that every terminal has."""


def painter() -> Paint | None:
    """Draws tones; None where there are no colours."""
    from ctconsole.cli.common import is_coloured

    if not is_coloured():
        return None
    return lambda text, tone: click.style(text, **_COLOURS.get(tone, {}))
