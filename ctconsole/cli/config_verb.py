"""``ctconsole config``: what a person has settled, what could be, and what is wrong in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message, print_columns
from ctconsole.cli.options import GivenPath
from ctconsole.cli.printing import print_json
from ctconsole.cli.settling import known_columns
from ctconsole.cli.shown import json_option

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.settings.read import UserSettings


@click.command(name="config")
@click.option("--defaults", is_flag=True, help="Print every field with its default and meaning.")
@click.option("--keys", is_flag=True, help="List what has a key, by the name that [keys] takes.")
@click.option("--check", is_flag=True, help="Say what is wrong in the file; the exit code is 2.")
@click.option("--path", "only_path", is_flag=True, help="Print which file is meant.")
@click.option("--file", type=GivenPath(), metavar="FILE", help="Another file than the usual one.")
@json_option
def command(
    *,
    defaults: bool,
    keys: bool,
    check: bool,
    only_path: bool,
    file: Path | None,
    as_json: bool,
) -> int:
    """Show what is settled for you, and where each value comes from.

    The file is ~/.config/ctconsole/config.toml, or below $XDG_CONFIG_HOME; under sudo that of
    root, else that of whoever called sudo. A field that cannot be meant is told with file and
    line and has its default; the console opens all the same, but where it is not known which
    bpffs is meant nothing is changed unless --allow-writes is given.

    \b
    Examples:
      ctconsole config
      ctconsole config --defaults > ~/.config/ctconsole/config.toml
      ctconsole config --check
      ctconsole config --keys
    """
    from ctconsole.settings.read import read_settings, settings_path
    from ctconsole.settings.write import manual

    if defaults:
        click.echo(manual(), nl=False)
        return 0
    settings = read_settings(file, known_columns())
    if only_path:
        click.echo(settings.path or file or settings_path())
        return 0
    if keys:
        _print_keys(settings, as_json=as_json)
    elif check:
        for problem in settings.problems:
            click.echo(str(problem))
    else:
        _print_fields(settings, as_json=as_json)
    if not check:
        for problem in settings.problems:
            message(f"ctconsole: {problem}")
    return 2 if check and settings.problems else 0


def _print_fields(settings: UserSettings, *, as_json: bool) -> None:
    """Each field with its value, and whether that is the file's."""
    from ctconsole.settings.write import written

    values = {**settings.values}
    values |= {f"columns.{view}": columns for view, columns in settings.columns.items()}
    values |= {f"sort.{view}": column for view, column in settings.sort.items()}
    values |= {
        f"thresholds.{name}.{which}": bound
        for name, both in settings.own_thresholds.items()
        for which, bound in zip(("warn", "crit"), both, strict=True)
    }
    values |= {f"keys.{key}": keys for key, keys in settings.keys.items()}
    if as_json:
        print_json(
            {
                "path": settings.path,
                "values": values,
                "given": sorted(settings.given),
                "problems": [
                    {"file": one.path, "line": one.line, "field": one.field, "told": one.told}
                    for one in settings.problems
                ],
            }
        )
        return
    print_columns(
        [
            (name, written(value), "from the file" if name in settings.given else "default")
            for name, value in values.items()
        ]
    )


def _print_keys(settings: UserSettings, *, as_json: bool) -> None:
    """Each id with its keys and what they do."""
    from ctconsole.keytable import KEYS, keyed
    from ctconsole.settings.keymap import effective

    keys = effective(settings.keys)
    about = {key.id: keyed(key.about, settings.keys, str) for key in KEYS}
    if as_json:
        print_json(
            [
                {"id": key.id, "keys": keys[key.id], "about": about[key.id], "places": key.places}
                for key in KEYS
            ]
        )
    else:
        print_columns([(key.id, " ".join(keys[key.id]) or "-", about[key.id]) for key in KEYS])
