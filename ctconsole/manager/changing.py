"""One lock for whoever changes the maps of a bpffs: an agent that starts, a resize, a flush, ...

It is a file in the run folder, named by the bpffs's device number, because a bpffs holds no
files. The kernel lets go of it when its holder dies, so a killed holder is in nobody's way.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ctconsole.errors import BusyError, CtconsoleError, MissingFeatureError
from ctconsole.handles import Closing
from ctconsole.kernel import locks
from ctconsole.paths import run_dir
from ctconsole.private import make_folder

_MOST = 200
"""Bytes that are read of what a holder says it does."""


class Changing(Closing):
    """The lock, held: as a context manager, until the change is over.

    Args:
        fd: the lock's file, locked.
        path: that file.
        what: what its holder does, for whoever comes second: ``re-creates cilium_ct4_global``.
    """

    def __init__(self, fd: int, path: Path, what: str) -> None:
        self.fd = fd
        self._path = path
        # The names are for people: a full disk must not keep anybody from changing a map.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()} {what}\n".encode(), 0)

    def hand_over(self) -> None:
        """Let go of it without ending it: another process holds it now."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """End it; may be called again."""
        if self.fd >= 0:
            # Only while it is held: the next one makes a file of its own.
            with suppress(OSError):
                self._path.unlink()
        self.hand_over()


def changing(folder: Path, what: str) -> Changing:
    """Take the lock of the bpffs that ``folder`` lies on.

    Args:
        folder: any folder of it.
        what: what is going to be done, in the third person: ``starts an agent``.

    Raises:
        BusyError: somebody else holds it; says who, and what they do.
        MissingFeatureError: the folder is not there.
        CtconsoleError: the run folder cannot be written.
    """
    path = _path(folder)
    try:
        make_folder(path.parent)
        while (fd := _take(path)) is not None:
            if _still(fd, path):
                return Changing(fd, path, what)
            # Its holder ended, and took the file along, between our two steps.
            os.close(fd)
    except OSError as error:
        raise CtconsoleError(
            f"The lock {path} cannot be taken: {error.strerror}",
            hint="Set CTCONSOLE_RUN_DIR to a folder that can be written",
        ) from error
    raise _busy(folder, path)


def adopt(fd: int, folder: Path, what: str) -> Changing:
    """The lock that another process handed over; from now on this process is named as holder."""
    locks.take(fd)
    return Changing(fd, _path(folder), what)


def require_unchanged(folder: Path) -> None:
    """See that nobody else holds the lock of the bpffs that ``folder`` lies on.

    For whoever must stand still meanwhile and need not keep others from beginning.

    Raises:
        BusyError: somebody holds it; says who, and what they do.
    """
    try:
        path = _path(folder)
    except MissingFeatureError:
        return
    if locks.holder(path) is not None:
        raise _busy(folder, path)


def is_orphaned(folder: Path) -> bool:
    """Whether the lock of the bpffs that ``folder`` lies on is held, and not by who took it.

    Then its holder has ended, and a process that it began and handed the lock has not taken it
    over yet.
    """
    try:
        pid = locks.holder(_path(folder))
    except MissingFeatureError:
        return False
    return pid is not None and not _lives(pid)


def device_name(folder: Path) -> str:
    """The bpffs that ``folder`` lies on, as the run folder names it.

    Raises:
        MissingFeatureError: the folder is not there.
    """
    try:
        device = folder.stat().st_dev
    except OSError as error:
        raise MissingFeatureError(
            f"{folder} is not a bpffs: {error.strerror}", hint=f"mount -t bpf bpf {folder}"
        ) from error
    return f"{os.major(device)}-{os.minor(device)}"


def _busy(folder: Path, path: Path) -> BusyError:
    return BusyError(
        f"The maps below {folder} are being changed: {_holder(path)}",
        hint="Try again when that is over",
    )


def _path(folder: Path) -> Path:
    return run_dir() / "changing" / device_name(folder)


def _take(path: Path) -> int | None:
    """The file, open and locked; None where somebody else holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if locks.take(fd):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _still(fd: int, path: Path) -> bool:
    """Whether the file is the one by that name."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Who holds the lock, as a sentence without its end."""
    pid = locks.holder(path)
    if pid is None:
        return "somebody who has just ended"
    try:
        with path.open("rb") as file:
            number, _, what = file.read(_MOST).decode("utf-8", "replace").strip().partition(" ")
    except OSError:
        number, what = "", ""
    who = f"process {pid}" if _lives(pid) else f"what process {pid} began before it ended"
    # What somebody before left behind says nothing of the one who holds it now.
    return f"{who} {what}" if number == str(pid) and what else who


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
