"""The console on files: a sysdump, a bugtool folder, dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.cli.loading import loading
from ctconsole.cli.settling import themes_beside
from ctconsole.cli.streams import is_served, need_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.settings.read import UserSettings


def open_offline(
    paths: Sequence[Path], *, layout: Layout | None = None, settings: UserSettings
) -> int:
    """Show what is in the files until the person leaves; nothing can be changed.

    Raises:
        UsageError: there is no terminal, or a path cannot be read.
        FormatError: there is no map in the files.
    """
    need_terminal("For scripts there are ctconsole map list and ct list, with --from-dump -o json")
    with loading():
        from ctconsole.filterbook import FilterBook
        from ctconsole.node.explaining import known_of_files
        from ctconsole.node.names import names_of_files
        from ctconsole.observe.offline_source import OfflineSource
        from ctconsole.settings.write import remember
        from ctconsole.ui.app import ConsoleApp
        from ctconsole.ui.choices import Choices

    source = OfflineSource(paths, layout=layout)
    app = ConsoleApp(
        source,
        None,
        theme=settings.value("theme"),
        names=lambda: names_of_files(paths),
        explain=lambda: known_of_files(paths, lambda _: None),
        read_only_hint="files are only read",
        book=FilterBook(),
        choices=Choices(settings, None if is_served() else remember),
        own_themes=themes_beside(settings),
    )
    app.run()
    offline = source.offline
    for problem in (*offline.problems, *(one.problem for one in offline.maps if one.problem)):
        message(f"ctconsole: {problem}")
    return app.return_code or 0
