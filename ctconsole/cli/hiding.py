"""``--anonymize`` of the verbs that write files for others: the key, and where it is kept."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import GivenPath
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.ct.hiding import Hiding

_F = TypeVar("_F", bound="Callable[..., Any]")

_LARGEST = 1 << 16
"""Bytes of a key file; what is larger was not meant."""


def anonymize_option(function: _F) -> _F:
    """``--anonymize KEYFILE``, handed over as a path or None."""
    return click.option(
        "--anonymize",
        "key_file",
        type=GivenPath(),
        metavar="KEYFILE",
        help="Replace addresses, networks staying networks, and leave out names; the same key "
        "gives the same addresses. A file that is not there is made with a new key.",
    )(function)


def hiding_by(key_file: Path | None) -> Hiding | None:
    """What hides by the key in a file, which is made where it is not there.

    Raises:
        UsageError: it can neither be read nor made, or holds no key.
    """
    if key_file is None:
        return None
    from ctconsole.model.ct.hiding import KEY_BYTES, Hiding
    from ctconsole.private import opener

    try:
        with open(key_file, "xb", opener=opener) as file:
            key = secrets.token_bytes(KEY_BYTES)
            file.write(key)
        message(f"Made a key: {key_file}; keep it to get the same addresses again, and secret")
    except FileExistsError:
        key = _read(key_file)
    except OSError as error:
        raise UsageError(f"{key_file} cannot be made: {error.strerror}") from error
    try:
        return Hiding(key)
    except UsageError as error:
        raise UsageError(f"{key_file} holds no key", hint=f"{error}; name a new file") from error


def _read(key_file: Path) -> bytes:
    try:
        with key_file.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{key_file} cannot be read: {error.strerror}") from error
