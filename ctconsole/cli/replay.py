"""``ctconsole replay``: the console on a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.loading import loading
from ctconsole.cli.options import GivenPath
from ctconsole.cli.settling import look_options, settled, themes_beside
from ctconsole.cli.streams import need_terminal

if TYPE_CHECKING:
    from pathlib import Path


@click.command(name="replay")
@click.argument("file", type=GivenPath())
@click.option(
    "--at",
    metavar="MOMENT",
    help="Begin there and stand still: 01:36, '2026-11-28 01:36', or '3m ago', from its end.",
)
@look_options
def command(
    file: Path, at: str | None, theme: str | None, color: str | None, *, ascii_only: bool | None
) -> int:
    """Open the console on a recording: play, pause, step, jump, and look at everything in it.

    Keys: space plays and pauses, [ and ] step, { and } go to the event before and after, + and -
    change the speed, t jumps to a moment. All views, filters, details and answers (w) work as on
    a node; nothing can be changed.

    \b
    Examples:
      ctconsole replay night.ctrec
      ctconsole replay night.ctrec --at 01:36
    """
    need_terminal("For scripts ctconsole diff tells what two of its moments differ in")
    with loading():
        from ctconsole.filterbook import FilterBook
        from ctconsole.model.when import moment_named
        from ctconsole.node.explaining_past import known_at
        from ctconsole.observe.recording.reader import Recording
        from ctconsole.observe.recording.replay import ReplaySource
        from ctconsole.settings.write import remember
        from ctconsole.ui.app import ConsoleApp
        from ctconsole.ui.choices import Choices

    settings = settled(theme=theme, color=color, ascii_only=ascii_only)
    source = ReplaySource(Recording(file))
    recording = source.recording
    if at is not None:
        source.player.seek(moment_named(at, recording.times[-1]))
        source.player.play(on=False)
    app = ConsoleApp(
        source,
        None,
        interval=0.5,
        clock=lambda: source.player.position.time,
        theme=settings.value("theme"),
        replay=source,
        names=lambda: (recording.names, ()),
        explain=lambda: known_at(recording, source.player.position.time),
        read_only_hint="a recording is only looked at",
        book=FilterBook(),
        choices=Choices(settings, remember),
        own_themes=themes_beside(settings),
    )
    app.run()
    if recording.told:
        message(f"ctconsole: {recording.told}")
    return app.return_code or 0
