"""Which columns a table shows, and how what does not fit is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.ui.screens.columns import ColumnsScreen
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.pilots import first_sample, open_entries, screen_text, settle

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ctconsole.ui.app import ConsoleApp


def heading(pilot: Pilot[None]) -> str:
    return next(line for line in screen_text(pilot).splitlines() if "PROTO" in line or "◂" in line)


@pytest.mark.key("table.left", "table.right")
async def test_what_does_not_fit_is_a_key_away_and_the_heading_says_so(
    console: ConsoleApp,
) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        table = await open_entries(pilot)
        assert heading(pilot).endswith("▸")
        assert "RISK" not in heading(pilot)
        seen = set()
        for _ in range(12):
            await pilot.press("right")
            seen |= set(heading(pilot).split())
        assert {"RISK", "FLAGS", "IDENTITY", "REVNAT", "BACKEND", "B/S", "PKT/S"} <= seen
        assert heading(pilot).startswith("◂")
        assert "▸" not in heading(pilot)
        for _ in range(12):
            await pilot.press("left")
        assert table.scroll_offset.x == 0
        assert "◂" not in heading(pilot)


@pytest.mark.key(
    "table.columns",
    "columns.toggle",
    "columns.right",
    "columns.left",
    "columns.wider",
    "columns.narrower",
    "columns.default",
    "columns.up",
    "columns.down",
    "columns.done",
)
async def test_columns_are_chosen_ordered_and_sized_and_stay_so(console: ConsoleApp) -> None:
    async with console.run_test(size=(100, 30)) as pilot:
        table = await open_entries(pilot)
        await pilot.press("c")
        assert isinstance(pilot.app.screen, ColumnsScreen)
        names = list(table.widths)
        # The first column goes, the second one moves behind the third and becomes wider.
        await pilot.press("space", "j", "J", "plus")
        wide = table.widths[names[1]]
        assert list(table.widths) == [names[2], names[1], *names[3:]]
        await pilot.press("minus", "minus", "escape")
        assert table.widths[names[1]] == wide - 2
        assert console.columns("entries") == table.chosen
        await pilot.press("c", "j", "k", "j", "K", "escape")
        assert list(table.widths)[:2] == names[1:3]
        await pilot.press("c", "d", "escape")
        assert list(table.widths) == names
        assert console.columns("entries") == ()


async def test_the_last_column_stays(console: ConsoleApp) -> None:
    async with console.run_test(size=(100, 30)) as pilot:
        table = await open_entries(pilot)
        table.choose(["bytes"])
        await pilot.press("c", "space", "escape")
        assert list(table.widths) == ["bytes"]


async def test_columns_chosen_before_a_view_is_opened_are_shown_in_it(console: ConsoleApp) -> None:
    console.choose_columns("overview", ("name", "fill:20", "no-such-column"))
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        await settle(pilot)
        table = pilot.app.screen.query(LineTable).first()
        assert dict(table.widths) == {"name": table.widths["name"], "fill": 20}
