"""What a person has chosen in the console, and what of it is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ctconsole.settings.fields import Setting
    from ctconsole.settings.read import UserSettings

    Writer = Callable[[UserSettings, Mapping[str, Setting]], Path]


class Choices:
    """Begins with what is settled in the configuration file.

    Args:
        settings: what was read.
        write: writes fields into the file; None forgets them with the console.

    Attributes:
        settings: as given.
    """

    def __init__(self, settings: UserSettings, write: Writer | None = None) -> None:
        self.settings = settings
        self._write = write
        self._chosen: dict[str, Setting] = {}

    def choose(self, name: str, value: Setting) -> None:
        """Note that a field has another value from now on."""
        if self.settings.values.get(name) == value:
            self._chosen.pop(name, None)
        else:
            self._chosen[name] = value

    def columns(self, view: str) -> Sequence[str]:
        """The columns of a view by name, from left to right; empty where none were chosen."""
        chosen = self._chosen.get(f"columns.{view}")
        return chosen if isinstance(chosen, tuple) else self.settings.columns.get(view, ())

    def choose_columns(self, view: str, columns: Sequence[str]) -> None:
        """Show these columns of a view from now on."""
        self._chosen[f"columns.{view}"] = tuple(columns)

    def sorting(self, view: str) -> tuple[str, bool] | None:
        """By which column a view is sorted, and whether the largest is first; None: not chosen."""
        chosen = self._chosen.get(f"sort.{view}", self.settings.sort.get(view))
        if not isinstance(chosen, str):
            return None
        return chosen.removeprefix("-"), chosen.startswith("-")

    def choose_sorting(self, view: str, column: str, *, descending: bool) -> None:
        """Sort a view so from now on."""
        self._chosen[f"sort.{view}"] = ("-" if descending else "") + column

    @property
    def changed(self) -> Mapping[str, Setting]:
        """Fields by name that differ from the file."""
        return dict(self._chosen)

    def remember(self, only: str = "") -> str:
        """Write what was chosen into the configuration file.

        Args:
            only: a field, or a section; all that was chosen where it is empty.

        Returns:
            A sentence on what was written.

        Raises:
            CtconsoleError: it cannot be written.
        """
        wanted = {
            name: value
            for name, value in self._chosen.items()
            if not only or name == only or name.startswith(f"{only}.")
        }
        if not wanted:
            return "nothing else was chosen than what is settled already"
        if self._write is None:
            return "there is no configuration file here"
        path = self._write(self.settings, wanted)
        return f"{', '.join(wanted)} written into {path}"
