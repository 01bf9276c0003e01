"""Lists of few rows: order, columns, room and colours."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.listing.rows import (
    ColumnForm,
    RowColumn,
    TableLayout,
    cells_of,
    chosen_columns,
    columns_of,
    csv_text,
    headings,
    sorted_rows,
)

ROWS: list[dict[str, Any]] = [
    {"name": "web", "bytes": 2048, "ports": [80, 443], "open": True},
    {"name": "Db", "bytes": None, "ports": [], "open": False},
    {"name": "a-very-long-name-of-a-pod", "bytes": 12, "ports": [1], "open": None},
]
COLUMNS = (
    RowColumn("name", "NAME"),
    RowColumn("bytes", "BYTES", ColumnForm.SIZE, rank=1),
    RowColumn("ports", "PORTS", rank=2),
    RowColumn("open", "OPEN", wide=True),
)


def lines(room: int | None = None, *, raw: bool = False, wide: bool = False) -> list[str]:
    columns = chosen_columns(COLUMNS, (), wide=wide)
    cells = [headings(columns), *cells_of(ROWS, columns, raw=raw)]
    layout = TableLayout(cells, columns, room)
    return [layout.line(one) for one in cells]


def names(sort: str) -> list[str]:
    return [row["name"] for row in sorted_rows(ROWS, COLUMNS, sort)]


def test_a_table_without_bounds_shows_everything_with_units() -> None:
    assert lines(wide=True) == [
        "NAME                         BYTES  PORTS   OPEN",
        "web                        2.0 KiB  80|443  yes",
        "Db                               -          no",
        "a-very-long-name-of-a-pod     12 B  1       -",
    ]
    assert lines(raw=True)[1] == "web                         2048  80|443"


def test_what_does_not_fit_is_left_out_by_rank_and_then_cut() -> None:
    assert lines(34)[1] == "web                        2.0 KiB"
    assert lines(30)[3] == "a-very-long-name-of-a-pod"
    assert lines(12) == ["NAME", "web", "Db", "a-very-long…"]
    assert all(len(line) <= 12 for line in lines(12))


def test_numbers_come_from_the_largest_on_and_words_from_a_on() -> None:
    assert names("bytes") == ["web", "a-very-long-name-of-a-pod", "Db"]
    assert names("-bytes") == ["a-very-long-name-of-a-pod", "web", "Db"], "unknown stays last"
    assert names("name") == ["a-very-long-name-of-a-pod", "Db", "web"]
    assert names("-name") == ["web", "Db", "a-very-long-name-of-a-pod"]


def test_a_column_that_is_not_there_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(UsageError, match=r"There is no column byts\. Did you mean bytes"):
        chosen_columns(COLUMNS, ("byts",), wide=False)
    with pytest.raises(UsageError, match="There is name, bytes, ports, open"):
        sorted_rows(ROWS, COLUMNS, "zzz")
    assert [one.name for one in chosen_columns(COLUMNS, ("open", "NAME"), wide=False)] == [
        "open",
        "name",
    ]


def test_columns_nobody_described_are_told_by_the_rows() -> None:
    found = {one.name: (one.title, one.form) for one in columns_of(ROWS)}
    assert found == {
        "name": ("NAME", ColumnForm.TEXT),
        "bytes": ("BYTES", ColumnForm.SIZE),
        "ports": ("PORTS", ColumnForm.TEXT),
        "open": ("OPEN", ColumnForm.TEXT),
    }


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\n", "\r\n"])
def test_csv_quotes_whatever_breaks_a_line(name: str) -> None:
    text = csv_text([{"name": name, "bytes": 1}], ["name", "bytes"])
    assert text == f'name,bytes\n"{name}",1\n'
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == [name, "1"]


def test_csv_has_raw_values_and_joined_lists() -> None:
    text = csv_text(ROWS, ["name", "bytes", "ports", "open"])
    assert text.splitlines() == [
        "name,bytes,ports,open",
        "web,2048,80|443,true",
        "Db,,,false",
        "a-very-long-name-of-a-pod,12,1,",
    ]


def test_what_comes_from_outside_is_made_safe_before_it_is_painted() -> None:
    column = RowColumn("name", "NAME", tone=lambda _: "crit")
    [line] = cells_of([{"name": "a\x1b[2Jb"}], [column])
    layout = TableLayout([line], [column], paint=lambda text, tone: f"<{tone}>{text}</>")
    assert layout.line(line) == "<crit>a\\x1b[2Jb</>"
