"""How results are shown: the one place of ``-o``, ``--json``, ``--sort``, ``--limit`` and so on.

A verb is decorated with what it has: `json_option` where it tells one thing, `rows_options` where
it lists things, `lines_option` where it tells of events one by one, `watch_option` to do it again
and again. What was asked for is a `How`; `print_json` and `show_rows` follow it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import wraps
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from ctconsole.cli.streams import Terminal, stream_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ctconsole.model.listing.rows import Paint, RowColumn, TableCell

_F = TypeVar("_F", bound="Callable[..., Any]")

_HOW: Final = "ctconsole.how"
OUTPUTS: Final = ("table", "wide", "json", "ndjson", "csv")
OUTPUT_HELP: Final = (
    "table fits the terminal, wide has all there is; json, ndjson (one object on each line) and "
    "csv are for programs."
)


@dataclass(frozen=True, slots=True)
class How:
    """What the options say of how a result is shown.

    Attributes:
        output: one of `OUTPUTS`, or of a verb's own.
        sort: name of a column, a ``-`` before it turns the order round; empty for none.
        limit: rows shown at most, None for all.
        columns: names of columns, none for those a list has by itself.
        where: the filter, empty for none.
        raw: numbers as they are, in tables too.
    """

    output: str = "table"
    sort: str = ""
    limit: int | None = None
    columns: tuple[str, ...] = ()
    where: str = ""
    raw: bool = False

    @property
    def for_programs(self) -> bool:
        """Whether a program reads it."""
        return self.output in {"json", "ndjson", "csv"}

    @property
    def room(self) -> int | None:
        """Cells in which a table has to fit; None where nobody looks, or all is wanted."""
        return terminal_width() if self.output != "wide" else None

    @property
    def chooses(self) -> bool:
        """Whether it is more than a matter of the output."""
        return bool(self.sort or self.columns or self.limit is not None)


def how() -> How:
    """What was asked of the verb that runs."""
    context = click.get_current_context(silent=True)
    found: How = context.meta.get(_HOW, How()) if context else How()
    return found


def terminal_width() -> int | None:
    """Columns of the terminal on standard output, None where it is none."""
    return stream_width(sys.stdout) if isinstance(sys.stdout, Terminal) else None


class OutputChoice(click.Choice[str]):
    """Outputs; ``text`` is what ``table`` was called where there was no table."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        return str(super().convert("table" if value == "text" else value, param, ctx))


def output_options(
    outputs: Sequence[str] = OUTPUTS, text: str = OUTPUT_HELP, *, short: bool = True
) -> Callable[[_F], _F]:
    """``--output`` and ``--json``, its short form, kept as the `How`; hands over nothing."""

    def add(function: _F) -> _F:
        @wraps(function)
        def run(*, output: str | None, as_json: bool, **given: Any) -> Any:  # noqa: ANN401 - any verb's
            if as_json and output not in {None, "json"}:
                raise click.UsageError(f"--json is -o json, and excludes -o {output}.")
            _keep(output="json" if as_json else output or "table")
            return function(**given)

        names = ("--output", "-o") if short else ("--output",)
        chosen = click.option(
            *names, "output", type=OutputChoice(outputs), help=f"{text}  [default: table]"
        )
        brief = click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
        return chosen(brief(cast("_F", run)))

    return add


def _handing_json(function: _F) -> _F:
    """Hand ``as_json`` over: whether it is for programs."""

    @wraps(function)
    def run(**given: Any) -> Any:  # noqa: ANN401 - any verb's
        return function(as_json=how().for_programs, **given)

    return cast("_F", run)


def json_option(function: _F) -> _F:
    """``--output`` and ``--json``, handed over as ``as_json``; `print_json` does the rest."""
    return output_options()(_handing_json(function))


def long_json_option(function: _F) -> _F:
    """The same for a verb whose ``-o`` is something else."""
    return output_options(short=False)(_handing_json(function))


def lines_option(function: _F) -> _F:
    """``--output`` and ``--json`` of what comes one by one: an object on each line."""
    text = "json and ndjson are the same here: one object on each line."
    return output_options(("table", "json", "ndjson"), text)(_handing_json(function))


