"""The console of a fleet: joins whoever follows it with the screens that show it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.message import Message

from ctconsole import loops
from ctconsole.fleet.following import FleetFollower
from ctconsole.fleet.onenode import look_at
from ctconsole.model.units import duration
from ctconsole.settings.keymap import for_textual
from ctconsole.settings.read import UserSettings
from ctconsole.ui.appearance import filters_for
from ctconsole.ui.choices import Choices
from ctconsole.ui.filters import Filters
from ctconsole.ui.fleet_commands import FleetCommands
from ctconsole.ui.keys import bindings
from ctconsole.ui.legend import FLEET_MARKS
from ctconsole.ui.levels import settle
from ctconsole.ui.screens.fleet import FleetScreen
from ctconsole.ui.screens.fleet_node import FleetNodeScreen
from ctconsole.ui.screens.help import HelpScreen
from ctconsole.ui.surface import SurfaceApp
from ctconsole.ui.theming import Theming
from ctconsole.ui.widgets.chrome import Status, StatusBar
from ctconsole.ui.widgets.ct_rows import Sorting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from textual.app import SystemCommand
    from textual.screen import Screen

    from ctconsole.filterbook import FilterBook
    from ctconsole.fleet.following import Followed
    from ctconsole.fleet.looking import FleetLooker
    from ctconsole.fleet.onenode import NodeLook
    from ctconsole.fleet.prometheus import PrometheusClient
    from ctconsole.keytable import Key

_LATE = 3.0
"""Intervals after which a newer look should be there."""


class FleetApp(SurfaceApp):
    """Shows what a Prometheus knows of a fleet; it can change nothing.

    Args:
        prometheus: whom to ask about one node.
        looker: looks at all of them.
        every: seconds between two looks.
        clock: seconds since the Unix epoch.
        filter_text: the filter to begin with.
        sort: the column to begin with, a ``-`` before it turns the order round; empty for the
            fullest first.
        book: where filters are kept that were typed and saved.
        choices: what is settled.
        own_themes: a folder of themes that is followed while it changes.

    Attributes:
        filters: what was typed and saved.
    """

    TITLE = "ctconsole"
    CSS_PATH = "console.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("fleet-app"),
        Binding("ctrl+c", "quit", "Quit", show=False, system=True),
    ]

    class LookedAnew(Message):
        """The follower has something to show."""

    def __init__(
        self,
        prometheus: PrometheusClient,
        looker: FleetLooker,
        *,
        every: float = 10.0,
        clock: Callable[[], float] = time.time,
        filter_text: str = "",
        sort: str = "",
        book: FilterBook | None = None,
        choices: Choices | None = None,
        own_themes: Path | None = None,
    ) -> None:
        super().__init__()
        self._prometheus = prometheus
        self.now = clock
        self.choices = choices or Choices(UserSettings())
        settings = self.choices.settings
        self._filters += filters_for(settings.value("color"), ascii_only=settings.switch("ascii"))
        self.set_keymap(for_textual(settings.keys))
        settle(settings.thresholds)
        self.filters = Filters(book)
        self.theming = Theming(self, own_themes, self.flash)
        # Before the style sheets are read, which each change of colours makes Textual do anew.
        self.theming.load()
        self.theming.take(settings.value("theme"), self.depth)
        self.follower = FleetFollower(looker, every, self._told, clock)
        if sort:
            # The screen begins with what is chosen: what is asked for goes before what is settled.
            turned = sort.startswith("-")
            self.choices.choose_sorting("fleet", sort.removeprefix("-"), descending=not turned)
        chosen = self.choices.sorting("fleet")
        sorting = Sorting(chosen[0], descending=chosen[1]) if chosen else Sorting("fill")
        self._fleet = FleetScreen(filter_text, sorting)
        self.commands = FleetCommands(self, self._fleet)

    def get_default_screen(self) -> Screen[None]:
        """All nodes."""
        return self._fleet

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Textual's own: themes above all."""
        return super().get_system_commands(screen)

    @property
    def looked_at(self) -> str:
        """Whom it asks."""
        return self._prometheus.url

    @property
    def followed(self) -> Followed:
        """See `ctconsole.ui.screens.fleet.FleetConsole`."""
        return self.follower.latest

    def on_mount(self) -> None:
        """Begin to ask."""
        self._main_loop = asyncio.get_running_loop()
        if self._leaving:
            self.exit()
            return
        self.set_interval(1.0, self.refresh_status)
        self.set_interval(1.0, self.theming.follow)
        self.follower.start()

    def on_unmount(self) -> None:
        """Ask no more."""
        self.follower.stop()

    def _told(self) -> None:
        """Called in the follower's thread."""
        if self._running:
            self.post_message(self.LookedAnew())

    @on(LookedAnew)
    def _looked_anew(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, FleetScreen | FleetNodeScreen) and screen.is_mounted:
                with suppress(NoMatches):
                    screen.show_fleet()
        self.refresh_status()

    def look_at(self, node: str, span: float) -> NodeLook:
        """See `ctconsole.ui.screens.fleet_node.LooksAtNodes`; for any thread."""
        return look_at(self._prometheus, node, span, self.now)

    def open_node(self, node: str) -> None:
        """Show one node."""
        self.show_all()
        if isinstance(self.screen, FleetScreen):
            self.push_screen(FleetNodeScreen(node))

    def show_all(self) -> None:
        """Go back to all nodes."""
        if isinstance(self.screen, FleetNodeScreen):
            self.pop_screen()

    def hurry(self) -> None:
        """Ask at once."""
        self.follower.hurry()

    def why_not(self, key: Key) -> str:
        """Nothing here needs a gate."""
        del key
        return ""

    def columns(self, view: str) -> Sequence[str]:
        """See `ctconsole.ui.console.Console`."""
        return self.choices.columns(view)

    def choose_columns(self, view: str, columns: Sequence[str]) -> None:
        """Likewise."""
        self.choices.choose_columns(view, columns)

    def refresh_status(self) -> None:
        """Bring the status line up to date."""
        for screen in self.screen_stack:
            if isinstance(screen, FleetScreen | FleetNodeScreen) and screen.is_mounted:
                with suppress(NoMatches):
                    screen.query_one(StatusBar).show(self._status(screen))

    def _status(self, screen: FleetScreen | FleetNodeScreen) -> Status:
        now, look = self.now(), self.followed.look
        age = max(0.0, now - look.taken_at) if look else None
        return Status(
            age=age,
            late=age is not None and age > _LATE * self.follower.every,
            cost=look.cost if look else 0.0,
            shown=screen.shown(),
            flash=self.flashed,
            error="; ".join(dict.fromkeys(self._troubles(now))),
        )

    def _troubles(self, now: float) -> Iterator[str]:
        followed = self.followed
        if followed.error:
            since = duration(round(max(0.0, now - followed.failing_since)))
            old = (
                f"what is shown is {duration(round(max(0.0, now - followed.look.taken_at)))} old"
                if followed.look
                else "nothing is known yet"
            )
            yield f"{old}; for {since}: {followed.error}"
        yield from map(str, loops.troubles())
        yield from self._trouble.values()

    def action_command(self) -> None:
        """Ask for a command."""
        if isinstance(self.screen, FleetScreen | FleetNodeScreen):
            self.ask_command(self.commands)

    def action_help(self) -> None:
        """Show the keys that are in force here."""
        if isinstance(self.screen, FleetScreen | FleetNodeScreen):
            active = [one.binding for one in self.screen.active_bindings.values()]
            notes = ["What is counted over an hour is asked for once a minute."]
            self.push_screen(HelpScreen(active, notes, FLEET_MARKS))
