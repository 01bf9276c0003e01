"""What is drawn: in which colours, with which signs, and that all of it can be read."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.style import Style

import ctconsole
from ctconsole.errors import FormatError
from ctconsole.observe.alarms import alarms
from ctconsole.paths import themes as themes_dir
from ctconsole.settings.read import settings_of
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.appearance import GLYPHS, READABLE, contrast, plain, reduced
from ctconsole.ui.choices import Choices
from ctconsole.ui.levels import thresholds
from ctconsole.ui.themes import read_theme, read_themes
from ctconsole.ui.widgets.chrome import StatusBar, fitted
from ctconsole.ui.widgets.line_table import LineTable
from tests.support.fake_actions import FakeActions
from tests.support.fakes import EPOCH, FakeSource
from tests.support.pilots import first_sample, open_entries, screen_text, status, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

OURS = sorted(path.stem for path in themes_dir().glob("*.toml"))


def opened(text: str, source: FakeSource | None = None) -> ConsoleApp:
    source = source or FakeSource()
    settings = settings_of(text, Path("config.toml"))
    return ConsoleApp(
        source,
        FakeActions(source),
        interval=3600,
        clock=lambda: EPOCH,
        theme=settings.value("theme"),
        choices=Choices(settings),
    )


def cells(pilot: Pilot[None], row: int) -> list[tuple[str, Style]]:
    """The pieces of a line of the screen as they go to the terminal, without blanks."""
    strip = pilot.app.screen._compositor.render_strips()[row]
    return [(one.text, one.style) for one in strip if one.text.strip() and one.style]


def cursor_line(table: LineTable) -> int:
    return table.region.y + 1 + table.cursor - table.scroll_offset.y


def hidden(pilot: Pilot[None]) -> list[str]:
    """The texts on the screen that have the colour of their ground."""
    return [
        text
        for row in range(pilot.app.size.height)
        for text, style in cells(pilot, row)
        if any(map(str.isalnum, text))
        and style.color is not None
        and style.bgcolor is not None
        and style.color[1:] == style.bgcolor[1:]
    ]


@pytest.mark.parametrize("name", OURS)
async def test_what_is_behind_a_dialogue_can_be_seen_in_16_colours(name: str) -> None:
    async with opened(f'theme = "{name}"\ncolor = "16"\n').run_test(size=(120, 40)) as pilot:
        await first_sample(pilot)
        unseen = set(hidden(pilot))
        await pilot.press("i")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        assert "cilium_snat_v4" in screen_text(pilot)
        assert set(hidden(pilot)) <= unseen


@pytest.mark.parametrize("name", OURS)
async def test_every_cell_of_the_cursors_row_can_be_read(name: str) -> None:
    depth = "16" if name == "ansi" else "true"
    console = opened(f'theme = "{name}"\ncolor = "{depth}"\n')
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        table = console.screen.query_one("#maps", LineTable)
        for _ in range(3):
            for text, style in cells(pilot, cursor_line(table)):
                assert contrast(style, depth) >= READABLE, (name, text, style)
            await pilot.press("down")
        table = await open_entries(pilot)
        await pilot.press("home")
        for _ in range(table.size.height - 2):
            for text, style in cells(pilot, cursor_line(table)):
                assert contrast(style, depth) >= READABLE, (name, text, style)
            await pilot.press("down")


@pytest.mark.parametrize("name", OURS)
async def test_every_style_of_a_table_can_be_read_in_every_theme_of_ours(name: str) -> None:
    console = opened(f'theme = "{name}"\n')
    async with console.run_test() as pilot:
        await first_sample(pilot)
        table = console.screen.query_one("#maps", LineTable)
        # What is not there is drawn by the track, which need not be read.
        for style in LineTable.STYLES - {"track"}:
            for base in ("row", "odd", "header", "cursor", "cursor-blurred"):
                assert contrast(table._look(base, style)) >= READABLE, (base, style)


async def test_sixteen_colours_are_sixteen(console: ConsoleApp) -> None:
    low = opened('color = "16"\n')
    async with low.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        assert low.theme == "ansi"
        for row in range(30):
            for _, style in cells(pilot, row):
                for color in (style.color, style.bgcolor):
                    assert color is None or color.type.name in {"STANDARD", "DEFAULT"}
    async with console.run_test() as pilot:
        assert console.theme == "night"


async def test_without_colours_the_cursor_is_still_seen() -> None:
    console = opened('color = "none"\n')
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        await pilot.press("down")
        table = console.screen.query_one("#maps", LineTable)
        for row in range(30):
            for _, style in cells(pilot, row):
                assert style.color is None or style.color.is_default
        at, beside = cursor_line(table), cursor_line(table) + 1
        assert all(style.reverse for _, style in cells(pilot, at))
        assert not any(style.reverse for _, style in cells(pilot, beside))


async def test_with_ascii_alone_nothing_else_is_drawn() -> None:
    console = opened("ascii = true\n")
    async with console.run_test(size=(140, 40)) as pilot:
        await open_entries(pilot)
        for key in "12345z":
            await pilot.press(key)
            await pilot.pause()
            assert screen_text(pilot).isascii(), key


def test_every_sign_of_ours_has_its_form_in_ascii() -> None:
    """A new sign needs a row in `GLYPHS`; it must be as wide as what stands for it."""
    found = set()
    for path in Path(ctconsole.__file__).parent.joinpath("ui").rglob("*.py"):
        if path.name == "appearance.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {sign for sign in node.value if not sign.isascii()}
    assert sorted(found - GLYPHS.keys()) == []
    assert {sign: cell_len(sign) for sign in GLYPHS} == {sign: len(GLYPHS[sign]) for sign in GLYPHS}


def test_what_is_drawn_in_ascii_is_as_wide_as_it_was() -> None:
    for text in ("╭─ é 漢字 ─╮", "▁▂█", "\N{PILE OF POO}"):
        assert plain(text).isascii()
        assert cell_len(plain(text)) == cell_len(text)
    assert plain("é") == "e"


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(Style.parse("#ffffff on #000000")) == pytest.approx(21.0)
    assert contrast(Style.parse("#777777 on #ffffff")) == pytest.approx(4.48, abs=0.01)
    bright_black = Style.parse("#555555 on #555555")
    assert contrast(bright_black, "16") == pytest.approx(1.0)
    assert reduced(bright_black, ColorSystem.STANDARD).color is not None


async def test_a_late_sample_is_coloured(source: FakeSource) -> None:
    now = [EPOCH]
    console = ConsoleApp(source, interval=2.0, clock=lambda: now[0])
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        console.sampler.stop()
        now[0] = console.sample.taken_at + 5.0
        console.refresh_status()
        assert not status(pilot).late
        now[0] = console.sample.taken_at + 7.0
        console.refresh_status()
        assert status(pilot).late
        bar = console.screen.query_one(StatusBar)
        old = bar.get_component_rich_style("status-bar--old")
        assert any(old == span.style for span in bar.render().spans)


async def test_thresholds_are_those_that_are_settled() -> None:
    console = opened("[thresholds]\nwarn = 10\ncrit = 95\n")
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        lines = screen_text(pilot).splitlines()
        any4 = next(x for x in lines if x.strip().startswith("cilium_ct_any4_global"))
        assert "▲ 14%" in " ".join(any4.split())
    async with opened("").run_test() as pilot:
        await first_sample(pilot)


async def test_a_map_may_have_thresholds_of_its_own() -> None:
    console = opened('[thresholds."cilium_ct_any4_global"]\ncrit = 12\n')
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        lines = screen_text(pilot).splitlines()
        any4 = next(x for x in lines if x.strip().startswith("cilium_ct_any4_global"))
        assert "▲ 14%" in " ".join(any4.split())
        told = [alarm.text for alarm in alarms(console.sample, thresholds())]
        assert any(text.startswith("cilium_ct_any4_global is 14% full") for text in told)
    async with opened("").run_test() as pilot:
        await first_sample(pilot)


NIGHT = (themes_dir() / "night.toml").read_text()


async def test_a_theme_of_ones_own_is_taken_up_and_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(NIGHT.replace('"night"', '"mine"'))
    source = FakeSource()
    console = ConsoleApp(
        source, interval=3600, clock=lambda: EPOCH, theme="mine", own_themes=tmp_path
    )
    async with console.run_test(size=(100, 30)) as pilot:
        await first_sample(pilot)
        assert console.theme == "mine"
        assert console.current_theme.background == "#12161e"
        mine.write_text(NIGHT.replace('"night"', '"mine"').replace("#12161e", "#ff0000"))
        os.utime(mine, ns=(1, 1))
        console.theming.follow()
        await until(pilot, lambda: console.current_theme.background == "#ff0000")
        assert console.screen.styles.background.r > 250
        mine.write_text("name = 1 =")
        os.utime(mine, ns=(2, 2))
        console.theming.follow()
        assert console.current_theme.background == "#ff0000"
        assert "mine.toml" in status(pilot).flash
        offers = {one.title: one for one in console.commands.offers()}
        assert "mine.toml" in offers["Theme: mine"].why_not


def test_a_folder_of_themes_takes_nobody_along(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "large.toml").write_text("#" * (1 << 20))
    (tmp_path / "odd.toml").write_text('name = "odd"\nprimary = "#fff"\ncolour = 1\n')
    (tmp_path / "good.toml").write_text(NIGHT.replace('"night"', '"good"'))
    good, bad = read_themes(tmp_path)
    assert [one.name for one in good] == ["good"]
    assert len(bad) == 3
    assert not any(read_themes(tmp_path / "none"))
    with pytest.raises(FormatError, match=r"odd\.toml cannot be used: colour is no field"):
        read_theme(tmp_path / "odd.toml")


def test_a_long_name_of_a_node_gives_way_to_the_agent_and_the_bpffs() -> None:
    title = "ip-10-0-3-17.eu-central-1.compute.internal · no agent · /sys/fs/bpf"
    assert fitted(title, len(title)) == title
    assert fitted(title, 37) == "ip-10-0-3-1… · no agent · /sys/fs/bpf"
    assert fitted(title, 10) == "ip-10-0… · no agent · /sys/fs/bpf"
