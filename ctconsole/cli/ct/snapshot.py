"""``ctconsole ct snapshot``: conntrack tables as files that databases read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.filters import entries_where, filter_option
from ctconsole.cli.hiding import anonymize_option, hiding_by
from ctconsole.cli.options import (
    GivenPath,
    bpf_root_option,
    check_now,
    from_dump_option,
    layout_option,
    now_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.query import Query
    from ctconsole.node.entries import Part


def _columns(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    from ctconsole.cli.common import print_columns
    from ctconsole.node.snapshots import COLUMNS

    print_columns([(one.name, one.type.replace("word", "text"), one.told) for one in COLUMNS])
    context.exit()


@click.command("snapshot")
@click.option(
    "--parquet",
    "folder",
    type=GivenPath(),
    metavar="DIR",
    required=True,
    help="The folder of all snapshots: DIR/node=NAME/taken=TIME/ct.parquet is written.",
)
@anonymize_option
@click.option(
    "--columns",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_columns,
    help="Say what each column means, and no more.",
)
@filter_option
@from_dump_option
@now_option
@layout_option
@bpf_root_option
def snapshot(
    *,
    folder: Path,
    key_file: Path | None,
    where: str | None,
    dumps: tuple[Path, ...],
    now: int | None,
    layout: Layout | None,
    bpf_root: Path,
) -> int:
    """Write every entry of this node's conntrack tables, or of a dump's, as Parquet.

    DuckDB, Spark, Trino and pandas take the folder of many nodes' snapshots as one table, in which
    node and time are columns. A file is whole or not there, and its user's alone.

    \b
    Examples:
      ctconsole ct snapshot --parquet /var/lib/ctconsole/snapshots
      ctconsole ct snapshot --parquet snapshots --from-dump cilium-sysdump.zip
      ctconsole ct snapshot --parquet for-the-vendor --anonymize ~/.ct-key
      duckdb -c "SELECT node, state, count(*) FROM 'snapshots/*/*/*.parquet' GROUP BY ALL"
    """
    from ctconsole.model.units import count
    from ctconsole.node.entries import decoded
    from ctconsole.node.snapshots import write_snapshots

    check_now(now, dumps)
    query = entries_where(where, bpf_root, dumps)
    problems: list[str] = []
    parts = _chosen(decoded(dumps, now or 0, layout, bpf_root, message), query)
    written = write_snapshots(parts, folder, hiding=hiding_by(key_file), tell=problems.append)
    for one in written:
        click.echo(f"{one.path}: {count(one.entries)} entries")
    for problem in problems:
        message(f"ctconsole: {problem}")
    return 1 if problems else 0


def _chosen(parts: Iterator[Part], query: Query | None) -> Iterator[Part]:
    for part in parts:
        table = part.table
        yield part._replace(table=table.take(query.rows(table)) if query else table)
