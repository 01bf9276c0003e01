"""The console's themes: TOML files in ``themes/``, added to Textual's own."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from textual.color import Color, ColorParseError
from textual.theme import Theme

from ctconsole.errors import FormatError
from ctconsole.paths import themes as themes_dir

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


def read_theme(path: Path) -> Theme:
    """Read one theme.

    Raises:
        FormatError: not TOML, an unknown key, or a colour that is none; names the file.
    """
    try:
        theme = Theme(**tomllib.loads(path.read_text(encoding="utf-8")))
        theme.to_color_system().generate()
        for name in VARIABLE_DEFAULTS.keys() & theme.variables.keys():
            Color.parse(theme.variables[name])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, ColorParseError) as error:
        raise FormatError(f"theme {path} cannot be used: {error}") from error
    return theme


def read_themes(folder: Path | None = None) -> tuple[list[Theme], list[FormatError]]:
    """Every theme of a folder, and the errors of those that cannot be used."""
    good: list[Theme] = []
    bad: list[FormatError] = []
    for path in sorted((folder or themes_dir()).glob("*.toml")):
        try:
            good.append(read_theme(path))
        except FormatError as error:
            bad.append(error)
    return good, bad
