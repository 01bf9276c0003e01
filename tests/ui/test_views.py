from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from ctconsole.model.nodecard import AgentCard
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.screens.details import EntryDetails, MapDetails
from ctconsole.ui.screens.help import HelpScreen
from ctconsole.ui.widgets.chrome import ViewTab
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fakes import CT4, CT_ANY4, EPOCH, FakeSource, random_table
from tests.support.pilots import (
    first_sample,
    line_with,
    open_entries,
    resample,
    screen_text,
    settle,
    status,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path


async def test_overview_shows_every_map_with_its_numbers(console: ConsoleApp) -> None:
    async with console.run_test(size=(160, 50)) as pilot:
        await first_sample(pilot)
        shown = screen_text(pilot)
        line = line_with(pilot, "cilium_ct4_global ", "MiB")
        for words in ("▲", "91%", "476,102", "524,288", "68.0 MiB"):
            assert words in line
        advised = "1,048,576 entries are advised"
        assert f"cilium_ct4_global is 91% full; {advised}" in shown
        assert "cilium_snat_v4_external is 73% full" in shown
        assert "Removing map to allow" in shown
        assert status(pilot).shown == "20 maps"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_every_view_fits_the_terminal(console: ConsoleApp, size: tuple[int, int]) -> None:
    async with console.run_test(size=size) as pilot:
        await first_sample(pilot)
        assert "476,102" in line_with(pilot, "cilium_ct4_global ", "%", "MiB")
        assert line_with(pilot, "MAP", "FILL", "MEMORY")
        assert "Quit" in screen_text(pilot).splitlines()[-1]
        await open_entries(pilot)
        lines = screen_text(pilot).splitlines()
        for heading in ("PROTO", "DIR", "SOURCE", "DESTINATION", "STATE", "LEFT", "BYTES"):
            assert heading in lines[4]
        assert "LIVE" in lines[-2]


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_the_overview_tells_of_the_agent(console: ConsoleApp, size: tuple[int, int]) -> None:
    async with console.run_test(size=size) as pilot:
        await first_sample(pilot)
        shown = screen_text(pilot)
        assert "Cilium 1.9.5" in shown
        if size[0] > 100:
            assert "process 2114, up 1m 1s" in shown
            assert "3.4% of a CPU" in shown
            assert "231.0 MiB" in line_with(pilot, "memory ")
            assert "1m 1s ago" in line_with(pilot, "restart ")


@pytest.mark.parametrize("width", [80, 90, 100, 111, 112, 120, 160, 200])
async def test_at_every_width_one_can_read_what_happened_last(
    console: ConsoleApp, width: int
) -> None:
    async with console.run_test(size=(width, 30)) as pilot:
        await first_sample(pilot)
        await settle(pilot)
        # Elsewhere on this screen nothing is told of it.
        assert "Removing map" in screen_text(pilot)


async def test_where_no_agent_runs_it_is_said(console: ConsoleApp, source: FakeSource) -> None:
    source.card = AgentCard(why="no agent that uses these maps runs")
    source.log = []
    async with console.run_test(size=(160, 50)) as pilot:
        await first_sample(pilot)
        assert "no agent that uses these maps" in screen_text(pilot)
        assert "none is known" in line_with(pilot, "restart ")


async def test_keys_and_clicks_switch_views(console: ConsoleApp) -> None:
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("4")
        await pilot.pause()
        assert console.current_mode == "events"
        await pilot.click(console.screen.query(ViewTab).first())
        await pilot.pause()
        assert console.current_mode == "overview"


async def test_a_resized_terminal_is_laid_out_anew(console: ConsoleApp) -> None:
    async with console.run_test(size=(160, 50)) as pilot:
        await first_sample(pilot)
        assert "EVICT/S" in screen_text(pilot)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        shown = screen_text(pilot)
        assert "EVICT/S" not in shown
        assert "91%" in shown


async def test_enter_on_a_ct_map_opens_its_entries(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: console.current_mode == "entries")
        await until(pilot, lambda: console.sample.watched == CT_ANY4)
        await settle(pilot)
        assert "cilium_ct_any4_global" in screen_text(pilot)


async def test_enter_on_another_map_tells_all_about_it(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert isinstance(console.screen, MapDetails)
        shown = screen_text(pilot)
        assert "cilium_snat_v4_external" in shown
        assert "value size   40 bytes" in shown


@pytest.mark.key("map.sort", "pick.up")
async def test_maps_sort_by_heading_and_keys(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        table = console.screen.query_one("#maps", LineTable)
        await pilot.press("s")
        await pilot.pause()
        await pilot.press("k", "k", "enter")  # from Group up to Name, round to the last one
        await pilot.pause()
        assert table.rows
        heading = line_with(pilot, "MAP", "FILL").index("MAP")
        await pilot.click("#maps", offset=(heading, 0))
        await pilot.pause()
        assert table.rows.sort[0] == "name"
        before = table.rows.sort[1]
        await pilot.click("#maps", offset=(heading, 0))
        await pilot.pause()
        assert table.rows.sort == ("name", not before)


async def test_unfolding_an_event_shows_its_fields(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("4")
        await pilot.pause()
        await pilot.press("down", "down", "down")
        assert "old_id: 549" not in screen_text(pilot)
        await pilot.press("enter")
        assert "old_id: 549" in screen_text(pilot)
        await pilot.press("enter")
        assert "old_id: 549" not in screen_text(pilot)


@pytest.mark.key("app.freeze")
async def test_freeze_holds_the_picture_while_sampling_goes_on(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("space")
        source.rows[CT4] = replace(source.rows[CT4], entries=1234)
        await resample(pilot)
        assert status(pilot).frozen
        assert "FROZEN" in screen_text(pilot)
        assert "1,234" not in screen_text(pilot)
        await pilot.press("space")
        await pilot.pause()
        assert "1,234" in screen_text(pilot)


async def test_an_error_is_shown_and_the_last_picture_stays(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        source.error = BpfError(5, "BPF_OBJ_GET", "/sys/fs/bpf/tc/globals")
        await resample(pilot)
        shown = screen_text(pilot)
        assert "BPF_OBJ_GET /sys/fs/bpf/tc/globals: Input/output error" in shown
        assert "476,102" in shown
        source.error = None
        await resample(pilot)
        assert not status(pilot).error


async def test_a_node_in_trouble_from_the_start_is_no_crash(
    console: ConsoleApp, source: FakeSource
) -> None:
    source.error = BpfError(1, "BPF_OBJ_GET", "somewhere")
    async with console.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: console.sampler.latest.error)
        await pilot.press("2", "4", "1")
        await pilot.pause()
        assert "Operation not permitted" in screen_text(pilot)


@pytest.mark.key("app.help", "help.close")
async def test_help_lists_the_bindings_of_the_view(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 70)) as pilot:
        await first_sample(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(console.screen, HelpScreen)
        shown = screen_text(pilot)
        for words in ("Restart the agent", "Freeze the screen", "pgdn", "Page down"):
            assert words in shown
        await pilot.press("question_mark")
        await pilot.pause()
        assert not isinstance(console.screen, HelpScreen)


async def test_help_shows_a_remapped_key(console: ConsoleApp) -> None:
    async with console.run_test(size=(120, 50)) as pilot:
        await first_sample(pilot)
        console.set_keymap({"map.recreate": "f7"})
        await pilot.press("question_mark")
        await pilot.pause()
        assert any(
            "f7" in line and "Recreate the map" in line for line in screen_text(pilot).splitlines()
        )


@pytest.mark.key("map.info")
async def test_names_from_the_kernel_are_not_markup(
    console: ConsoleApp, source: FakeSource
) -> None:
    row = source.rows.pop(CT4)
    evil = CT4.with_name("a[red]b[@x]\x1b[31mc")
    source.rows[evil] = replace(row, info=replace(row.info, pin=evil))
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        await pilot.press("i")
        await pilot.pause()
        assert "a[red]b[@x]?[31mc" in screen_text(pilot)


async def test_themes_of_the_folder_can_be_chosen(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test() as pilot:
        await first_sample(pilot)
        assert {"night", "paper", "clear"} <= set(console.available_themes)
        for name in ("paper", "clear", "nord", "night"):
            console.theme = name
            await pilot.pause()
    other = ConsoleApp(source, interval=3600, clock=lambda: EPOCH, theme="no-such-theme")
    async with other.run_test() as pilot:
        await first_sample(pilot)
        assert "no-such-theme" in status(pilot).flash


async def test_entry_details_follow_the_entry_until_it_is_gone(
    console: ConsoleApp, source: FakeSource
) -> None:
    async with console.run_test(size=(120, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("down", "enter")
        await pilot.pause()
        assert isinstance(console.screen, EntryDetails)
        assert "rx packets" in screen_text(pilot)
        source.tables[CT4] = random_table(source.rows[CT4].info, 0)
        await resample(pilot)
        assert "not in the table any more" in screen_text(pilot)


async def test_the_sampler_closes_its_source(console: ConsoleApp, source: FakeSource) -> None:
    async with console.run_test() as pilot:
        await first_sample(pilot)
    assert source.closed


def test_a_theme_that_cannot_be_used_names_its_file(tmp_path: Path) -> None:
    from ctconsole.ui.themes import read_themes

    (tmp_path / "bad.toml").write_text('name = "bad"\nprimary = "not a colour"\n')
    (tmp_path / "worse.toml").write_text("name =\n")
    good, bad = read_themes(tmp_path)
    assert not good
    assert [path.name in str(error) for path, error in bad.items()] == [True, True]


async def test_in_a_larger_terminal_the_agent_is_told_of_in_its_panel(console: ConsoleApp) -> None:
    async with console.run_test(size=(80, 24)) as pilot:
        await first_sample(pilot)
        recent = console.screen.query_one("#recent")
        await until(pilot, lambda: "Last events ·" in str(recent.border_title))
        await pilot.resize_terminal(160, 48)
        await until(pilot, lambda: str(recent.border_title) == "Last events")
