"""Files and folders of this program's own: its user's alone, whatever the umask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ctconsole.errors import LabError
from ctconsole.paths import labs_dir

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone (0700).

    One that is there stays as it is. Nothing is made below a lab that does not exist: a folder
    among the labs is a lab, and only `lab.folders` makes one.

    Raises:
        LabError: the folder would be part of a lab that there is not.
        OSError: it cannot be made.
    """
    path = path.absolute()
    labs = labs_dir().absolute()
    if path.is_relative_to(labs) and path != labs:
        lab = labs / path.relative_to(labs).parts[0]
        if not lab.is_dir():
            raise LabError(
                f"There is no lab called {lab.name}, so {path} cannot be made",
                hint=f"Make one with: ctconsole lab up {lab.name}",
            )
    _make(path)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        _make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise


def opener(path: str, flags: int) -> int:
    """For ``open(..., opener=)``: a file that is made is this user's alone (0600)."""
    return os.open(path, flags, 0o600)
