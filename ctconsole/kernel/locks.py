"""Locks of files that say who holds them (open file description locks, fcntl(2)).

A lock lives as long as a descriptor of that open file does, in this process or in one that was
handed it. The range of bytes locked is as long as the holder's process id, and every range
begins at byte 0: so two exclude each other, and whoever asks learns from the kernel itself,
in one step and without taking anything, who holds it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FLOCK = struct.Struct("@hhqqi0q")
"""``struct flock`` with 64-bit offsets: type, whence, start, length, process id."""


def take(fd: int) -> bool:
    """Lock an open file for this process; taking a lock handed over names the new holder.

    Args:
        fd: a descriptor open for writing.

    Returns:
        False where somebody else holds it.

    Raises:
        OSError: this file system has no locks.
    """
    pid = os.getpid()
    try:
        _set(fd, fcntl.F_WRLCK, 0, pid)
    except (BlockingIOError, PermissionError):
        return False
    # What a holder before us with a larger process id locked beyond ours.
    _set(fd, fcntl.F_UNLCK, pid, 0)
    return True


def holder(path: Path) -> int | None:
    """The process that holds the lock of a file; None where nobody does or no file is there.

    Asking takes no lock, so it never keeps anybody from taking it. A lock that this very
    process took is seen as well: the file is opened anew.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, length, _ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    except OSError:
        return None
    finally:
        os.close(fd)
    return None if kind == fcntl.F_UNLCK else length


def _set(fd: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
