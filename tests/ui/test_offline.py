"""The console on files, with no kernel behind it."""

from __future__ import annotations

from ctconsole.observe.offline import OfflineSource
from ctconsole.ui.app import ConsoleApp
from tests.support.captures import CAPTURES
from tests.support.pilots import first_sample, screen_text, until


async def test_a_folder_of_dumps_is_a_node_that_stands_still() -> None:
    console = ConsoleApp(OfflineSource([CAPTURES / "real-1.18-svc"]), None, interval=0.05)
    async with console.run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        assert "cilium_ct4_global" in screen_text(pilot)
        assert "offline" in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "10.96.0.10:80" in screen_text(pilot))
