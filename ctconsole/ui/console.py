"""What a screen may ask of the app it is shown by.

Screens know this and not the app, so that a screen can be tried on anything that has these
members, and the app alone knows the screens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import PurePath

    import numpy as np
    import numpy.typing as npt
    from textual.app import App

    from ctconsole.keytable import Key
    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.ct.query import Query
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.observe.usage import MapGeneration
    from ctconsole.ui.choices import Choices
    from ctconsole.ui.filters import Filters
    from ctconsole.ui.following import Following


class Intents(Protocol):
    """What a person wants done: each opens a dialogue, or says in the status line why not."""

    @property
    def guarding(self) -> str:
        """What the guard does, in a few words; empty while it is off."""
        ...

    def resize(self, row: MapRow, size: str = "") -> None:
        """Open the dialogue that gives a map another size without a loss, or say why not.

        With a size as a person types it the dialogue begins with that.
        """
        ...

    def undo_resize(self, row: MapRow) -> None:
        """Open the dialogue that restores the size before, or say why not."""
        ...

    def toggle_guard(self) -> None:
        """Hold the conntrack tables so that a re-created one keeps its entries, or let go."""
        ...

    def recreate(self, row: MapRow, size: str = "") -> None:
        """Open the dialogue that re-creates a map, or say why not."""
        ...

    def delete_entries(self, row: MapRow, query: Query, key: bytes | None = None) -> None:
        """Open the dialogue that deletes entries, or say why not."""
        ...

    def restart_agent(self) -> None:
        """Open the dialogue that restarts the agent, or say why not."""
        ...


class WatchesChange(Protocol):
    """The change that was made last, and what is seen of it (`ctconsole.ui.sequelling`)."""

    @property
    def told(self) -> str:
        """A line for the screen; empty where nothing was changed."""
        ...

    def expect(self, row: MapRow | None) -> None:
        """A change of this map may come: have it read, so that it is known what was in it."""
        ...

    def changing(
        self,
        what: str,
        pins: Iterable[PurePath],
        sample: Sample,
        rows: Callable[[CtTable], npt.NDArray[np.bool_] | None],
    ) -> None:
        """The change begins.

        Args:
            what: it is, in a few words.
            pins: of the maps whose entries it is about.
            sample: the newest.
            rows: of the map that was expected, those that may be lost; None where nobody can say.
        """
        ...

    def read_before(self) -> None:
        """Wait until it is known what is in every map of it, or not to be known.

        Takes its time; for the worker that then makes the change.
        """
        ...

    def changed(self) -> None:
        """The change was made."""
        ...

    def left(self) -> None:
        """The dialogue was left: without a change there is nothing to watch."""
        ...

    def list(self) -> str:
        """Open the list of entries; why there is none, or nothing."""
        ...


class Console(Protocol):
    """What is looked at, what all views share, and where an intent goes.

    Everything is for the app's own thread, but for `read_translated`.

    Attributes:
        filter_text: the filter of the Entries view and of Top.
        filters: what was typed and saved.
        following: the entry that is followed.
        chosen_map: `MapRow.key` of the CT map shown, None before one was chosen.
    """

    filter_text: str
    filters: Filters
    following: Following
    chosen_map: str | None

    @property
    def sequel(self) -> WatchesChange:
        """What becomes of the change that was made last."""
        ...

    @property
    def intents(self) -> Intents:
        """What can be wanted of the node."""
        ...

    @property
    def looked_at(self) -> str:
        """One line naming the node or the files."""
        ...

    @property
    def sample(self) -> Sample:
        """The sample on screen."""
        ...

    @property
    def names(self) -> Names | None:
        """What is called how, while names are shown."""
        ...

    @property
    def known_names(self) -> Names | None:
        """What is called how, shown or not; None before it was read."""
        ...

    def learn_names(self) -> bool:
        """Read names for whoever asks for them; False where nobody knows any."""
        ...

    @property
    def ct_maps(self) -> Sequence[MapRow]:
        """The CT maps that can be shown."""
        ...

    @property
    def ct_map(self) -> MapRow | None:
        """The CT map shown: the one chosen, else the first."""
        ...

    def now(self) -> float:
        """The wall clock, seconds since the epoch."""
        ...

    def read_translated(self) -> Mapping[int, Translations]:
        """Whose address translations are in the NAT tables (see `Knowledge`); takes its time.

        Raises:
            CtconsoleError: they cannot be read.
        """
        ...

    def watch_map(self, where: PurePath | int | None) -> None:
        """Have this CT map read whole with every sample; None: none."""
        ...

    def count_runs(self, *, wanted: bool) -> None:
        """Have the runs of programs counted from now on, or no more."""
        ...

    def next_ct_map(self, by: int) -> None:
        """Choose the neighbouring CT map."""
        ...

    def show_view(self, view: str) -> None:
        """Switch to a view; not from under a dialogue."""
        ...

    def open_entries(self, row: MapRow) -> None:
        """Show the entries of a CT map."""
        ...

    def open_filtered(self, text: str) -> None:
        """Show the entries that a filter lets through."""
        ...

    def open_generation(self, name: str, generation: MapGeneration) -> None:
        """Show the entries of a map that is or was pinned as ``name``."""
        ...

    def toggle_names(self) -> None:
        """Show names, or numbers again."""
        ...

    def hurry(self) -> None:
        """Sample at once: something was changed."""
        ...

    @property
    def choices(self) -> Choices:
        """What is settled, and what is chosen meanwhile."""
        ...

    def columns(self, view: str) -> Sequence[str]:
        """The columns wanted in a view's table; empty: all, as they fit."""
        ...

    def choose_columns(self, view: str, columns: Sequence[str]) -> None:
        """Show these columns in a view from now on."""
        ...

    def why_not(self, key: Key) -> str:
        """Why what a key does cannot be done here, in half a sentence; empty where it can."""
        ...

    def keyed(self, text: str) -> str:
        """A text that names keys, with those that are in force (see `ctconsole.keytable.keyed`)."""
        ...

    def flash(self, text: str) -> None:
        """Say something in the status line for a few seconds."""
        ...

    def refresh_status(self) -> None:
        """Bring the status line up to date."""
        ...


def console_of(app: App[Any]) -> Console:
    """The app of a screen, as what the screen may ask of it."""
    return cast("Console", app)
