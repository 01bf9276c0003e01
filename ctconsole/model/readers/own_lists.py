"""Our own lists of maps other than conntrack's, as JSON, an object a line, or CSV, read again.

An object or a table is told by its columns, and where some were chosen by the name of its map.
"""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ctconsole.model.readers import documents
from ctconsole.model.readers.lines import LONGEST_TOLD, Sort, Told, ToldLines, lines
from ctconsole.model.readers.printed import MOST_ROWS, Printed
from ctconsole.model.readers.printed_lists import LISTS
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.whose import Named, Whose

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ctconsole.model.readers.documents import Item
    from ctconsole.model.readers.printed_rows import Row, Value

_Place: TypeAlias = "tuple[RecordKind, str, tuple[str, ...], Whose]"

_ABOUT: Final = ("map", "node", "pod")
"""Members that say whose row it is."""

_OBJECT: Final = re.compile(r'\{\s*"map"\s*:\s*(?:null|")')
_LISTED: Final = {RecordKind.SERVICE: "flags", RecordKind.POLICY: "labels"}
"""Columns of several words, which CSV has with bars between."""

_TEXTS: Final = {"protocol", "reason", "file"}
"""Columns that are text though it may look like a number: what has no name."""

_NUMBER: Final = re.compile(r"-?\d{1,20}")
_UNNAMED: Final = "our own list"
_LONGEST_NAME: Final = 400
_FIRST_OBJECTS: Final = 3


@cache
def _kinds() -> dict[frozenset[str], RecordKind]:
    columns = [(frozenset(cell.name for cell in one.cells), one.kind) for one in RECORDS]
    return dict([*columns, *((frozenset(one.columns), one.kind) for one in LISTS)])


@cache
def _columns_of(kind: RecordKind) -> frozenset[str]:
    """Every column that a list of a kind may have."""
    return frozenset(name for names, one in _kinds().items() if one is kind for name in names)


def kind_of(label: str, columns: Collection[str]) -> RecordKind | None:
    """What a row is of, by its columns or its map; None where neither is known."""
    kind = _kinds().get(frozenset(columns))
    if kind is None and len(columns):
        # Some were chosen, or others put beside them.
        named = {one.kind for one in RECORDS if re.fullmatch(one.names, label)}
        kinds = [one for one in named or set(RecordKind) if _columns_of(one).issuperset(columns)]
        kind = kinds[0] if len(kinds) == 1 else None
    return kind


def kind_of_objects(head: str) -> RecordKind | None:
    """What a text lists that begins as one of our own lists in JSON; None for others."""
    decoder = json.JSONDecoder()
    for found in islice(_OBJECT.finditer(head), _FIRST_OBJECTS):
        try:
            item, _ = decoder.raw_decode(head, found.start())
        except (ValueError, RecursionError):
            continue
        if kind := _kind_of_item(item):
            return kind
    return None


def _kind_of_item(item: Item) -> RecordKind | None:
    return kind_of(str(item.get("map") or ""), [name for name in item if name not in _ABOUT])


def kind_of_table(line: str) -> RecordKind | None:
    """What a line of names stands above in one of our own lists in CSV; None for others."""
    if "map" not in line:
        return None
    names = [name.strip('"') for name in line.strip().split(documents.between(line))]
    return _kind_of_item(dict.fromkeys(names)) if names[0] == "map" else None


class OwnLists(NamedTuple):
    """What was read.

    Attributes:
        lists: one for each map and node.
        told: lines that are no rows.
        untold: how many more there are.
    """

    lists: list[Printed]
    told: list[Told]
    untold: int


class _Gathered:
    """What comes out of a text: rows by list, and the lines that are none."""

    def __init__(self) -> None:
        self._rows: dict[_Place, list[Row]] = {}
        self._named = Named()
        self._count = 0
        self.told = ToldLines()

    def take(self, kind: RecordKind | None, item: Item) -> None:
        """Take a row.

        Raises:
            ValueError: it has what no row of ours has, or there are too many.
        """
        if kind is None:
            raise ValueError("an object that is no row")
        if self._count >= MOST_ROWS:
            raise ValueError(f"only the first {MOST_ROWS} rows are read")
        columns = tuple(name for name in item if name not in _ABOUT)
        row = {name: _value(item[name]) for name in columns}
        whose = Whose(_short(item.get("node")), _short(item.get("pod"))) or self.told.whose
        place = kind, _short(item.get("map")), columns, self._named.one(whose)
        self._rows.setdefault(place, []).append(row)
        self._count += 1

    def finish(self, source: str) -> OwnLists:
        """All of it."""
        lists = [
            Printed(source, kind, label or _UNNAMED, columns, tuple(rows), (), 0, whose, label)
            for (kind, label, columns, whose), rows in self._rows.items()
        ]
        return OwnLists(lists, self.told.first, self.told.more)


def read_objects(blocks: Iterable[bytes], source: str) -> OwnLists:
    """Read our own lists in JSON: one for each map and node."""
    found = _Gathered()
    for item in documents.stream(blocks):
        if isinstance(item, Told):
            found.told.take(item)
            continue
        try:
            found.take(_kind_of_item(item), item)
        except ValueError as error:
            found.told.take(Told(0, 0, Sort.DAMAGE, json.dumps(item)[:LONGEST_TOLD], str(error)))
    return found.finish(source)


def read_tables(blocks: Iterable[bytes], source: str) -> OwnLists:
    """Read our own lists in CSV: every list begins with the names of its columns."""
    found = _Gathered()
    number = offset = 0
    between, names = ",", [""]

    def texts() -> Iterator[str]:
        nonlocal number, offset
        for line in lines(blocks):
            if not line.number:
                found.told.take(Told(0, 0, Sort.NOTICE, line.text))
            elif line.text:
                number, offset = line.number, line.offset
                yield line.text

    for text in texts():
        if kind_of_table(text) is not None:
            between = documents.between(text)
            [names] = csv.reader([text], delimiter=between)
            continue
        try:
            [cells] = csv.reader([text], delimiter=between, strict=True)
            item: Item = dict(zip(names, cells, strict=True))
            kind = _kind_of_item(item)
            found.take(kind, {name: _cell(kind, name, item[name]) for name in names})
        except (ValueError, KeyError, csv.Error):
            reason = "a line that is no row of its list"
            found.told.take(Told(number, offset, Sort.DAMAGE, text[:LONGEST_TOLD], reason))
    return found.finish(source)


def _cell(kind: RecordKind | None, name: str, text: str) -> Value:
    if kind and _LISTED.get(kind) == name:
        return text.split("|") if text else []
    if name in _ABOUT:
        return text
    return int(text) if name not in _TEXTS and _NUMBER.fullmatch(text) else text or None


def _value(value: object) -> Value:
    """A value that a row may have.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [str(one) for one in value]
    if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
        return value
    raise ValueError("an object that is no row")


def _short(name: object) -> str:
    return str(name or "")[:_LONGEST_NAME]
