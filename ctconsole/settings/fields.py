"""The fields of the configuration file: names, defaults, meaning, and which values they take.

The manual that ``ctconsole config --defaults`` prints, the reader and whoever writes a field read
this table; a new field is one more row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

COLOR_DEPTHS: Final = ("auto", "true", "256", "16", "none")
"""How many colours are used: as the terminal says, or so many."""

PRESETS: Final = ("", "vim")
"""Sets of keys that can be chosen as a whole."""

Setting = str | float | bool | tuple[str, ...]
"""What a field holds."""

_OFF: Final = False

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def did_you_mean(typed: str, known: Collection[str]) -> str:
    """A question that names what may have been meant; empty where nothing is like it."""
    # Of use to somebody who mistyped alone.
    import difflib

    close = difflib.get_close_matches(typed, known, n=1)
    return f"Did you mean {close[0]}?" if close else ""


@dataclass(frozen=True, slots=True)
class SettingField:
    """One row.

    Attributes:
        name: as it stands in the file, its section before the dot.
        default: its value where the file has none.
        written: the default as it is written in the file.
        about: sentences for the manual.
        read: makes the value of what stands in the file; raises `ValueError` with half a
            sentence on what it must be.
    """

    name: str
    default: Setting
    written: str
    about: str
    read: Callable[[object], Setting]


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("must be a text in quotes")
    return value


def _one_of(known: Collection[str]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(text, str) or text not in known:
            told = ", ".join(f'"{one}"' for one in known)
            raise ValueError(f"must be one of {told}. {did_you_mean(str(text), known)}".rstrip())
        return text

    return read


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - a value, whatever its type
    return value


def _seconds(least: float, most: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        found = None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
        elif isinstance(value, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", value)
            found = float(match[1]) * _UNITS[match[2]] if match else None
        # Not a number is within no limits.
        if found is None or not least <= found <= most:
            raise ValueError(f'must be seconds from {least:g} to {most:g}, or e.g. "90s" or "15m"')
        return found

    return read


def _percent(value: object) -> float:
    found = value.removesuffix("%").strip() if isinstance(value, str) else value
    try:
        number = float(found) if not isinstance(found, bool) else -1.0  # type: ignore[arg-type] # told below
    except (TypeError, ValueError):
        number = -1.0
    if not 1 <= number <= 100:  # noqa: PLR2004 - percent
        raise ValueError('must be a percentage from 1 to 100, e.g. 70 or "70%"')
    return number / 100


def names(value: object) -> tuple[str, ...]:
    """A list of names.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError('must be a list of names, e.g. ["name", "fill"]')
    return tuple(value)


FIELDS: Final = (
    SettingField("theme", "auto", '"auto"',
        "The colours: one of themes/*.toml, one of your own in the folder themes beside this\n"
        "file, or one of Textual's; auto: night, or ansi where the terminal has 16 colours.\n"
        "In the console ctrl+p lists them all.", _text),
    SettingField("color", "auto", '"auto"',
        'How many colours are used: "auto" as the terminal says, "true", "256", "16" or "none".',
        _one_of(COLOR_DEPTHS)),
    SettingField("ascii", _OFF, "false",
        "Whether every sign is drawn with ASCII alone, for fonts and logs that have no others.",
        _switch),
    SettingField("interval", 2.0, '"2s"',
        "Time between two samples of a live node, at least a tenth of a second.",
        _seconds(0.1, 3600.0)),
    SettingField("keep", 900.0, '"15m"',
        "How far back one can step, as far as memory reaches; 0 keeps nothing.",
        _seconds(0.0, 86400.0)),
    SettingField("bpffs", "", '""',
        "The bpffs whose maps are meant where --bpf-root names none; empty: the one with\n"
        "Cilium's maps.", _text),
    SettingField("remember", _OFF, "false",
        "Whether theme, sorting, columns and interval as they were when the console was left\n"
        "are written into this file. Without it :remember does so when you say so.", _switch),
    SettingField("thresholds.warn", 0.7, "70",
        "How full, in percent, a map is worth a look.", _percent),
    SettingField("thresholds.crit", 0.9, "90",
        "How full, in percent, a map is in trouble.", _percent),
    SettingField("keys.preset", "", '""',
        'A set of keys: "vim" adds ctrl+d, ctrl+u and the like.', _one_of(PRESETS)),
)  # fmt: skip
"""Fields with a name of their own."""

BY_NAME: Final = {field.name: field for field in FIELDS}
"""The rows by their name."""

OPEN_SECTIONS: Final = {
    "columns": "Columns of a view, from left to right, with their width if it matters; all, as\n"
    "they fit, where a view is not named.\n"
    'entries = ["protocol", "source:40", "destination", "state"]',
    "sort": "What a view is sorted by when it is opened; a - before the name: largest first.\n"
    'overview = "-fill"',
    "thresholds": "A map that has its own, by its name or the short form of it (ct4); the field\n"
    "that it does not name is that of all maps. Alarms, bars, check and map list go by them, and\n"
    "an event tells when such a map reaches its crit; an agent of ours reads them as it starts.\n"
    '[thresholds."cilium_ct4_global"]\n'
    "crit = 70",
    "keys": "Keys by the name of what they do, which ctconsole config --keys lists; several in\n"
    "a list; [] for none. Two that clash are told, and none of them changes.\n"
    '"map.resize" = ["z", "f5"]',
}
"""Sections with a field for each view or each key, and what the manual says of them."""
