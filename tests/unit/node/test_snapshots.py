"""Snapshots of three nodes as Parquet, and the README's questions to them."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet
import pytest

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.ct.hiding import Hiding
from ctconsole.model.whose import Whose
from ctconsole.node.entries import Part
from ctconsole.node.snapshots import COLUMNS, write_snapshots
from tests.support.ct_tables import Entry, ct_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.ct.table import CtTable

README = (Path(__file__).parents[3] / "README.md").read_text()
VIEWS, *QUERIES = (
    part.strip()
    for part in re.split(r"^-- .*$", README.split("```sql")[1].split("```")[0], flags=re.MULTILINE)
)


def on(node: str, *entries: Entry, taken_at: float = 1000.0) -> Part:
    table = ct_table(*entries, taken_at=taken_at)
    return Part(dataclasses.replace(table, whose=Whose(node)), "")


CLIENT = Entry("10.0.1.7:40000", "10.0.2.9:443")
SERVER = dataclasses.replace(CLIENT, tuple_flags=1)
WAITING = Entry("10.0.1.7:40001", "10.0.3.1:5432", flags=0, rx=None)
DEAD = Entry("10.0.1.8:40002", "10.0.2.9:443", left=-5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One node twice, and two more."""
    for parts in (
        [on("a", CLIENT)],
        [on("a", CLIENT, WAITING, DEAD, taken_at=1060.0), on("b", SERVER)],
        [on("c", dataclasses.replace(WAITING, source="10.0.4.4:1"))],
    ):
        write_snapshots(parts, tmp_path / "snapshots", tell=print)
    return tmp_path


@pytest.fixture
def database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """In a folder in which the README's paths are."""
    monkeypatch.chdir(folder)
    with duckdb.connect() as opened:
        opened.execute(VIEWS)
        yield opened


def test_a_file_lies_by_node_and_time(folder: Path) -> None:
    found = sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))
    assert [str(path.parent) for path in found] == [
        "snapshots/node=a/taken=1970-01-01T00-16-40Z",
        "snapshots/node=a/taken=1970-01-01T00-17-40Z",
        "snapshots/node=b/taken=1970-01-01T00-16-40Z",
        "snapshots/node=c/taken=1970-01-01T00-16-40Z",
    ]
    for path in found:
        assert (folder / path).stat().st_mode & 0o777 == 0o600
        assert (folder / path).parent.stat().st_mode & 0o777 == 0o700


def test_its_columns_say_what_they_mean(folder: Path) -> None:
    schema = pyarrow.parquet.read_schema(next(folder.rglob("*.parquet")))
    assert schema.names == [one.name for one in COLUMNS]
    assert schema.metadata[b"ctconsole.schema"] == b"1"
    assert schema.metadata[b"ctconsole.hidden"] == b"false"
    for one in COLUMNS:
        assert schema.field(one.name).metadata[b"description"].decode() == one.told


def test_an_entry_is_a_row(tmp_path: Path) -> None:
    entry = Entry(
        "[fd00::7]:40000", "[fd00::9]:443", protocol=17, tuple_flags=1, rev_nat=3, left=100
    )
    [written] = write_snapshots([on("a", entry)], tmp_path, tell=print)
    assert written.entries == 1
    [row] = pyarrow.parquet.ParquetFile(written.path).read().to_pylist()
    wanted = {
        "family": 6,
        "protocol": "udp",
        "direction": "in",
        "src": "fd00::7",
        "sport": 40000,
        "dst": "fd00::9",
        "dport": 443,
        "state": "established",
        "alive": True,
        "remaining": 100,
        "idle": 20,
        "packets": 4,
        "bytes": 400,
        "rev_nat": 3,
    }
    assert {name: row[name] for name in wanted} == wanted


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    part = on("a", CLIENT)
    unknown = dataclasses.replace(part.table, now=0, taken_at=0.0, counted=False)
    [written] = write_snapshots([Part(unknown, "")], tmp_path, tell=print)
    assert "taken=unknown" in str(written.path)
    [row] = pyarrow.parquet.ParquetFile(written.path).read().to_pylist()
    for name in ("state", "alive", "remaining", "idle", "packets", "bytes"):
        assert row[name] is None, name


MAP = ct_table(CLIENT).info.label
ANSWERS: list[list[tuple[Any, ...]]] = [
    [("a", MAP, 3, 2, 0), ("b", MAP, 1, 1, 0)],
    [("10.0.1.7", 2, 1, 2), ("10.0.1.8", 1, 1, 1), ("10.0.4.4", 1, 1, 1)],
    [("10.0.3.1", 5432, 2, ["a", "c"])],
    [("a", "b", "10.0.1.7", 40000, "10.0.2.9", 443, "established", "established")],
    [
        ("a", "1970-01-01T00-16-40Z", 1, None),
        ("a", "1970-01-01T00-17-40Z", 3, 2),
        ("b", "1970-01-01T00-16-40Z", 1, None),
        ("c", "1970-01-01T00-16-40Z", 1, None),
    ],
]


@pytest.mark.parametrize("number", range(5))
def test_the_readmes_questions_are_answered(
    database: duckdb.DuckDBPyConnection, number: int
) -> None:
    assert len(QUERIES) == len(ANSWERS)
    rows = database.execute(QUERIES[number]).fetchall()
    assert {str(one) for one in ANSWERS[number]} <= {str(one) for one in rows}


def test_hidden_ones_can_still_be_joined(tmp_path: Path) -> None:
    hiding = Hiding(bytes(32))
    written = write_snapshots(
        [on("a", CLIENT), on("b", SERVER)], tmp_path, hiding=hiding, tell=print
    )
    rows = [pyarrow.parquet.ParquetFile(one.path).read().to_pylist()[0] for one in written]
    assert rows[0]["src"] == rows[1]["src"] != "10.0.1.7"
    assert rows[0]["dst"] == rows[1]["dst"] != "10.0.2.9"
    for one in written:
        assert "node=a" not in str(one.path)
        assert pyarrow.parquet.read_schema(one.path).metadata[b"ctconsole.hidden"] == b"true"
        content = one.path.read_bytes()
        assert b"10.0.1.7" not in content


def test_nothing_is_written_over(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="never written over another"):
        write_snapshots([on("c", CLIENT)], folder / "snapshots", tell=print)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_one_that_fails_halfway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CtconsoleError, match="cannot be written: No space left on device"):
        write_snapshots([on("a", CLIENT)], tmp_path, tell=print)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../../etc", "..", "a/b", "a=b/c", "\udcff", "x" * 300, "a\n"])
def test_a_hostile_name_stays_below_the_folder(tmp_path: Path, name: str) -> None:
    [written] = write_snapshots([on(name, CLIENT)], tmp_path / "s", tell=print)
    assert written.path.relative_to(tmp_path / "s").parts[0].startswith("node=")
    assert written.path.resolve().is_relative_to(tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_parts_of_a_table_go_into_one_file(tmp_path: Path) -> None:
    def parts() -> Iterator[Part]:
        yield Part(table(CLIENT), "", last=False)
        yield Part(table(WAITING), "cut off")

    def table(entry: Entry) -> CtTable:
        return on("a", entry).table

    told: list[str] = []
    [written] = write_snapshots(parts(), tmp_path, tell=told.append)
    assert (written.entries, told) == (2, ["cut off"])
