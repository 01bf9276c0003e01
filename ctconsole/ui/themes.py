"""The console's themes: TOML files in ``themes/``, added to Textual's own."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING

from textual.color import Color, ColorParseError
from textual.theme import Theme

from ctconsole.errors import FormatError
from ctconsole.paths import themes as themes_dir
from ctconsole.settings.fields import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_THEME = "night"
LOW_THEME = "ansi"
"""Of terminals with 16 colours."""

AUTO_THEME = "auto"
"""One of these two."""

VARIABLE_DEFAULTS = {
    "fill-ok": "#6f9fc8",
    "fill-warn": "#e0b05c",
    "fill-crit": "#e5737d",
    "fill-track": "#4a5468",
    "row-odd": "transparent",
    "cursor": "#3a5a8a",
    "cursor-blurred": "#4a5468",
    "state-fresh": "#8fb8b0",
    "state-closing": "#e0b05c",
    "state-expired": "#7f8a9c",
    "text-quiet": "#8b93a3",
}
"""What our style sheets use beyond Textual's variables; every theme gets at least these."""


LARGEST = 1 << 16
"""Bytes of a theme; what is larger is none."""

_FIELDS = tuple(field.name for field in fields(Theme))


def read_theme(path: Path) -> Theme:
    """Read one theme.

    Raises:
        FormatError: no file, not TOML, an unknown key, or a colour that is none; names the file.
    """
    try:
        # Somebody's own folder may hold anything, a pipe that nobody writes to among it.
        if not path.is_file() or path.stat().st_size >= LARGEST:
            raise ValueError("it is no file of a theme's size")  # noqa: TRY301 - told below
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in found:
            if name not in _FIELDS:
                told = did_you_mean(name, _FIELDS)
                raise ValueError(f"{name} is no field. {told}".rstrip())  # noqa: TRY301 - likewise
        theme = Theme(**found)
        theme.to_color_system().generate()
        for name in VARIABLE_DEFAULTS.keys() & theme.variables.keys():
            Color.parse(theme.variables[name])
    except (OSError, ValueError, TypeError, AttributeError, ColorParseError) as error:
        raise FormatError(f"theme {path} cannot be used: {error}") from error
    return theme


def read_themes(folder: Path | None = None) -> tuple[list[Theme], dict[Path, FormatError]]:
    """Every theme of a folder, and the errors of those that cannot be used, by their file."""
    good: list[Theme] = []
    bad: dict[Path, FormatError] = {}
    for path in sorted((folder or themes_dir()).glob("*.toml")):
        try:
            good.append(read_theme(path))
        except FormatError as error:
            bad[path] = error
    return good, bad
