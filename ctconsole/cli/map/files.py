"""``map list`` of maps that are files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def describe(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The maps in files, folders and archives, with the keys `map list --json` has.

    What is not in the files is None: the maximum and the fill where ``bpftool map show`` is not
    among them, memory always. What could not be read is said.

    Raises:
        FormatError: there is no map in any of them.
        UsageError: a path cannot be read at all.
    """
    from ctconsole.model.catalogue import Group, classify
    from ctconsole.observe.offline import read_offline

    offline = read_offline(paths)
    if not offline.maps:
        raise offline.without("a map", paths)
    for problem in (*offline.problems, *(one.problem for one in offline.maps if one.problem)):
        message(f"ctconsole: {problem}")
    order = list(Group)
    rows = []
    for one in offline.maps:
        entry = classify(one.info.label, one.info)
        group = entry.group if entry else Group.OTHER
        most = one.info.max_entries
        row = {
            "name": one.info.label,
            "path": one.file,
            "id": None,
            "type": one.info.type.name,
            "key_size": one.info.key_size,
            "value_size": one.info.value_size,
            "entries": len(one.keys),
            "entries_exact": not one.problem,
            "max_entries": most or None,
            "fill": round(len(one.keys) / most, 6) if most and one.info.type.is_hash else None,
            "flags": one.info.flags if most else None,
            "memory": None,
            "group": str(group),
            "note": entry.note if entry else "",
        }
        rows.append(((order.index(group), one.node, one.info.label), row))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A table for people."""
    from ctconsole.model.text.safe import cell, width
    from ctconsole.model.units import count, share

    wide = width(row["name"] for row in rows)
    for row in rows:
        sizes = f"{row['key_size']}/{row['value_size']}"
        fill = share(row["entries"], row["max_entries"]) if row["fill"] is not None else "-"
        click.echo(
            f"{cell(row['name']):<{wide}}  {count(row['entries']):>10}  {fill:>6}  {sizes:>7}  "
            f"{row['group']:<24}  {cell(row['path'])}"
        )
