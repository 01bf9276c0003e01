"""``ctconsole fleet``: the nodes of a cluster, as a Prometheus knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import GivenPath
from ctconsole.cli.printing import show_rows
from ctconsole.cli.shown import filtered_rows_options
from ctconsole.errors import UsageError
from ctconsole.model.listing.rows import ColumnForm, RowColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.fleet.nodes import FleetNode


@click.command("fleet")
@click.option(
    "--prometheus",
    "url",
    required=True,
    envvar="CTCONSOLE_PROMETHEUS",
    metavar="URL",
    help="The Prometheus that scrapes the exporters; also by $CTCONSOLE_PROMETHEUS.",
)
@click.option(
    "--token-file", type=GivenPath(), metavar="FILE", help="A bearer token to ask it with."
)
@click.option(
    "--nodes", default=".*", metavar="REGEX", help="Ask only for nodes whose instance is like this."
)
@filtered_rows_options
def command(*, url: str, token_file: Path | None, nodes: str) -> int:
    """Show every node whose exporter a Prometheus knows: how full, what it lost, how it is.

    The fullest come first. What Prometheus does not know of a node is shown as -. The exit code is
    1 where it knows none.

    \b
    Examples:
      ctconsole fleet --prometheus http://prometheus:9090
      ctconsole fleet --nodes 'worker-1.*' --sort full_in
      ctconsole fleet --filter 'fill>0.8 or split>0' -o csv
    """
    from ctconsole.fleet.nodes import fleet_nodes
    from ctconsole.fleet.prometheus import PrometheusClient

    found = fleet_nodes(PrometheusClient(url, _token(token_file)), nodes)
    columns = (
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
        RowColumn("age", "SAMPLE", ColumnForm.SECONDS, rank=4),
        RowColumn("agent_up_for", "AGENT UP", ColumnForm.SECONDS, rank=4),
        RowColumn("release", "RELEASE", rank=5),
    )
    show_rows([one.as_dict() for one in found], columns)
    message(_total(found) if found else "Prometheus knows no node with an exporter of ctconsole's")
    return 0 if found else 1


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _total(nodes: Sequence[FleetNode]) -> str:
    """All of them in a line."""
    from ctconsole.model.units import count

    def add(field: str) -> int:
        return sum(getattr(one, field) or 0 for one in nodes)

    down = sum(one.up is False for one in nodes)
    return (
        f"{count(len(nodes))} nodes, {down} of them do not answer; {count(add('entries'))} "
        f"entries, {count(add('living'))} alive; in the last hour {count(add('evicted'))} evicted, "
        f"{count(add('refused'))} refused, {count(add('lost'))} lost; {add('split')} split brains"
    )
