"""What a person has settled, as the verbs that open a console take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.cli.loading import loading
from ctconsole.settings.fields import COLOR_DEPTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.settings.read import UserSettings

_F = TypeVar("_F", bound="Callable[..., Any]")


def look_options(function: _F) -> _F:
    """``--theme``, ``--color`` and ``--ascii``, handed over under these names; None: as settled."""
    theme = click.option(
        "--theme", metavar="NAME", help="Colours to start with; ctrl+p lists them all."
    )
    color = click.option(
        "--color",
        type=click.Choice(COLOR_DEPTHS),
        help="How many colours are used; auto: as many as the terminal says it has.",
    )
    plain = click.option(
        "--ascii/--no-ascii", "ascii_only", default=None, help="Draw with ASCII alone."
    )
    return theme(color(plain(function)))


def known_columns() -> Mapping[str, Mapping[str, bool]]:
    """The columns of each view that has a choice of them, each with whether it can be sorted by."""
    from ctconsole.ui.widgets import fleet_rows
    from ctconsole.ui.widgets.ct_rows import columns_for
    from ctconsole.ui.widgets.map_rows import COLUMNS

    return {
        "overview": {column.name: column.sortable for column in COLUMNS},
        "entries": {column.name: column.sortable for column in columns_for(ipv6=False)},
        "fleet": {column.name: column.sortable for column in fleet_rows.COLUMNS},
    }


def themes_beside(settings: UserSettings) -> Path:
    """The folder of a person's own themes: beside the configuration file that was read."""
    from ctconsole.settings.read import settings_path

    return (settings.path or settings_path()).parent / "themes"


def settled(
    *,
    theme: str | None = None,
    color: str | None = None,
    ascii_only: bool | None = None,
    **given: float,
) -> UserSettings:
    """What a person has settled, and what is asked for on the command line in its place.

    Args:
        theme: a theme's name.
        color: a member of `COLOR_DEPTHS`.
        ascii_only: whether there are no other signs than ASCII.
        given: other options by the name of their field; taken only where they were given on the
            command line.
    """
    from dataclasses import replace
    from types import MappingProxyType

    from click.core import ParameterSource

    from ctconsole.settings.read import read_settings

    with loading():
        columns = known_columns()
    found = read_settings(columns=columns)
    values = dict(found.values)
    context = click.get_current_context(silent=True)
    for name, value in given.items():
        source = context.get_parameter_source(name) if context else None
        if source not in {None, ParameterSource.DEFAULT}:
            values[name] = value
    wanted = {"theme": theme, "color": color, "ascii": ascii_only}
    values |= {name: value for name, value in wanted.items() if value is not None}
    return replace(found, values=MappingProxyType(values))
