"""Files and folders of this program's own: its user's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole import paths
from ctconsole.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    labs = paths.labs_dir().absolute()
    if path.is_relative_to(labs) and path != labs:
        lab = labs / path.relative_to(labs).parts[0]
        if not lab.is_dir():
            raise LabError(
                f"There is no lab called {lab.name}, so {path} cannot be made",
                hint=f"Make one with: ctconsole lab up {lab.name}",
            )
    _make(path)


def write_private(path: Path, chunks: Iterable[bytes], *, over: bool = False) -> None:
    """Write a file for this user alone (0600): whole, or not at all.

    Args:
        path: where; its folder is there.
        chunks: what is in it.
        over: whether one that is there already is written over.

    Raises:
        FileExistsError: one is there, and is not to be written over.
        OSError: it cannot be written.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = type(path)(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
        if over:
            draft.replace(path)
        else:
            # Unlike a rename a link fails where something is.
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        _make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise


def cache(name: str) -> Path | None:
    """A folder of the cache that only root and this user can put anything into.

    That of `paths.cache_dir`; where others can write to it, or could exchange a folder above it
    (root with the home of somebody else, as ``sudo`` may leave it), one among the run-time state.
    What lies in it is as good as what this program made itself, so it may even be loaded.

    Returns:
        Its real path; None where there is no such folder.
    """
    for base in (paths.cache_dir(), paths.run_dir() / "cache"):
        with suppress(OSError, LabError):
            make_folder(base / name)
            folder = (base / name).resolve(strict=True)
            if all(map(_only_ours, (folder, *folder.parents))):
                return folder
    return None


def is_ours(found: os.stat_result) -> bool:
    """Whether only root and this user can write to a file or folder, or let others do it."""
    return found.st_uid in {0, os.geteuid()} and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _only_ours(folder: Path) -> bool:
    """Whether nobody else can exchange what lies in a folder and is not theirs."""
    found = folder.stat()
    shared = found.st_mode & stat.S_ISVTX and found.st_uid in {0, os.geteuid()}
    return is_ours(found) or bool(shared)


def opener(path: str, flags: int) -> int:
    """For ``open(..., opener=)``: a file that is made is this user's alone (0600)."""
    return os.open(path, flags, 0o600)
