"""``e``: what is looked at, written into a file."""

from __future__ import annotations

import csv
import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from pyarrow.parquet import read_table
from textual.widgets import Input

from ctconsole.errors import MissingFeatureError
from ctconsole.private import write_private
from ctconsole.ui.exporting import rendered
from ctconsole.ui.keeping import IN_BROWSER
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.pilots import (
    first_sample,
    forget_flash,
    open_entries,
    screen_text,
    status,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp


async def export(pilot: Pilot[None], path: Path) -> str:
    """Press the key and name a file.

    Returns:
        What the status line says then.
    """
    forget_flash(pilot)
    await pilot.press("e")
    await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
    pilot.app.screen.query_one(Input).value = str(path)
    await pilot.press("enter")
    await until(pilot, lambda: "exported" in status(pilot).flash)
    return status(pilot).flash


@pytest.mark.key("app.export")
async def test_entries_are_written_as_they_are_listed(console: ConsoleApp, tmp_path: Path) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await open_entries(pilot)
        listed = pilot.app.screen.query_one(LineTable).rows
        assert listed is not None
        path = tmp_path / "entries.csv"
        assert await export(pilot, path) == f"exported into {path}"
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == len(listed)
        counts = [int(row["bytes"]) for row in rows]
        assert counts == sorted(counts, reverse=True), "in the order of the view"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await export(pilot, tmp_path / "entries.ndjson")
        lines = (tmp_path / "entries.ndjson").read_text().splitlines()
        assert [json.loads(line)["bytes"] for line in lines] == counts


async def test_maps_are_written_by_their_values_and_events_as_shown(
    console: ConsoleApp, tmp_path: Path
) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        await export(pilot, tmp_path / "maps.ndjson")
        maps = [json.loads(line) for line in (tmp_path / "maps.ndjson").read_text().splitlines()]
        assert "cilium_ct4_global" in {one["name"] for one in maps}
        assert all(isinstance(one["max_entries"], int) for one in maps)
        await pilot.press("4")
        await export(pilot, tmp_path / "events.csv")
        assert "message" in (tmp_path / "events.csv").read_text().splitlines()[0]


async def test_the_screen_is_written_as_picture_and_text(
    console: ConsoleApp, tmp_path: Path
) -> None:
    async with console.run_test(size=(120, 36)) as pilot:
        await first_sample(pilot)
        await export(pilot, tmp_path / "screen.svg")
        await export(pilot, tmp_path / "screen.txt")
    picture = (tmp_path / "screen.svg").read_text()
    assert picture.startswith("<svg")
    assert "Export&#160;into" not in picture, "the question is not in the picture"
    text = (tmp_path / "screen.txt").read_text()
    assert "cilium_ct4_global" in text
    assert len(text.splitlines()) == 36


async def test_nothing_is_written_over_unless_that_is_said(
    console: ConsoleApp, tmp_path: Path
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    async with console.run_test(size=(120, 36)) as pilot:
        await first_sample(pilot)
        for answer, kept in (("no", True), ("yes", False)):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
            pilot.app.screen.query_one(Input).value = str(path)
            await pilot.press("enter")
            # The overview, which is on the screen between the two questions, has a field as well.
            await until(pilot, lambda: "write over it" in screen_text(pilot))
            assert isinstance(pilot.app.screen, AskScreen)
            pilot.app.screen.query_one(Input).value = answer
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(pilot.app.screen, AskScreen))
            if not kept:
                await until(pilot, lambda: "exported" in status(pilot).flash)
            assert (path.read_text() == "mine") is kept


@pytest.mark.parametrize("name", ["view.doc", "nowhere/view.csv"])
async def test_what_cannot_be_written_is_told(
    console: ConsoleApp, tmp_path: Path, name: str
) -> None:
    async with console.run_test(size=(120, 36)) as pilot:
        await first_sample(pilot)
        told = await export(pilot, tmp_path / name)
        assert told.startswith("nothing was exported: ")
        assert "Errno" not in told
        if "/" in name:
            assert told.endswith(f"there is no folder {tmp_path / 'nowhere'}")
    assert not (tmp_path / name).exists()


async def test_parquet_is_written_where_pyarrow_is(
    console: ConsoleApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console.run_test(size=(120, 36)) as pilot:
        await open_entries(pilot)
        rows = pilot.app.screen.query_one(LineTable).rows
        assert rows is not None
        await export(pilot, tmp_path / "entries.parquet")
        table = read_table(tmp_path / "entries.parquet")
        assert table.num_rows == len(rows)
        assert {"source", "destination", "bytes"} <= {*table.column_names}
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(MissingFeatureError, match=r"ctconsole\[parquet\]"):
            rendered(rows, ".parquet")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def cut() -> object:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "a", cut())  # type: ignore[arg-type]  # it is a generator
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "a", [b"new"])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    write_private(tmp_path / "a", [b"new"], over=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


async def test_in_a_browser_nothing_is_written_on_the_node(
    console: ConsoleApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        monkeypatch.setattr(type(console), "is_web", True)
        for key in ("e", "o"):
            console.flash("")
            await pilot.press(key)
            await until(pilot, lambda: IN_BROWSER in status(pilot).flash)
            assert not isinstance(console.screen, AskScreen)
        console.flash("")
        console.keeping.begin(str(tmp_path / "x.ctrec"))
        assert IN_BROWSER in status(pilot).flash
        assert console.keeping.told() == ""
        console.flash("")
        console.commands.run(f"export {tmp_path / 'x.csv'}")
        assert IN_BROWSER in status(pilot).flash
        assert console.screen_stack[0] is console.screen


async def test_the_command_writes_into_the_file_it_names(
    console: ConsoleApp, tmp_path: Path
) -> None:
    async with console.run_test(size=(160, 40)) as pilot:
        await open_entries(pilot)
        listed = pilot.app.screen.query_one(LineTable).rows
        assert listed is not None
        path = tmp_path / "entries.csv"
        console.commands.run(f"export {path}")
        await until(pilot, lambda: "exported" in status(pilot).flash)
        assert status(pilot).flash == f"exported into {path}"
        assert len(path.read_text().splitlines()) == len(listed) + 1
        console.commands.run(f"export {tmp_path / 'screen.png'}")
        assert "nothing was exported: screen.png ends in none of" in status(pilot).flash


async def test_the_command_without_a_file_asks_for_one(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("colon", *"export", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
        assert "ctconsole-overview-" in pilot.app.screen.query_one(Input).value
