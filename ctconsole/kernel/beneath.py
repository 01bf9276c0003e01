"""Files below a folder that somebody else named: read without being led out of it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_LINKS: Final = 40
"""As many as the kernel follows in one path (``MAXSYMLINKS``)."""


def read_beneath(folder: Path, name: PurePosixPath | str, most: int) -> bytes:
    """The first bytes of a plain file below a folder.

    A link on the way is followed as long as it stays in the folder: a mounted ConfigMap is one of
    ``..data``. The file and all that leads to it must be root's or ours.

    Args:
        folder: where the file must lie; links up to here are followed.
        name: the file's path in it.
        most: bytes to read at most.

    Raises:
        OSError: there is no such file, it may not be read or is no plain one (EINVAL), it lies
            elsewhere (EXDEV), or belongs to somebody else (EPERM).
    """
    with ExitStack() as held:

        def keep(handle: int) -> int:
            held.callback(os.close, handle)
            return handle

        found = _walk(keep(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)), name, keep)
        # It is what was looked at, whoever moves files about meanwhile.
        handle = keep(os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC))
        with os.fdopen(os.dup(handle), "rb") as file:
            return file.read(most)


def _walk(folder: int, name: PurePosixPath | str, keep: Callable[[int], int]) -> int:
    """A descriptor (O_PATH) of the plain file at a path below ``folder``."""
    folders = [folder]
    parts = list(reversed(PurePosixPath(name).parts))
    links = 0
    while parts:
        part = parts.pop()
        if part == ".." and len(folders) > 1:
            folders.pop()
            continue
        if part in {"..", "/", "//"}:
            raise OSError(errno.EXDEV, "leads out of its folder", str(name))
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        here = keep(os.open(part, flags, dir_fd=folders[-1]))
        known = os.fstat(here)
        if known.st_uid not in {0, os.geteuid()}:
            raise OSError(errno.EPERM, "belongs to somebody else", str(name))
        if stat.S_ISLNK(known.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(name))
            parts.extend(reversed(PurePosixPath(os.readlink("", dir_fd=here)).parts))
        elif stat.S_ISDIR(known.st_mode):
            folders.append(here)
        elif stat.S_ISREG(known.st_mode) and not parts:
            return here
        else:
            break
    # A pipe or a device would keep the reader waiting.
    raise OSError(errno.EINVAL, "is no plain file", str(name))
