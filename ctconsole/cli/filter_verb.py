"""``ctconsole filter``: the manual of the filter language, and filters saved under a name."""

from __future__ import annotations

import click

from ctconsole.cli.filters import fields_of
from ctconsole.cli.printing import show_rows
from ctconsole.cli.shown import columns_by, filtered_rows_options, how
from ctconsole.cli.wing import Verbs
from ctconsole.model.listing.rows import RowColumn


class _Manual(Verbs):
    """A group whose help is the language's manual."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the manual between the first sentence and the commands, line by line as it is."""
        super().format_help_text(ctx, formatter)
        from ctconsole.model.filter.asking import PLACES
        from ctconsole.model.filter.manual import manual

        formatter.write("\n")
        formatter.write(f"{manual([fields_of(what) for what in PLACES])}\n")


@click.group(name="filter", cls=_Manual)
def command() -> None:
    """Filters choose entries, events and maps: in the console by /, elsewhere by --filter."""


@command.command(name="list")
@filtered_rows_options
@columns_by(lambda: ("name", "text"))
def list_() -> None:
    """List the filters that were saved.

    \b
    Examples:
      ctconsole filter list
      ctconsole filter list --json
    """
    from ctconsole.filterbook import FilterBook

    saved = FilterBook().saved()
    if not saved and not how().for_programs:
        click.echo("None is saved; see ctconsole filter save --help")
        return
    rows = [{"name": f"@{name}", "text": text} for name, text in sorted(saved.items())]
    show_rows(rows, [RowColumn("name", "NAME"), RowColumn("text", "FILTER")], whole=dict(saved))


@command.command()
@click.argument("name")
@click.argument("expr")
def save(*, name: str, expr: str) -> None:
    """Save a filter under a name; in any filter @NAME stands for it.

    It must be one for entries, events or maps.

    \b
    Examples:
      ctconsole filter save web 'dport:80,443 !src:10.0.0.0/8'
      ctconsole ct list --filter '@web state:syn'
    """
    from ctconsole.filterbook import FilterBook
    from ctconsole.model.filter.asking import PLACES
    from ctconsole.model.filter.saving import checked

    book = FilterBook()
    saved = book.saved()
    what = checked(name, expr, [fields_of(place) for place in PLACES], saved)
    book.save(name, expr)
    click.echo(f"@{name} is saved in {book.path}, for {what}")


@command.command()
@click.argument("name")
def drop(*, name: str) -> None:
    """Forget a saved filter.

    \b
    Example:
      ctconsole filter drop web
    """
    from ctconsole.filterbook import FilterBook

    name = name.removeprefix("@")
    FilterBook().drop(name)
    click.echo(f"@{name} is forgotten")
