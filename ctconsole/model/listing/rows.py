"""Lists whose rows are few and small: sorted, cut, and laid out for people or as CSV.

A row is what JSON shows of one thing. A `RowColumn` says how a person sees one of its values;
tables of half a million entries have their own way, `listing.ct`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ctconsole.errors import UsageError
from ctconsole.model.text.safe import cell
from ctconsole.model.text.safe import width as width_of
from ctconsole.model.units import count, duration, size

if TYPE_CHECKING:
    from _csv import Writer as CsvWriter
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TextIO

    Row: TypeAlias = Mapping[str, Any]

NOTHING: Final = "-"
_GAP: Final = "  "
_CUT: Final = "…"
_LEAST: Final = 8
"""Letters that a shortened column keeps."""


class ColumnForm(Enum):
    """What the values of a column are."""

    TEXT = auto()
    NUMBER = auto()
    COUNT = auto()
    SIZE = auto()
    SECONDS = auto()
    SHARE = auto()


@dataclass(frozen=True, slots=True)
class RowColumn:
    """One value of each row.

    Attributes:
        name: its key, by which it is also chosen and sorted.
        title: its heading.
        form: what it is; texts stand at the left.
        rank: columns with the highest rank are left out first where there is no room for all.
        wide: whether only the wide table has it.
        text: how a person sees it, where that is not told by its form.
        tone: how it is drawn; see `TableCell`.
    """

    name: str
    title: str
    form: ColumnForm = ColumnForm.TEXT
    rank: int = 0
    wide: bool = False
    text: Callable[[Row], str] | None = None
    tone: Callable[[Row], str] | None = None

    def shown(self, row: Row, *, raw: bool = False) -> str:
        """The value for a person; ``raw`` leaves numbers as they are."""
        value = row.get(self.name)
        if not raw and self.text is not None:
            return self.text(row)
        if value is None or value == "":
            return NOTHING
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, list | dict):
            return _inline(value)
        if raw or not isinstance(value, int | float):
            return str(value)
        return _FORMS[self.form](value)


_FORMS: Final[Mapping[ColumnForm, Callable[[Any], str]]] = {
    ColumnForm.TEXT: str,
    ColumnForm.NUMBER: str,
    ColumnForm.COUNT: count,
    ColumnForm.SIZE: size,
    ColumnForm.SECONDS: duration,
    ColumnForm.SHARE: lambda value: f"{100 * value:.1f}%",
}


def columns_of(rows: Iterable[Row]) -> tuple[RowColumn, ...]:
    """Columns for rows nobody has described: their keys, in the order in which they come."""
    forms: dict[str, ColumnForm] = {}
    for row in rows:
        for name, value in row.items():
            if forms.get(name) in {None, ColumnForm.TEXT}:
                forms[name] = _form(name, value)
    return tuple(
        RowColumn(name, name.replace("_", " ").upper(), form) for name, form in forms.items()
    )


def _form(name: str, value: object) -> ColumnForm:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ColumnForm.TEXT
    if name in {"bytes", "memory"} or name.endswith("_bytes"):
        return ColumnForm.SIZE
    if name.endswith("seconds"):
        return ColumnForm.SECONDS
    if name.endswith(("entries", "packets")):
        return ColumnForm.COUNT
    return ColumnForm.NUMBER


def chosen_columns(
    columns: Sequence[RowColumn], names: Sequence[str], *, wide: bool
) -> list[RowColumn]:
    """Those asked for, in that order; without names those of the table.

    Raises:
        UsageError: there is no such column; says which it may be.
    """
    if not names:
        return [one for one in columns if wide or not one.wide]
    return [_named(columns, name) for name in names]


def _named(columns: Sequence[RowColumn], name: str) -> RowColumn:
    known = {one.name: one for one in columns}
    titles = {one.title.lower(): one for one in columns}
    found = known.get(name) or titles.get(name.lower())
    if found is None:
        raise no_such("column", name, known)
    return found


def no_such(what: str, name: str, known: Iterable[str]) -> UsageError:
    """That there is no such thing, with what may be meant or everything there is."""
    from ctconsole.model.filter.rules import meant

    names = list(known)
    hint = meant(name, names) or f"There is {', '.join(names)}"
    return UsageError(f"There is no {what} {name}", hint=hint)


def sorted_rows(rows: Sequence[Row], columns: Sequence[RowColumn], name: str) -> list[Row]:
    """By a column: numbers from the largest on, words from A on; a ``-`` before it turns it round.

    What is not known stands at the end in either case.

    Raises:
        UsageError: there is no such column.
    """
    column = _named(columns, name.removeprefix("-"))
    known = [row for row in rows if row.get(column.name) is not None]
    unknown = [row for row in rows if row.get(column.name) is None]
    numeric = all(isinstance(row[column.name], int | float) for row in known)

    def key(row: Row) -> Any:  # noqa: ANN401 - numbers or texts, never both
        value = row[column.name]
        return value if numeric else column.shown(row, raw=True).lower()

    return [*sorted(known, key=key, reverse=numeric ^ name.startswith("-")), *unknown]


class TableCell(NamedTuple):
    """What a table shows in one place.

    Attributes:
        text: safe to print.
        tone: how it is drawn, in the words of the console's themes; empty for plain.
    """

    text: str
    tone: str = ""


Paint: TypeAlias = "Callable[[str, str], str]"
"""Draws a text in a tone."""


def headings(columns: Sequence[RowColumn]) -> list[TableCell]:
    """The first line of a table."""
    return [TableCell(one.title, "heading") for one in columns]


def cells_of(
    rows: Iterable[Row], columns: Sequence[RowColumn], *, raw: bool = False, toned: bool = True
) -> list[list[TableCell]]:
    """What each row shows; in which tones is asked only where that is ``toned``."""
    return [
        [
            TableCell(cell(one.shown(row, raw=raw)), one.tone(row) if toned and one.tone else "")
            for one in columns
        ]
        for row in rows
    ]


class TableLayout:
    """Where the columns of a table stand; made of its first lines, used for all of them.

    Where there is no room for all, columns are left out by their rank, and then the widest texts
    are cut; the first column always stays.

    Args:
        lines: what each of the first lines shows, the headings among them.
        columns: one for each cell.
        room: cells of the terminal; None for all there is to say.
        paint: how tones are drawn; None for not at all.
    """

    def __init__(
        self,
        lines: Sequence[Sequence[TableCell]],
        columns: Sequence[RowColumn],
        room: int | None = None,
        paint: Paint | None = None,
    ) -> None:
        self._columns = columns
        self._paint = paint
        self._cuts = room is not None
        kept = list(range(len(columns)))
        widths = [width_of(line[at].text for line in lines) for at in kept]
        while room is not None and len(kept) > 1 and _total(widths, kept) > room:
            worst = max(kept[1:], key=lambda at: (columns[at].rank, at))
            if columns[worst].rank == 0:
                break
            kept.remove(worst)
        self._kept = kept
        self._widths = widths if room is None else _shortened(widths, kept, columns, room)

    def line(self, cells: Sequence[TableCell]) -> str:
        """One line, without blanks at its end."""
        found = ""
        for at in self._kept:
            text, tone = cells[at]
            wide = self._widths[at]
            if self._cuts and len(text) > wide:
                text = text[: wide - 1] + _CUT
            blanks = " " * (wide - len(text))
            drawn = self._paint(text, tone) if self._paint and tone else text
            left = self._columns[at].form is ColumnForm.TEXT
            found += f"{drawn}{blanks}{_GAP}" if left else f"{blanks}{drawn}{_GAP}"
        return found.rstrip()


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[at] for at in kept) + len(_GAP) * (len(kept) - 1)


def _shortened(
    widths: Sequence[int], kept: Sequence[int], columns: Sequence[RowColumn], room: int
) -> list[int]:
    """The widths, of which the widest texts give way until all fit or none can."""
    found = list(widths)
    while (over := _total(found, kept) - room) > 0:
        texts = [at for at in kept if columns[at].form is ColumnForm.TEXT and found[at] > _LEAST]
        if not texts:
            break
        widest = max(texts, key=lambda at: found[at])
        rest = max((found[at] for at in texts if found[at] < found[widest]), default=_LEAST)
        found[widest] = max(found[widest] - over, min(rest, found[widest] - 1), _LEAST)
    return found


class _LineFeeds:
    """What csv writes on, so that rows end with a line feed and a carriage return is quoted.

    It quotes only what its own line ends are made of, and writes one row at a time.
    """

    END: Final = "\r\n"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(f"{row.removesuffix(self.END)}\n")


def csv_writer(stream: TextIO) -> CsvWriter:
    """A writer of lines of CSV, in which whatever breaks a line for somebody is quoted."""
    import csv

    return csv.writer(_LineFeeds(stream), lineterminator=_LineFeeds.END)


def csv_text(rows: Iterable[Row], names: Sequence[str]) -> str:
    """CSV with a line of names; what is not known is empty, lists and objects are JSON."""
    stream = io.StringIO()
    writer = csv_writer(stream)
    writer.writerow(names)
    for row in rows:
        values = (row.get(name) for name in names)
        writer.writerow(
            [_inline(one) if isinstance(one, list | dict) else _word(one) for one in values]
        )
    return stream.getvalue()


def _word(value: object) -> object:
    """JSON's words for true and false, as the other lists have them."""
    return str(value).lower() if isinstance(value, bool) else value


def _inline(value: object) -> str:
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return "|".join(map(str, value))
    return json.dumps(value, default=str)
