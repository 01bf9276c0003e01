"""Standard input as a file: kept once, so that it can be read again and looked into."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from ctconsole.errors import UsageError

MEANT: Final = Path("-")
NAME: Final = "standard input"

LARGEST: Final = 1 << 33
"""Bytes that are kept: twice the dump of the largest table there can be."""

_BLOCK: Final = 1 << 20


def is_meant(path: Path) -> bool:
    """Whether a path stands for standard input: ``-``."""
    return path == MEANT


@cache
def _kept() -> IO[bytes]:
    """A nameless file with all of it, which ends with the process."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "Standard input is a terminal, not a file", hint="Pipe something in, or name a file"
        )
    source, count = sys.stdin.buffer, 0
    file = TemporaryFile()  # noqa: SIM115 - it is read as long as the process lives
    while block := source.read(_BLOCK):
        count += len(block)
        if count > LARGEST:
            raise UsageError(
                f"Standard input has more than {LARGEST} bytes",
                hint="Save it to a file, and name that",
            )
        file.write(block)
    file.flush()
    return file


def opened() -> IO[bytes]:
    """Standard input, from its beginning.

    Raises:
        UsageError: it is a terminal, or endless.
        OSError: it cannot be read or kept.
    """
    file = _kept()
    file.seek(os.SEEK_SET)
    return file
