"""``ctconsole layouts``: which releases can be read, and how each reading is known to be right."""

from __future__ import annotations

import click

from ctconsole.cli.printing import show_rows
from ctconsole.cli.shown import filtered_rows_options
from ctconsole.model.listing.rows import RowColumn


@click.command(name="layouts")
@filtered_rows_options
def command() -> None:
    """Say which releases of Cilium can be read, and how that was checked.

    A layout is named with --layout where neither the agent nor the maps tell the release.

    \b
    Examples:
      ctconsole layouts
      ctconsole layouts --json
    """
    from ctconsole.model.releases import RELEASES

    columns = (
        RowColumn("layout", "LAYOUT"),
        RowColumn("releases", "RELEASES"),
        RowColumn("conntrack", "CONNTRACK", rank=1),
        RowColumn("lists", "OTHER LISTS", rank=3),
        RowColumn("told_by", "TOLD BY", rank=2),
    )
    rows = [
        {
            "layout": one.layout.value,
            "releases": one.releases,
            "conntrack": one.conntrack,
            "lists": one.lists,
            "told_by": one.tells,
        }
        for one in RELEASES
    ]
    show_rows(rows, columns)
