"""``map list`` of maps that are files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.common import message
from ctconsole.model.listing.rows import ColumnForm, RowColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_SHARES: Final = 10_000

COLUMNS: Final = (
    RowColumn("name", "NAME"),
    RowColumn("node", "NODE", rank=1),
    RowColumn("entries", "ENTRIES", ColumnForm.COUNT),
    RowColumn("max_entries", "MAX", ColumnForm.COUNT, rank=1),
    RowColumn("fill", "FILL", ColumnForm.SHARE),
    RowColumn("group", "GROUP", rank=3),
    RowColumn("path", "FILE", rank=2),
    RowColumn("note", "NOTE", rank=4),
)
"""What people see of each map on a terminal, or where they choose."""


def describe(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], bool]:
    """The maps in files, folders and archives, with the keys `map list --json` has.

    What is not in the files is None: the maximum and the fill where no list of maps, status or
    metrics is among them. Maps of which only these tell have no entries there. What could not be
    read is said.

    Returns:
        The maps, and whether everything could be read.

    Raises:
        FormatError: there is no map in any of them.
        UsageError: a path cannot be read at all.
    """
    from ctconsole.model.catalogue import Group, classify
    from ctconsole.observe.offline import read_offline
    from ctconsole.observe.offline_maps import told_maps

    offline = read_offline(paths)
    maps = told_maps(offline)
    if not maps:
        raise offline.without("a map", paths)
    for note in offline.notes:
        message(f"ctconsole: {note}")
    problems = [*offline.problems, *(one.problem for one in offline.maps if one.problem)]
    for problem in problems:
        message(f"ctconsole: {problem}")
    several = len({one.node for one in maps}) > 1 or any(one.whose for one in maps)
    order = list(Group)
    rows = []
    for one in maps:
        info = one.info
        entry = classify(one.label, info) if info else classify(one.label)
        group = entry.group if entry else Group.OTHER
        node = {"node": one.whose.node or None, "pod": one.whose.pod or None} if several else {}
        row = {
            "name": one.label,
            **node,
            "path": one.file,
            "id": info.id if info and not one.file else None,
            "type": info.type.name if info else None,
            "key_size": info.key_size if info else None,
            "value_size": info.value_size if info else None,
            "entries": one.entries,
            "entries_exact": one.exact,
            "max_entries": one.most,
            "fill": None if one.fill is None else round(one.fill, 6),
            "flags": info.flags if info and one.most else None,
            "memory": info.memlock if info and not one.file else None,
            "group": str(group),
            "note": one.note or (entry.note if entry else ""),
        }
        rows.append(((one.node, order.index(group), one.label), row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])], not problems


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A table for people."""
    from ctconsole.model.text.safe import cell, width
    from ctconsole.model.units import count, share

    wide = width(row["name"] for row in rows)
    for row in rows:
        known = row["key_size"] is not None
        sizes = f"{row['key_size']}/{row['value_size']}" if known else "-"
        entries = "-" if row["entries"] is None else count(row["entries"])
        if row["fill"] is None:
            fill = "-"
        elif row["entries"] is None or not row["max_entries"]:
            fill = share(round(row["fill"] * _SHARES), _SHARES)
        else:
            fill = share(row["entries"], row["max_entries"])
        most = f" of {count(row['max_entries'])}" if row["max_entries"] and not row["path"] else ""
        node = f"{cell(row.get('node') or row.get('pod') or '-')}  " if "node" in row else ""
        number = f"  id {row['id']}" if row["id"] else ""
        told = f"  {row['note']}" if not row["path"] or "full by" in row["note"] else ""
        click.echo(
            f"{node}{cell(row['name']):<{wide}}  {entries + most:>10}  {fill:>6}  {sizes:>7}  "
            f"{row['group']:<24}  {cell(row['path'])}{number}{told}".rstrip()
        )
