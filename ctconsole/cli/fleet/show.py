"""``ctconsole fleet show``: a line for each node."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from ctconsole.cli.common import message
from ctconsole.cli.filters import node_filter_option, nodes_where
from ctconsole.cli.fleet.asking import prometheus_options
from ctconsole.cli.printing import show_rows
from ctconsole.cli.shown import columns_by, how, rows_options
from ctconsole.model.listing.rows import ColumnForm, RowColumn
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.fleet.nodes import FleetNode
    from ctconsole.fleet.prometheus import PrometheusClient

COLUMNS: Final = (
    RowColumn("node", "NODE"),
    RowColumn("up", "UP", rank=3),
    RowColumn("fullest", "FULLEST", rank=1),
    RowColumn("fill", "FILL", ColumnForm.SHARE),
    RowColumn("full_in", "FULL IN", ColumnForm.SECONDS),
    RowColumn("entries", "ENTRIES", ColumnForm.COUNT, rank=2),
    RowColumn("living", "LIVING", ColumnForm.COUNT, rank=2),
    RowColumn("evicted", "EVICTED/H", ColumnForm.COUNT),
    RowColumn("refused", "REFUSED/H", ColumnForm.COUNT),
    RowColumn("lost", "LOST/H", ColumnForm.COUNT),
    RowColumn("split", "SPLIT", ColumnForm.COUNT),
    RowColumn("alerts", "ALERTS", ColumnForm.COUNT, rank=2),
    RowColumn("age", "SAMPLE", ColumnForm.SECONDS, rank=4),
    RowColumn("agent_up_for", "AGENT UP", ColumnForm.SECONDS, rank=4),
    RowColumn("release", "RELEASE", rank=5),
)


def _column_names() -> list[str]:
    return [column.name for column in COLUMNS]


@click.command("show")
@prometheus_options
@click.option(
    "--nodes", default=".*", metavar="REGEX", help="Ask only for nodes whose instance is like this."
)
@node_filter_option
@rows_options
@columns_by(_column_names)
def show(*, prometheus: PrometheusClient, nodes: str, where: str | None) -> int:
    """Show every node whose exporter a Prometheus knows: how full, what it lost, how it is.

    On a terminal a console opens: h shows the nodes as a heat map, / filters, enter opens a node,
    ? lists all keys. Into a pipe, and with -o, --limit, --columns, --raw or --watch, they are
    listed. The fullest come first. What Prometheus does not know of a node is shown as -. The exit
    code is 1 where it knows none.

    \b
    Examples:
      ctconsole fleet --prometheus http://prometheus:9090
      ctconsole fleet --nodes 'worker-1.*' --sort full_in
      ctconsole fleet --filter 'fill>80% or split>0' -o csv
    """
    from ctconsole.fleet.looking import FleetLooker

    chosen = nodes_where(where)
    if _wants_console():
        return _open(prometheus, nodes, where or "")
    look = FleetLooker(prometheus, nodes).look()
    rows = [one.as_dict() for one in look.nodes]
    if chosen is not None:
        from ctconsole.model.filter.rows import Listed

        passing = chosen.rows(Listed(rows)).tolist()
        rows = [row for row, passes in zip(rows, passing, strict=True) if passes]
    show_rows(rows, COLUMNS)
    for told in (*look.missing, *look.warnings):
        message(cell(told))
    found = look.nodes
    message(_total(found) if found else "Prometheus knows no node with an exporter of ctconsole's")
    return 0 if found else 1


def _wants_console() -> bool:
    """Whether somebody sits there who asked for no list."""
    context = click.get_current_context()
    listed = ("output", "as_json", "most", "columns", "raw", "watch")
    asked = any(
        context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in listed
    )
    return not asked and sys.stdin.isatty() and sys.stdout.isatty()


def _open(prometheus: PrometheusClient, nodes: str, where: str) -> int:
    """Show the console of the fleet until the person leaves it."""
    from ctconsole.cli.loading import loading

    with loading():
        from ctconsole.cli.settling import settled, themes_beside
        from ctconsole.filterbook import FilterBook
        from ctconsole.fleet.looking import FleetLooker
        from ctconsole.settings.write import remember
        from ctconsole.ui.choices import Choices
        from ctconsole.ui.fleet_app import FleetApp

    settings = settled()
    app = FleetApp(
        prometheus,
        FleetLooker(prometheus, nodes),
        filter_text=where,
        sort=how().sort,
        book=FilterBook(),
        choices=Choices(settings, remember),
        own_themes=themes_beside(settings),
    )
    app.run()
    return app.return_code or 0


def _total(nodes: Sequence[FleetNode]) -> str:
    """All of them in a line."""
    from ctconsole.fleet.nodes import totals
    from ctconsole.model.fullness import DEFAULT_THRESHOLDS
    from ctconsole.model.units import count

    found = totals(nodes, DEFAULT_THRESHOLDS)

    def told(number: int | None) -> str:
        return "?" if number is None else count(number)

    alerts = "" if found.alerts is None else f", {count(found.alerts)} alerts"
    return (
        f"{count(found.nodes)} nodes, {found.down} of them do not answer; {told(found.entries)} "
        f"entries, {told(found.living)} alive; in the last hour {told(found.evicted)} evicted, "
        f"{told(found.refused)} refused, {told(found.lost)} lost; {told(found.split)} split brains"
        f"{alerts}"
    )
