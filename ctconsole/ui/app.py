"""The console: joins the sampler with the views and keeps what they share."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches

from ctconsole import loops
from ctconsole.errors import CtconsoleError
from ctconsole.observe.recording.ring import KEPT_SECONDS
from ctconsole.settings.keymap import for_textual
from ctconsole.settings.read import UserSettings
from ctconsole.ui.appearance import filters_for
from ctconsole.ui.choices import Choices
from ctconsole.ui.chosen import ChosenMapApp
from ctconsole.ui.commands import Commands
from ctconsole.ui.dialogues import Dialogues
from ctconsole.ui.exporting import Exporting
from ctconsole.ui.filters import Filters
from ctconsole.ui.following import Following
from ctconsole.ui.keeping import Keeping
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import settle
from ctconsole.ui.palette import OFF, CommandProvider
from ctconsole.ui.screens.base import View
from ctconsole.ui.screens.confirm import ConfirmScreen
from ctconsole.ui.screens.datapath import DatapathScreen
from ctconsole.ui.screens.details import Details
from ctconsole.ui.screens.entries import EntriesScreen
from ctconsole.ui.screens.events import EventsScreen
from ctconsole.ui.screens.help import HelpScreen
from ctconsole.ui.screens.maps import MapsScreen
from ctconsole.ui.screens.node import NodeScreen
from ctconsole.ui.screens.overview import OverviewScreen
from ctconsole.ui.screens.top import TopScreen
from ctconsole.ui.sequelling import Sequelling
from ctconsole.ui.themes import DEFAULT_THEME
from ctconsole.ui.theming import Theming
from ctconsole.ui.widgets.alarm_line import AlarmLine
from ctconsole.ui.widgets.chrome import Status, StatusBar, TitleBar, ViewTab
from ctconsole.ui.widgets.sequel_line import SequelLine
from ctconsole.ui.widgets.time_bar import TimeBar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path, PurePath

    from textual.screen import Screen

    from ctconsole.filterbook import FilterBook
    from ctconsole.keytable import Key
    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.explain.facts import Known
    from ctconsole.model.names import Names
    from ctconsole.observe.recording.replay import ReplaySource
    from ctconsole.observe.source import Source
    from ctconsole.ui.actions import Actions
    from ctconsole.ui.keeping import BegunRecording

SCREENS = (
    OverviewScreen,
    EntriesScreen,
    TopScreen,
    EventsScreen,
    DatapathScreen,
    MapsScreen,
    NodeScreen,
)
"""A screen for each of `VIEW_NAMES`."""

_LATE = 3.0
"""Intervals after which a newer sample should be there."""

HINT = "start without --read-only to act"


class ConsoleApp(ChosenMapApp):
    """The console; to its screens a `ctconsole.ui.console.Console`.

    Args:
        source: what is looked at.
        actions: what can be done to it; None opens the console read-only.
        interval: seconds between two samples.
        clock: wall clock in seconds since the epoch, for ages on the screen.
        theme: name of a theme; one that does not exist is reported and the default taken.
        names: reads what addresses and services are called, and says in words what it could not
            learn; may take its time.
        explain: gathers what answers to an operator's questions rest on; may take its time.
        translated: reads whose address translations are in the NAT tables (see `Knowledge`);
            may take its time.
        read_only_hint: what opens the write gate, for whoever wants to act without ``actions``.
        keep: seconds of the past of a live node that one can step back to; 0: none.
        replay: the source, where it is a recording that can be told to play.
        record: begins a recording of what is looked at.
        book: where filters are kept that were typed and saved; None forgets them.
        choices: what is settled, and what is chosen meanwhile.
        own_themes: a folder of themes that is followed while it changes.

    Attributes:
        filter_text: the filter of the Entries view and of Top.
        filters: what was typed and saved.
        sequel: what becomes of the change that was made last.
        following: the entry that is followed.
        recorded: once it has ended, what became of a recording that was under way.
    """

    TITLE = "ctconsole"
    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {CommandProvider}  # noqa: RUF012 - Textual declares it
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        screen.VIEW: screen for screen in SCREENS
    }
    DEFAULT_MODE = OverviewScreen.VIEW

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("app"),
        # Textual only says how to quit; whoever presses this wants to leave.
        Binding("ctrl+c", "quit", "Quit", show=False, system=True),
    ]

    def __init__(
        self,
        source: Source,
        actions: Actions | None = None,
        *,
        interval: float = 2.0,
        clock: Callable[[], float] = time.time,
        theme: str = DEFAULT_THEME,
        names: Callable[[], tuple[Names, Sequence[str]]] | None = None,
        explain: Callable[[], Known] | None = None,
        translated: Callable[[], Mapping[int, Translations]] = dict,
        read_only_hint: str = HINT,
        keep: float = KEPT_SECONDS,
        replay: ReplaySource | None = None,
        record: Callable[[Path], BegunRecording] | None = None,
        book: FilterBook | None = None,
        choices: Choices | None = None,
        own_themes: Path | None = None,
    ) -> None:
        super().__init__(source, interval, clock, keep, replay)
        self._read_names = names
        self.choices = choices or Choices(UserSettings())
        settings = self.choices.settings
        self._filters += filters_for(settings.value("color"), ascii_only=settings.switch("ascii"))
        self.set_keymap(for_textual(settings.keys))
        settle(settings.thresholds)
        self.filter_text = self.recorded = ""
        self.filters = Filters(book)
        self.intents = Dialogues(self, actions, read_only_hint)
        self._wanted_map: PurePath | int | None = None
        self.following = Following(self._watch)
        self.sequel = Sequelling(self, clock, self._watch, self.refresh_status)
        self.keeping = Keeping(self, record, self.flash)
        self.theming = Theming(self, own_themes, self.flash)
        self.exporting = Exporting(self, self.flash)
        self.commands = Commands(
            self,
            bad_themes=self.theming.bad,
            remember=self.remember,
            pace=self._every,
            record=self.keeping.begin,
            jump=self.past.jump,
            export=self.exporting.into,
        )
        self._read_known = explain
        self.read_translated = translated
        # The clock of a recording stands still while somebody reads.
        self._flash_clock = clock if source.live else time.monotonic
        # Before the style sheets are read, which each change of colours makes Textual do anew.
        self.theming.load()
        self.theming.take(theme, self.depth)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What the palette finds: all that commands can do, and Textual's own."""
        del screen
        for offer in self.commands.offers():
            about = f"{OFF}{offer.why_not}" if offer.why_not else offer.about
            yield SystemCommand(offer.title, about, partial(self.commands.run, offer.text))

    def on_mount(self) -> None:
        """Start sampling."""
        self._main_loop = asyncio.get_running_loop()
        if self._leaving:
            self.exit()
            return
        self._first_look = (self.theme, self.sampler.interval)
        told = self.choices.settings.problems
        if told:
            self.flash(f"{told[0]}{f'; {len(told) - 1} more' if len(told) > 1 else ''}")
        self.set_interval(1.0, self.refresh_status)
        self.set_interval(1.0, self.theming.follow)
        self.sampler.start()

    def remember(self, only: str = "") -> str:
        """Write what was chosen into the configuration file (see `Choices.remember`).

        Raises:
            CtconsoleError: it cannot be written.
        """
        theme, interval = self._first_look
        if self.theme != theme:
            self.choices.choose("theme", self.theme)
        if self.sampler.interval != interval and self.source.live:
            self.choices.choose("interval", self.sampler.interval)
        return self.choices.remember(only)

    def on_unmount(self) -> None:
        """Stop sampling, end a recording, and remember what was chosen where that is settled."""
        self.recorded = self.keeping.end()
        if self.choices.settings.switch("remember"):
            with suppress(CtconsoleError):
                self.remember()
        self.sampler.stop()

    def show_sample(self) -> None:
        """Show `sample` on every screen that shows samples."""
        self.following.look(self.sample)
        self.sequel.look(self.sample)
        for screen in self.screen_stack:
            if isinstance(screen, View | Details | ConfirmScreen) and screen.is_mounted:
                # Samples still arrive while the app, and its screens' widgets with it, goes down.
                with suppress(NoMatches):
                    screen.show_sample(self.sample)

    def refresh_status(self) -> None:
        """Bring the status line of the view on screen up to date."""
        for screen in self.screen_stack:
            if isinstance(screen, View) and screen.is_mounted:
                with suppress(NoMatches):
                    screen.query_one(StatusBar).show(self._status(screen))
                    screen.query_one(TitleBar).show(self.looked_at)
                    screen.query_one(AlarmLine).show(self.sample)
                    screen.query_one(TimeBar).show(self.past.times())
                    screen.query_one(SequelLine).tell(self.sequel.told)

    def _status(self, view: View) -> Status:
        sample = self.sample
        now = self.clock()
        return Status(
            live=self.source.live,
            mode=self.past.mode(now),
            frozen=self.frozen,
            read_only=self.intents.actions is None,
            guard=self.intents.guarding,
            recording=self.keeping.told(),
            age=max(0.0, now - sample.taken_at) if sample.number else None,
            late=self.source.live and now - sample.taken_at > _LATE * self.sampler.interval,
            cost=sample.cost_seconds,
            skipped=sample.skipped,
            shown=view.shown(),
            flash=self.flashed,
            error="; ".join(dict.fromkeys(filter(None, self._troubles()))),
        )

    def _troubles(self) -> Iterator[str]:
        """What cannot be read, threads in trouble, workers that failed."""
        yield self.sampler.latest.error
        yield from map(str, loops.troubles())
        yield from self._trouble.values()

    def columns(self, view: str) -> Sequence[str]:
        """See `ctconsole.ui.console.Console`."""
        return self.choices.columns(view)

    def choose_columns(self, view: str, columns: Sequence[str]) -> None:
        """See `ctconsole.ui.console.Console`."""
        self.choices.choose_columns(view, columns)

    def why_not(self, key: Key) -> str:
        """See `ctconsole.ui.console.Console`."""
        closed = key.needs == "gate" and self.intents.actions is None
        return self.intents.read_only if closed else ""

    def hurry(self) -> None:
        """Sample at once: something was changed."""
        self.sampler.hurry()

    def watch_map(self, where: PurePath | int | None) -> None:
        """Have this CT map read whole with every sample."""
        self._wanted_map = where
        self._watch()

    def _watch(self) -> None:
        """What a view wants to see comes before what is looked at behind it."""
        wishes = (self._wanted_map, self.sequel.pin, self.following.pin)
        watched = next((one for one in wishes if one is not None), None)
        looks = self.sequel.looks
        if self.following.pin is not None:
            looks = (*looks, (self.following.pin, self.following.arrived))
        # Each is read once: what is watched is seen as it is shown.
        self.sampler.also([one for one in looks if one[0] != watched])
        self.sampler.watch(watched)

    def count_runs(self, *, wanted: bool) -> None:
        """Have the runs of programs counted from now on, or no more."""
        self.sampler.count_runs(wanted=wanted)

    @property
    def looked_at(self) -> str:
        """One line naming the node or the files."""
        return self.past.title or self.source.title

    def open_filtered(self, text: str) -> None:
        """Show the entries that a filter lets through."""
        self.filter_text = text
        self.show_view("entries")

    def action_show_view(self, view: str) -> None:
        """See `show_view`."""
        self.show_view(view)

    def show_view(self, view: str) -> None:
        """Switch to a view; not from under a dialogue."""
        if isinstance(self.screen, View) and view != self.current_mode:
            self.switch_mode(view)

    def action_record(self) -> None:
        """Begin a recording, or end it."""
        if isinstance(self.screen, View):
            self.keeping.toggle()
            self.refresh_status()

    def action_command(self) -> None:
        """Ask for a command."""
        if isinstance(self.screen, View):
            self.ask_command(self.commands)

    def _every(self, seconds: float) -> str:
        if not self.source.live:
            told = "only a live node is sampled; {time.faster} {time.slower} pace a recording"
            return self.keyed(told)
        return f"a sample every {self.sampler.every(seconds):g} s"

    def action_export(self) -> None:
        """Write the view's rows, or the screen, into a file."""
        if isinstance(self.screen, View):
            self.exporting.ask(self.screen.VIEW)

    def action_explain(self) -> None:
        """Answer what operators ask, from what is at hand."""
        from ctconsole.ui.screens.explain import ExplainScreen

        if not isinstance(self.screen, View):
            return
        if self._read_known is None:
            self.flash("nobody here can answer")
        else:
            self.push_screen(ExplainScreen(self._read_known))

    def action_help(self) -> None:
        """Show the keys that are in force here."""
        if isinstance(self.screen, View):
            notes = (
                [f"Resize, recreate, delete and restart: {self.intents.read_only}."]
                if self.intents.actions is None
                else []
            )
            self.push_screen(
                HelpScreen(
                    [active.binding for active in self.screen.active_bindings.values()], notes
                )
            )

    @on(ViewTab.Clicked)
    def _tab_clicked(self, message: ViewTab.Clicked) -> None:
        self.show_view(message.view)
