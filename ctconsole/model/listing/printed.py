"""Lists that were read from the tool's text, in our own outputs: what it does not say is null."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from ctconsole.model.listing.rows import csv_writer
from ctconsole.model.text.safe import cell, width
from ctconsole.model.whose import called

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.readers.printed_rows import Row, Value


def render_printed_table(one: Printed) -> Iterator[str]:
    """A list for people: a line about it, a line of names, a line for each row, a blank line."""
    rows = [[cell(_words(row.get(name))) for name in one.columns] for row in one.rows]
    titles = [name.upper() for name in one.columns]
    widths = [width(column) for column in zip(titles, *rows, strict=True)]
    yield f"{called(one.title, one.whose)}: {len(one.rows)} rows, from {cell(one.source)}\n"
    for line in (titles, *rows):
        padded = (text.ljust(wide) for text, wide in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip() + "\n"
    yield "\n"


def _words(value: Value) -> str:
    if value is None:
        return "-"
    return " ".join(value) if isinstance(value, list) else str(value)


def printed_objects(lists: Iterable[Printed]) -> Iterator[str]:
    """Each row as a JSON object."""
    for one in lists:
        for row in one.rows:
            yield json.dumps(_object(one, row))


def _object(one: Printed, row: Row) -> dict[str, object]:
    node = {"node": one.whose.node or None, "pod": one.whose.pod or None} if one.whose else {}
    return {"map": one.label or None, **node, **{name: row.get(name) for name in one.columns}}


def render_printed_csv(lists: Iterable[Printed]) -> Iterator[str]:
    """CSV; every list that has other columns than the one before starts with a line of names."""
    headed: list[str] = []
    for one in lists:
        for row in one.rows:
            found = _object(one, row)
            names = list(found)
            text = io.StringIO()
            writer = csv_writer(text)
            if names != headed:
                headed = names
                writer.writerow(names)
            writer.writerow(
                "|".join(value) if isinstance(value, list) else value for value in found.values()
            )
            yield text.getvalue()