def rows_options(function: _F) -> _F:
    """All that a list of rows has, but for the filter, as the `How`; see `show_rows`."""
    return output_options()(choosing_options(function))


def filtered_rows_options(function: _F) -> _F:
    """`rows_options` with a filter that asks for the list's own columns."""

    @wraps(function)
    def run(*, where: str | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        keep_filter(where)
        return function(**given)

    return rows_options(rows_filter_option(cast("_F", run)))


def rows_filter_option(function: _F) -> _F:
    """``--filter`` of rows nobody has described, handed over as ``where``; see `keep_filter`."""
    return click.option(
        "--filter",
        "where",
        metavar="EXPR",
        help="Only rows that match, by the names that --columns takes, e.g. 'id>3 address:10.0.'.",
    )(function)


def keep_filter(where: str | None) -> None:
    """Have `show_rows` and `show_parts` filter by this."""
    _keep(where=where or "")


def _complete_columns(
    context: click.Context, option: click.Parameter, incomplete: str
) -> list[str]:
    """What a shell offers: names of the verb's columns, the last of several."""
    found: Iterable[str] = getattr(context.command.callback, "columns", tuple)()
    before, comma, last = incomplete.rpartition(",")
    sign = "-" if option.name == "sort" and last.startswith("-") else ""
    return [
        f"{before}{comma}{sign}{name}" for name in found if name.startswith(last.removeprefix("-"))
    ]


def columns_by(names: Callable[[], Iterable[str]]) -> Callable[[_F], _F]:
    """Tell the shell which columns a verb has; stands below `choosing_options`."""

    def add(function: _F) -> _F:
        function.columns = names  # type: ignore[attr-defined]  # wraps hands it on
        return function

    return add


def choosing_options(function: _F) -> _F:
    """``--sort``, ``--limit``, ``--columns``, ``--raw`` and ``--watch``."""

    @wraps(function)
    def run(
        *,
        sort: str | None,
        most: int | None,
        columns: str | None,
        raw: bool,
        **given: Any,  # noqa: ANN401 - any verb's
    ) -> Any:  # noqa: ANN401 - any verb's
        names = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
        _keep(sort=sort or "", limit=most, columns=names, raw=raw)
        return function(**given)

    for option in (
        click.option("--raw", is_flag=True, help="Numbers as they are, without units."),
        click.option(
            "--columns",
            shell_complete=_complete_columns,
            metavar="NAME,...",
            help="Only these columns, in this order, in any output.",
        ),
        click.option(
            "--limit",
            "most",
            type=click.IntRange(0),
            metavar="N",
            help="At most so many rows, of each map where a list has several.",
        ),
        click.option(
            "--sort",
            shell_complete=_complete_columns,
            metavar="NAME",
            help="By this column, numbers from the largest on; -NAME turns it round.",
        ),
    ):
        run = option(run)
    return watch_option(cast("_F", run))


def watch_option(function: _F) -> _F:
    """``--watch [SECONDS]``: do it again and again, until Ctrl-C."""

    @wraps(function)
    def run(*, watch: float | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        while watch is not None:
            if isinstance(sys.stdout, Terminal):
                sys.stdout.styled(_CLEAR)
            function(**given)
            sys.stdout.flush()
            time.sleep(watch)
        return function(**given)

    from ctconsole.cli.options import Seconds

    return click.option(
        "--watch",
        is_flag=False,
        flag_value=2.0,
        type=Seconds(min=0.1),
        metavar="[SECONDS]",
        help="Show it again and again, every 2 seconds or as given, until Ctrl-C.",
    )(cast("_F", run))


_CLEAR: Final = "\x1b[H\x1b[2J"
"""To the upper left corner, and nothing left on the screen (ECMA-48 CUP and ED)."""


def _keep(**changes: Any) -> None:  # noqa: ANN401 - a How's fields
    click.get_current_context().meta[_HOW] = replace(how(), **changes)


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
    print_cells(listing.cells_of(chosen, people, raw=asked.raw), people)


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
    from ctconsole.model.listing import rows as listing
    from ctconsole.model.text.safe import cell

    if title:
        click.echo(cell(title))
    if rows:
        print_cells(listing.cells_of(rows, columns, raw=how().raw), columns)
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
