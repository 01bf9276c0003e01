"""Writes single fields into the configuration file, and leaves everything else in it as it is."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.kernel.files import write_whole
from ctconsole.private import make_folder
from ctconsole.settings.fields import FIELDS, OPEN_SECTIONS
from ctconsole.settings.read import line_of, settings_of, settings_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.settings.fields import Setting
    from ctconsole.settings.read import UserSettings


def remember(
    settings: UserSettings, chosen: Mapping[str, Setting], path: Path | None = None
) -> Path:
    """Write fields into the file of whoever runs this, for them alone (0600).

    Args:
        settings: what was read; its text is where a new file begins, so that root's own, made
            under sudo, starts with what the caller's says.
        chosen: fields by name, e.g. ``theme`` or ``columns.entries``.
        path: the file; without it the usual one.

    Returns:
        The file.

    Raises:
        CtconsoleError: it cannot be written, is a link, belongs to somebody else, or holds what
            cannot be changed a field at a time; it is as it was.
    """
    path = path or settings_path()
    text = _text_now(path, settings)
    for name, value in chosen.items():
        text = with_field(text, name, value)
    broken = settings_of(text, path)
    if any(not one.field for one in broken.problems):
        raise CtconsoleError(f"{path} cannot be changed: it {broken.problems[0].told}")
    try:
        make_folder(path.parent)
        write_whole(path, text)
    except OSError as error:
        raise CtconsoleError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _text_now(path: Path, settings: UserSettings) -> str:
    """What stands in the file now, or what a new one begins with.

    Raises:
        CtconsoleError: nothing may be written there.
    """
    folder = next(one for one in path.parents if one.is_dir())
    if not may_write(folder.stat().st_uid, os.geteuid()):
        raise CtconsoleError(
            f"{folder} belongs to user {folder.stat().st_uid}, so nothing is written there",
            hint="Run ctconsole as that user, or with a home of your own",
        )
    try:
        found = path.lstat()
    except FileNotFoundError:
        return settings.text if settings.sure else ""
    except OSError as error:
        raise CtconsoleError(f"{path} cannot be written: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no file"
        raise CtconsoleError(
            f"{path} is {kind}, so nothing is written through it",
            hint="Put a file in its place, or write the field there yourself",
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CtconsoleError(f"{path} cannot be read: {error}") from error


def may_write(owner: int, user: int) -> bool:
    """Whether a user writes into a folder of this owner.

    Root does so into its own alone: in that of somebody else, who can put a link there meanwhile,
    it would write wherever that one likes.
    """
    return owner == user or (owner == 0 and user != 0)


def with_field(text: str, name: str, value: Setting) -> str:
    """A file's text with one field set; every other line stays as it is.

    Raises:
        CtconsoleError: the field stands there in a way that cannot be changed alone.
    """
    section, _, inner = name.partition(".")
    key = inner or section
    line = f"{_written_name(key)} = {written(value)}"
    lines = text.splitlines()
    place = line_of(text, name)
    if place:
        end = _end(lines, place - 1)
        lines[place - 1 : end] = [line]
    elif not inner:
        # Before the first section; behind it this would be a field of that.
        first = next((i for i, one in enumerate(lines) if one.lstrip().startswith("[")), len(lines))
        lines.insert(first, line)
    elif heading := line_of(text, section):
        lines.insert(heading, line)
    else:
        lines += ["", f"[{section}]", line] if lines else [f"[{section}]", line]
    return "\n".join(lines) + "\n"


def _end(lines: list[str], begin: int) -> int:
    """Behind the last line of the value that begins on a line."""
    for end in range(begin + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[begin:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    raise CtconsoleError(f"line {begin + 1} cannot be changed: it is not TOML")


def _written_name(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() else json.dumps(name)


def written(value: Setting) -> str:
    """A value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(json.dumps(one, ensure_ascii=False) for one in value)}]"
    return json.dumps(value, ensure_ascii=False)


def manual() -> str:
    """Every field with its default and what it means, as a file that changes nothing."""
    parts = ["# Every field with its default. Take the # away and change what you like.\n"]
    section = ""
    last = {field.name.rpartition(".")[0]: field for field in FIELDS}
    for field in FIELDS:
        here, _, inner = field.name.rpartition(".")
        if here != section:
            section = here
            parts.append(f"[{section}]\n")
        about = "".join(f"# {line}\n" for line in field.about.splitlines())
        parts.append(f"{about}# {inner or field.name} = {field.written}\n")
        if here in OPEN_SECTIONS and field is last[here]:
            parts.append(_open(OPEN_SECTIONS[here]))
    parts += [
        f"[{section}]\n{_open(about)}"
        for section, about in OPEN_SECTIONS.items()
        if not any(field.name.startswith(f"{section}.") for field in FIELDS)
    ]
    return "\n".join(parts)


def _open(about: str) -> str:
    return "".join(f"# {line}\n" for line in about.splitlines())
