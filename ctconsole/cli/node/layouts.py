"""``ctconsole layouts``: which releases can be read, and how each reading is known to be right."""

from __future__ import annotations

import click

from ctconsole.cli.common import print_columns, print_json
from ctconsole.cli.options import json_option


@click.command(name="layouts")
@json_option
def command(*, as_json: bool) -> None:
    """Say which releases of Cilium can be read, and how that was checked.

    A layout is named with --layout where neither the agent nor the maps tell the release.

    \b
    Examples:
      ctconsole layouts
      ctconsole layouts --json
    """
    from ctconsole.model.releases import RELEASES

    if as_json:
        print_json(
            [
                {
                    "layout": one.layout.value,
                    "releases": one.releases,
                    "conntrack": one.conntrack,
                    "lists": one.lists,
                    "told_by": one.tells,
                }
                for one in RELEASES
            ]
        )
        return
    rows = [(one.layout, one.releases, one.conntrack, one.lists, one.tells) for one in RELEASES]
    print_columns([("LAYOUT", "RELEASES", "CONNTRACK", "OTHER LISTS", "TOLD BY"), *rows])
