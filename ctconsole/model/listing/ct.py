"""Our own listings, for programs: JSON, one object per line, and CSV.

Unlike Cilium's JSON they say what a person means: addresses as text from the connection's source
to its destination (also for SERVICE entries, which are stored the other way round), ports and
RevNAT ids in host order, times as RFC 3339 in UTC. What a dump file cannot tell is null, or
empty in CSV.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.model.ct import show
from ctconsole.model.listing.ct_names import name_columns
from ctconsole.model.text.cells import CSV, JSON, Style
from ctconsole.model.text.chunks import chunk_jobs, in_order
from ctconsole.model.text.columns import TextColumn, join, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.field import Cells
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.model.text.chunks import Job

    Bytes: TypeAlias = npt.NDArray[np.uint8]


def render_listing_json(
    tables: Iterable[CtTable], names: Names | None = None, fields: Sequence[str] | None = None
) -> Iterator[memoryview]:
    """All entries of all maps as one JSON array with an object on each line.

    Args:
        tables: the maps.
        names: adds what addresses, services and identities are called; None adds nothing.
        fields: only these of `show.FIELDS`, in this order; None for all.
    """
    empty = True
    for text in _objects(tables, names, fields, before=b",\n", after=b""):
        if empty:
            text[0] = ord("[")
            empty = False
        yield text.data
    yield memoryview(b"[]\n" if empty else b"\n]\n")


def render_listing_ndjson(
    tables: Iterable[CtTable], names: Names | None = None, fields: Sequence[str] | None = None
) -> Iterator[memoryview]:
    """One JSON object per line (see `render_listing_json`)."""
    for text in _objects(tables, names, fields, before=b"", after=b"\n"):
        yield text.data


def render_listing_csv(
    tables: Iterable[CtTable], names: Names | None = None, fields: Sequence[str] | None = None
) -> Iterator[memoryview]:
    """CSV with a line of names; lists are separated by ``|`` (see `render_listing_json`)."""
    for text in in_order(_csv_jobs(tables, names, fields)):
        yield text.data


def _csv_jobs(
    tables: Iterable[CtTable], names: Names | None, fields: Sequence[str] | None
) -> Iterator[Job]:
    headed = False
    for table in tables:
        if len(table) and not headed:
            headed = True
            yield partial(_heading, table, names, fields)
        yield from chunk_jobs(partial(_csv, table, names, fields), len(table))


def _heading(table: CtTable, names: Names | None, fields: Sequence[str] | None) -> Bytes:
    cells = _cells(table.take(slice(0, 1)), CSV, names, fields)
    return np.frombuffer((",".join(name for name, _ in cells) + "\n").encode(), np.uint8)


def _csv(table: CtTable, names: Names | None, fields: Sequence[str] | None, rows: slice) -> Bytes:
    chunk = table.take(rows)
    columns: list[TextColumn] = []
    for _, cell in _cells(chunk, CSV, names, fields):
        columns += [*([literal(b",")] if columns else []), *cell]
    return join([*columns, literal(b"\n")], len(chunk))


def _objects(
    tables: Iterable[CtTable],
    names: Names | None,
    fields: Sequence[str] | None,
    *,
    before: bytes,
    after: bytes,
) -> Iterator[Bytes]:
    def objects(table: CtTable, rows: slice) -> Bytes:
        chunk = table.take(rows)
        columns: list[TextColumn] = []
        opening = before + b"{"
        for name, cell in _cells(chunk, JSON, names, fields):
            columns += [literal(opening + b'"%s": ' % name.encode()), *cell]
            opening = b", "
        return join([*columns, literal(b"}" + after)], len(chunk))

    return in_order(
        job for table in tables for job in chunk_jobs(partial(objects, table), len(table))
    )


def _cells(
    table: CtTable, style: Style, names: Names | None, fields: Sequence[str] | None
) -> Cells:
    """What a listing says of every entry, in its order."""
    known = {field.name: field for field in show.FIELDS if field.cells}
    chosen = known.values() if fields is None else [known[name] for name in fields]
    cells = [cell for field in chosen if field.cells for cell in field.cells(table, style)]
    if names is None:
        return cells
    return cells + [(name, [column]) for name, column in name_columns(table, names, style)]
