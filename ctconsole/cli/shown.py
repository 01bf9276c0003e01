"""How results are shown: the one place of ``-o``, ``--json``, ``--sort``, ``--limit`` and so on.

A verb is decorated with what it has: `json_option` where it tells one thing, `rows_options` where
it lists things, `lines_option` where it tells of events one by one, `watch_option` to do it again
and again. What was asked for is a `How`; `ctconsole.cli.printing` follows it.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from ctconsole.cli.streams import Terminal, stream_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


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
    """``--output``, ``--json`` and ``--columns`` of what comes one by one, as the `How`.

    See `ctconsole.cli.told.LineTeller`.
    """

    @wraps(function)
    def run(*, columns: str | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        _keep(columns=_names(columns))
        return function(**given)

    text = (
        "A line for each as it comes: table and wide for people; json and ndjson are the same "
        "here, an object on each line; csv with a line of names first."
    )
    return output_options(text=text)(_COLUMNS(cast("_F", run)))


def sort_option(function: _F) -> _F:
    """``--sort``, as the `How`."""

    @wraps(function)
    def run(*, sort: str | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        _keep(sort=sort or "")
        return function(**given)

    return _SORT(cast("_F", run))


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (columns or "").split(",") if name.strip())


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


_COLUMNS: Final = click.option(
    "--columns",
    shell_complete=_complete_columns,
    metavar="NAME,...",
    help="Only these columns, in this order, in any output.",
)

_SORT: Final = click.option(
    "--sort",
    shell_complete=_complete_columns,
    metavar="NAME",
    help="By this column, numbers from the largest on; -NAME turns it round.",
)


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
        _keep(sort=sort or "", limit=most, columns=_names(columns), raw=raw)
        return function(**given)

    for option in (
        click.option("--raw", is_flag=True, help="Numbers as they are, without units."),
        _COLUMNS,
        click.option(
            "--limit",
            "most",
            type=click.IntRange(0),
            metavar="N",
            help="At most so many rows, of each map where a list has several.",
        ),
        _SORT,
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
