"""The console of a fleet, over something that speaks as a Prometheus does."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, Static

from ctconsole.cli.settling import known_columns
from ctconsole.fleet.looking import FleetLooker
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.settings.read import settings_of
from ctconsole.ui.choices import Choices
from ctconsole.ui.fleet_app import FleetApp
from ctconsole.ui.screens.columns import ColumnsScreen
from ctconsole.ui.screens.fleet import FleetScreen
from ctconsole.ui.screens.fleet_node import FleetNodeScreen
from ctconsole.ui.screens.help import HelpScreen
from ctconsole.ui.widgets.chrome import StatusBar
from ctconsole.ui.widgets.heat_grid import HeatGrid
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fake_prometheus import (
    NOW,
    FakePrometheus,
    a_fleet,
    a_node,
    a_past,
    fake_prometheus,
    series,
)
from tests.support.pilots import line_with, screen_text, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from textual.pilot import Pilot


@pytest.fixture
def fake() -> Iterator[FakePrometheus]:
    with fake_prometheus(told=a_fleet()) as found:
        yield found


@asynccontextmanager
async def opened(
    fake: FakePrometheus,
    size: tuple[int, int] = (140, 40),
    *,
    filter_text: str = "",
    sort: str = "",
) -> AsyncIterator[Pilot[None]]:
    """A console that asks once, and then only when it is told to."""
    client = PrometheusClient(fake.url)
    looker = FleetLooker(client, slow_every=0.0, clock=lambda: NOW)
    app = FleetApp(
        client, looker, every=3600, clock=lambda: NOW, filter_text=filter_text, sort=sort
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.followed.asked)
        await pilot.pause()
        yield pilot


async def asked_again(pilot: Pilot[None]) -> None:
    """Ask anew, and wait until it is shown."""
    app = app_of(pilot)
    before = app.followed.asked
    await pilot.press("ctrl+r")
    await until(pilot, lambda: app.followed.asked > before)
    await pilot.pause()


def app_of(pilot: Pilot[None]) -> FleetApp:
    assert isinstance(pilot.app, FleetApp)
    return pilot.app


def nodes_shown(pilot: Pilot[None]) -> list[str]:
    rows = pilot.app.screen.query_one("#fleet", LineTable).rows
    assert rows is not None
    return [str(rows.key(row)) for row in range(len(rows))]


def totals_of(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one("#fleet-totals", Static).render())


async def test_a_fleet_is_told_from_its_totals_on(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        told = totals_of(pilot)
        assert "4 nodes   ▲ 1 down   ▲ 1 above 90%   0 above 70%" in told
        assert "3,000 entries, 2,100 alive" in told
        assert "▲ 2 alerts fire   ▲ 1 split brain" in told
        assert "▲ 1 re-created with loss (12 entries/h)" in told
        assert "? evicted/h   ? refused/h" in told, "no node tells them: that is not 0"
        assert nodes_shown(pilot) == ["n3", "n2", "n1", "n0"]
        assert "▲ DOWN" in line_with(pilot, " n0 ")
        assert " 0" not in line_with(pilot, " n0 ").partition("DOWN")[2], "unknown is not 0"
        assert "n3 · ct4_global 96% full · full in 10m" in screen_text(pilot)


@pytest.mark.key("fleet.look")
async def test_a_heat_map_reads_without_colours_and_the_worst_are_first(
    fake: FakePrometheus,
) -> None:
    async with opened(fake) as pilot:
        await pilot.press("h")
        await pilot.pause()
        assert "x! 9  6! 3!" in screen_text(pilot)
        assert "0-9 tenths of the room" in screen_text(pilot)
        assert "its exporter does not answer" in screen_text(pilot)
        await pilot.press("h")
        await pilot.pause()
        assert "▲ 96%" in line_with(pilot, " n3 ")
        assert "24%" in line_with(pilot, " n3 ")
        assert nodes_shown(pilot) == ["n0", "n3", "n2", "n1"]
        await pilot.press("h")
        await pilot.pause()
        assert nodes_shown(pilot)[0] == "n3"


@pytest.mark.key("table.left", "table.right")
async def test_the_cursor_of_the_heat_map_goes_every_way(fake: FakePrometheus) -> None:
    fake.told = a_fleet(1000)
    async with opened(fake, (80, 24)) as pilot:
        await pilot.press("h")
        grid = pilot.app.screen.query_one(HeatGrid)
        across = grid._across
        assert across == 25
        seen = []
        for key in ("right", "down", "left", "up", "G", "g", "pagedown"):
            await pilot.press(key)
            seen.append(grid.node.node if grid.node else "")
        assert seen[:6] == ["n999", "n974", "n975", "n0", "n1", "n0"]
        assert f"{seen[6]} · ct4_global" in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FleetNodeScreen))


@pytest.mark.key("entries.filter", "entries.all", "map.sort", "map.sort-right", "map.sort-left")
async def test_nodes_are_filtered_and_sorted(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        await pilot.press("slash", *"up:yes fill<80%", "enter")
        await pilot.pause()
        assert nodes_shown(pilot) == ["n2", "n1"]
        assert "2 of 4 nodes" in screen_text(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert len(nodes_shown(pilot)) == 4
        await pilot.press("less_than_sign", "less_than_sign")
        await pilot.pause()
        assert nodes_shown(pilot) == ["n0", "n1", "n2", "n3"]
        await pilot.press("greater_than_sign")
        await pilot.press("s", "j", "escape")
        rows = pilot.app.screen.query_one("#fleet", LineTable).rows
        assert rows is not None
        assert rows.sort[0] == "up"
        await pilot.press("slash", *"fill>much")
        await pilot.pause()
        assert "percent" in screen_text(pilot)


async def test_it_begins_with_what_was_asked_for(fake: FakePrometheus) -> None:
    async with opened(fake, filter_text="split>0 or lost>0", sort="-node") as pilot:
        assert nodes_shown(pilot) == ["n1", "n2"]


@pytest.mark.key("fleet.again")
async def test_a_prometheus_that_fails_leaves_what_was_known_and_its_age(
    fake: FakePrometheus,
) -> None:
    async with opened(fake) as pilot:
        fake.status = 503
        await asked_again(pilot)
        assert len(nodes_shown(pilot)) == 4
        error = pilot.app.screen.query_one(StatusBar).status.error
        assert error.startswith("what is shown is 0s old; for 0s: ")
        assert "503, it is" in error
        assert "\x1b" not in screen_text(pilot)
        fake.status = 200
        await asked_again(pilot)
        assert not pilot.app.screen.query_one(StatusBar).status.error


async def test_one_that_never_answered_is_told(fake: FakePrometheus) -> None:
    fake.raw = b"<html>"
    async with opened(fake) as pilot:
        assert "its answer is none of Prometheus'" in screen_text(pilot)
        assert "nothing is known yet" in pilot.app.screen.query_one(StatusBar).status.error


async def test_it_answers_keys_while_prometheus_does_not(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        fake.gate.acquire()
        await pilot.press("ctrl+r", "down", "down")
        assert pilot.app.screen.query_one("#fleet", LineTable).cursor == 2
        fake.gate.release()


async def test_what_it_does_not_tell_is_said(fake: FakePrometheus) -> None:
    del fake.told["ctconsole_map_entries:ratio"]
    fake.told["ALERTS"] = []
    fake.warnings = ["store \x1b]0;x\x07 is away"]
    async with opened(fake) as pilot:
        assert "alerts not known: Prometheus has no rules of ours" in totals_of(pilot)
        assert "▲ store ?]0;x? is away" in totals_of(pilot)


async def test_a_fleet_without_nodes_is_told(fake: FakePrometheus) -> None:
    fake.told = {}
    async with opened(fake) as pilot:
        assert "Prometheus knows no node" in screen_text(pilot)
        await pilot.press("h", "enter", "right", "down", "h", "h", "enter")


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e308", "-5", "0"])
async def test_no_number_ends_the_console(fake: FakePrometheus, value: str) -> None:
    fake.told = {
        part: [one | {"value": [NOW, value]} for one in told] for part, told in fake.told.items()
    }
    async with opened(fake) as pilot:
        await pilot.press("h", "h", "h", "h")
        await pilot.pause()
        assert not app_of(pilot)._trouble
        assert app_of(pilot).followed.look, app_of(pilot).followed.error


async def test_a_hostile_name_reaches_no_terminal(fake: FakePrometheus) -> None:
    name = '\x1b[2J[bold]"}\n\\\u202e' + "x" * 100_000
    fake.told["up{"] = [series(1, instance=name)]
    fake.told["ALERTS"] = []
    async with opened(fake) as pilot:
        assert name in nodes_shown(pilot)
        await pilot.press("end", "h", "end", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FleetNodeScreen))
        await until(pilot, lambda: any("max(up" in query for query in fake.asked))
        text = screen_text(pilot)
        assert "\x1b" not in text
        assert "\u202e" not in text
        [query] = [one for one in fake.asked if one.startswith("max(up")]
        assert '\\"}\\n\\\\' in query


@pytest.mark.key("fleet.back", "map.span")
async def test_one_node_is_told_down_to_its_stories(fake: FakePrometheus) -> None:
    async with opened(fake, (200, 40)) as pilot:
        fake.told = a_node("n3") | fake.told
        fake.past = a_past("n3")
        await pilot.press("enter")
        await until(pilot, lambda: "snat_v4_external" in screen_text(pilot))
        text = screen_text(pilot)
        assert "its exporter answers · sampled 4s ago · agent up for 2h" in text
        line = line_with(pilot, "ct4_global", "460,000")
        for word in ("524,288", "400,000", "60,000", "123.4", "2.0", "15m", "68.0 MiB", "1h ago"):
            assert word in line, (word, line)
        assert "split brain" in line_with(pilot, "snat_v4_external")
        assert (
            "resized 262,144 -> 524,288: 12,031 carried, 0 left behind, 0 not in the new map"
            in text
        )
        assert "re-created: 1,234 not in the new map when that was seen (within 10m)" in text
        assert "agent restarted (within" in text
        await pilot.press("v")
        await until(pilot, lambda: "In the last 7d" in screen_text(pilot))
        await pilot.press("enter")
        await pilot.pause()
        assert "of ct4_global and the agent" in screen_text(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, FleetScreen))


async def test_what_a_narrow_terminal_cuts_is_told_in_whole_below(fake: FakePrometheus) -> None:
    async with opened(fake, (80, 24)) as pilot:
        fake.told = a_node("n3") | fake.told
        fake.past = a_past("n3")
        await pilot.press("enter")
        await until(pilot, lambda: "snat_v4_external" in screen_text(pilot))
        assert "split brain" in line_with(pilot, "snat_v4_external")
        assert "ct4_global · 460,000 of 524,288 entries · 400,000 alive" in told_below(pilot)
        assert "the agent's next start gives it room for 262,144" in told_below(pilot)
        await pilot.press("down")
        await pilot.pause()
        assert "split brain: no program uses the pinned map" in told_below(pilot)
        await pilot.press("tab", "end")
        await pilot.pause()
        assert "resized 262,144 -> 524,288" in screen_text(pilot).partition("WHEN")[2]
        assert told_below(pilot) == (
            "ct4_global resized 262,144 -> 524,288: 12,031 carried, 0 left behind, "
            "0 not in the new map when that was seen (within 10m)"
        )
        fake.told = {"max(up{": [series(0)]} | a_fleet()
        await pilot.press("shift+tab", "ctrl+r")
        await until(pilot, lambda: "nothing is known of it now" in told_below(pilot))


def told_below(pilot: Pilot[None]) -> str:
    return str(pilot.app.screen.query_one("#fleet-told", Static).render())


async def test_commands_are_typed_where_one_node_is_shown_too(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        fake.told = a_node("n3") | fake.told
        for text, condition in (
            ("go n3", lambda: shows_node(pilot, "n3")),
            ("go n2", lambda: shows_node(pilot, "n2")),
            ("rate 30", lambda: app_of(pilot).follower.every == 30 and shows_node(pilot, "n2")),
            ("filter split>0", lambda: nodes_shown(pilot) == ["n2"]),
            ("go n2", lambda: shows_node(pilot, "n2")),
            ("look heat", lambda: pilot.app.screen.query_one(HeatGrid).display),
            ("look table", lambda: not pilot.app.screen.query_one(HeatGrid).display),
            ("go n2", lambda: shows_node(pilot, "n2")),
            ("sort -node", lambda: nodes_shown(pilot)[0] == "n2"),
        ):
            await pilot.press("colon")
            await pilot.pause()
            pilot.app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await until(pilot, condition)
            assert len(pilot.app.screen_stack) <= 3, "one node stands before all, and no more"


def shows_node(pilot: Pilot[None], name: str) -> bool:
    return isinstance(pilot.app.screen, FleetNodeScreen) and pilot.app.screen.node == name


async def test_a_node_that_is_down_is_told_as_such(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        fake.told = {"max(up{": [series(0)]} | fake.told
        fake.past = a_past("n0")
        await pilot.press("end", "enter")
        await until(pilot, lambda: "▲ DOWN: its exporter does not answer" in screen_text(pilot))
        line = line_with(pilot, "ct4_global", "-")
        assert "460,000" not in line
        assert "resized" in screen_text(pilot)
        fake.status = 500
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "500" in pilot.app.screen.query_one(StatusBar).status.flash)


@pytest.mark.key("fleet.command")
async def test_commands_are_typed(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        for text, condition in (
            ("look heat", lambda: pilot.app.screen.query_one(HeatGrid).display),
            ("look table", lambda: not pilot.app.screen.query_one(HeatGrid).display),
            ("sort -node", lambda: nodes_shown(pilot)[0] == "n0"),
            ("filter split>0", lambda: nodes_shown(pilot) == ["n2"]),
            ("filter", lambda: len(nodes_shown(pilot)) == 4),
            ("rate 30", lambda: app_of(pilot).follower.every == 30),
            ("theme nord", lambda: pilot.app.theme == "nord"),
            ("nonsense", lambda: "there is no nonsense" in screen_text(pilot)),
            ("rate 0", lambda: "1 to 3600" in screen_text(pilot)),
            ("go n2", lambda: isinstance(pilot.app.screen, FleetNodeScreen)),
        ):
            await pilot.press("colon")
            await pilot.pause()
            pilot.app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await until(pilot, condition)


async def test_help_names_the_keys_and_the_signs(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        assert "Show the nodes as a heat map" in screen_text(pilot)
        await pilot.press("escape", "q")
        await until(pilot, lambda: pilot.app._exit)


async def test_a_key_that_does_nothing_says_so(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        await pilot.press("Z")
        await pilot.pause()
        assert "Z does nothing here; ? for the keys" in screen_text(pilot)


async def test_a_command_that_cannot_be_remembered_is_carried_out_and_that_is_told(
    fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(fake) as pilot:
        monkeypatch.setattr(app_of(pilot).filters, "remember", lambda *_: "the disk is full")
        await pilot.press("colon")
        await pilot.press(*"sort name", "enter")
        await pilot.pause()
        assert "the disk is full" in screen_text(pilot)


async def test_columns_are_chosen_and_stay_so_where_there_is_a_choice(fake: FakePrometheus) -> None:
    async with opened(fake) as pilot:
        app = app_of(pilot)
        table = app.screen.query_one("#fleet", LineTable)
        app.choose_columns("fleet", ("node", "fill:20", "map ct4_global"))
        await pilot.press("h", "h", "h")
        assert dict(table.widths) == {"node": table.widths["node"], "fill": 20}
        await pilot.press("c")
        assert isinstance(app.screen, ColumnsScreen)
        await pilot.press("space", "escape")
        assert list(table.widths) == list(app.columns("fleet")[0].split(":")[:1]) == ["fill"]
        await asked_again(pilot)
        assert list(table.widths) == ["fill"]
        await pilot.press("h", "c")
        assert isinstance(app.screen, FleetScreen)
        assert "only the table (h) has a choice of columns" in screen_text(pilot)
        await pilot.press("h")
        assert "map ct4_global" in table.widths


def test_what_is_settled_of_a_fleets_columns_is_held_against_them() -> None:
    told = settings_of(
        '[columns]\nfleet = ["node", "fil"]\n[sort]\nfleet = "-lost"\n',
        Path("config.toml"),
        known_columns(),
    )
    assert [str(one) for one in told.problems if "fil" in str(one)]
    assert told.sort["fleet"] == "-lost"
    assert settings_of(
        '[columns]\nfleet = ["node", "fill:9"]\n', Path("config.toml"), known_columns()
    ).columns["fleet"] == ("node", "fill:9")


@pytest.mark.parametrize(("sort", "first"), [("", "n0"), ("lost", "n1"), ("-node", "n0")])
async def test_a_fleet_begins_as_it_is_settled_or_asked_for(
    fake: FakePrometheus, sort: str, first: str
) -> None:
    settings = settings_of(
        '[columns]\nfleet = ["node", "lost"]\n[sort]\nfleet = "node"\n', Path("config.toml")
    )
    client = PrometheusClient(fake.url)
    choices = Choices(settings)
    app = FleetApp(client, FleetLooker(client), every=3600, choices=choices, sort=sort)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: app.followed.asked)
        await pilot.pause()
        assert list(app.screen.query_one("#fleet", LineTable).widths) == ["node", "lost"]
        assert nodes_shown(pilot)[0] == first
