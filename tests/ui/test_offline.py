"""The console on files, with no kernel behind it."""

from __future__ import annotations

from pathlib import Path

from ctconsole.observe.offline_source import OfflineSource
from ctconsole.ui.app import ConsoleApp
from tests.support.captures import CAPTURES
from tests.support.pilots import first_sample, open_entries, screen_text, until


async def test_a_folder_of_dumps_is_a_node_that_stands_still() -> None:
    console = ConsoleApp(OfflineSource([CAPTURES / "real-1.18-svc"]), None, interval=0.05)
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        assert "cilium_ct4_global" in screen_text(pilot)
        assert "offline" in screen_text(pilot)
        assert "FILES" in screen_text(pilot)
        assert "● LIVE" not in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "10.96.0.10:80" in screen_text(pilot))


async def test_a_dump_is_forecast_and_filtered_as_a_node_is() -> None:
    console = ConsoleApp(OfflineSource([CAPTURES / "handmade-1.18"]), None, interval=0.05)
    async with console.run_test(size=(140, 40)) as pilot:
        await open_entries(pilot)
        await pilot.press("f")
        await until(pilot, lambda: "direct server return" in screen_text(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "1 of 4 entries" in screen_text(pilot))
        assert "192.168.7.1:40000" in screen_text(pilot)
        assert "10.0.0.20:43210" not in screen_text(pilot)


async def test_a_file_that_tells_sizes_alone_is_shown_with_them() -> None:
    cases = Path(__file__).parents[1] / "data" / "cases"
    for number, words in (
        ("79", ("TCP connection tracking", "287,994")),
        ("47", ("cilium_ipcache", "233")),
        ("77", ("cilium_ct4_glob", "524,288")),
    ):
        [file] = cases.glob(f"{number}-*")
        source = OfflineSource([file])
        rows = source.maps().rows
        assert len({row.key for row in rows}) == len(rows)
        console = ConsoleApp(source, None, interval=0.05)
        async with console.run_test(size=(140, 40)) as pilot:
            await first_sample(pilot)
            assert all(word in screen_text(pilot) for word in words)
