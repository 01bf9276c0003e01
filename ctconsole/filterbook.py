"""The filters a person has typed and saved: files of this user's alone (0600).

What was typed is remembered in the state folder, a file for each kind of rows; what was saved
stands in ``filters.toml`` of the configuration folder, which may also be written by hand.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.kernel.files import write_whole
from ctconsole.model.filter.names import NAME, SIGN
from ctconsole.paths import config_home, state_home
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REMEMBERED: Final = 200
"""Filters that are remembered of each kind; older ones go."""

LONGEST: Final = 4096
"""Characters of a filter that is remembered or saved."""

_ABOUT: Final = "# Filters by name. In a filter @name stands for the one saved under it.\n"


class FilterBook:
    """What was typed and saved.

    Args:
        config: the folder of ``filters.toml``; the usual one where none is given.
        state: the folder of what was typed.
    """

    def __init__(self, config: Path | None = None, state: Path | None = None) -> None:
        self.path = (config or config_home()) / "filters.toml"
        self._state = state or state_home()

    def typed(self, what: str) -> list[str]:
        """Filters typed for entries or events, the newest last; empty where none can be read."""
        try:
            text = self._typed(what).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        return [line for line in text.splitlines() if line][-REMEMBERED:]

    def remember(self, what: str, text: str) -> None:
        """Put a filter behind those that were typed; one that was typed before moves there.

        Raises:
            CtconsoleError: it cannot be written.
        """
        if not text or not text.isprintable() or len(text) > LONGEST:
            return
        lines = [line for line in self.typed(what) if line != text][-REMEMBERED + 1 :]
        self._write(self._typed(what), "".join(f"{line}\n" for line in (*lines, text)))

    def saved(self) -> Mapping[str, str]:
        """Saved filters by name.

        Raises:
            UsageError: the file is no list of filters; names it and the place.
            CtconsoleError: it cannot be read.
        """
        try:
            found = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise CtconsoleError(f"{self.path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path} is no list of filters: {error}") from error
        for name, text in found.items():
            if not isinstance(text, str) or not NAME.fullmatch(name):
                raise UsageError(
                    f"{self.path}: {name} is no name of a filter with its text in quotes",
                    hint='Write it as web = "dport:80,443"',
                )
        return found

    def save(self, name: str, text: str) -> None:
        """Save a filter under a name, in the place of one that has it.

        Raises:
            UsageError: it can have no such name, or cannot be saved.
            CtconsoleError: it cannot be written.
        """
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for a filter",
                hint="Give up to 64 letters, digits, dots, dashes and underscores",
            )
        if not text.strip() or not text.isprintable() or len(text) > LONGEST:
            raise UsageError(
                "Only a filter of one line can be saved", hint=f"Give at most {LONGEST} letters"
            )
        self._put({**self.saved(), name: text.strip()})

    def drop(self, name: str) -> None:
        """Forget a saved filter.

        Raises:
            UsageError: there is none of this name.
            CtconsoleError: it cannot be written.
        """
        have = self.saved()
        if name not in have:
            told = f"Saved are {', '.join(sorted(have))}" if have else "None is saved"
            raise UsageError(f"There is no saved filter {SIGN}{name}", hint=told)
        self._put({one: text for one, text in have.items() if one != name})

    def _put(self, saved: Mapping[str, str]) -> None:
        lines = (
            f"{json.dumps(name)} = {json.dumps(text, ensure_ascii=False)}\n"
            for name, text in sorted(saved.items())
        )
        self._write(self.path, _ABOUT + "".join(lines))

    def _typed(self, what: str) -> Path:
        return self._state / f"filters-{what}"

    def _write(self, path: Path, text: str) -> None:
        try:
            make_folder(path.parent)
            write_whole(path, text)
        except OSError as error:
            raise CtconsoleError(f"{path} cannot be written: {error.strerror}") from error
