"""Writing to a bpffs: pins, folders, and the mounts themselves.

Every function takes the write gate's token first; see `ctconsole.kernel.gate`.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, UsageError, bpf_error
from ctconsole.kernel import mounts
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.syscall import Cmd, ObjAttr, bpf, libc

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

_HERE = -100
_EXCHANGE = 2
"""``AT_FDCWD`` and ``RENAME_EXCHANGE``."""


def pin(gate: Gate, live: BpfMap, path: Path) -> None:
    """Pin a map; missing folders above ``path`` are made.

    Raises:
        UsageError: ``path`` is not on a bpffs, or has a dot, which bpffs reserves.
        BpfError: something is pinned there already (EEXIST).
    """
    make_folder(gate, path.parent)
    pin_fd(gate, live.fd, path)
    live.repinned(path)


def pin_fd(_gate: Gate, fd: int, path: Path) -> None:
    """Pin whatever ``fd`` is (a program, a link); see `pin`."""
    _require_bpffs(path.parent, "Pinning")
    if "." in path.name:
        raise UsageError(f"{path.name} cannot be pinned: bpffs reserves dots in names")
    name = ctypes.create_string_buffer(os.fsencode(path))
    attr = ObjAttr(pathname=ctypes.addressof(name), bpf_fd=fd)
    bpf(Cmd.BPF_OBJ_PIN, attr, str(path))


def unpin(_gate: Gate, path: Path) -> None:
    """Remove a pin; the map lives on while a program or a descriptor holds it.

    Raises:
        UsageError: ``path`` is not on a bpffs; nothing was removed.
        GoneError: nothing is pinned there.
    """
    _require_bpffs(path.parent, "Unpinning")
    try:
        path.unlink()
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "unlink", str(path)) from error


def rename(_gate: Gate, old: Path, new: Path) -> None:
    """Move a pin, atomically over whatever is pinned at ``new``.

    Raises:
        UsageError: one of the two is not on a bpffs.
        GoneError: nothing is pinned at ``old``.
    """
    _require_bpffs(old.parent, "Renaming")
    _require_bpffs(new.parent, "Renaming")
    try:
        old.rename(new)
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "rename", f"{old} to {new}") from error


def exchange(gate: Gate, one: Path, other: Path) -> None:
    """Let two pinned maps change places in one step; at ``other`` there is always one of them.

    Raises:
        UsageError: one of the two is not on a bpffs.
        GoneError: nothing is pinned at one of them; nothing was changed.
    """
    _require_bpffs(one.parent, "Exchanging")
    _require_bpffs(other.parent, "Exchanging")
    names = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0:
        return
    # A bpffs can do it since Linux 5.16.
    if (number := ctypes.get_errno()) != errno.EINVAL:
        raise bpf_error(number, "renameat2", f"{one} and {other}")
    kept = one.with_name(f"{one.name}:kept")
    with BpfMap.open(other) as live:
        pin(gate, live, kept)
    rename(gate, one, other)
    rename(gate, kept, one)


def make_folder(_gate: Gate, path: Path) -> None:
    """Make a folder on a bpffs, and those above it.

    Raises:
        UsageError: the place is not on a bpffs.
        BpfError: mkdir failed; bpffs refuses names with a dot (EPERM).
    """
    if path.is_dir():
        return
    _require_bpffs(next(p for p in path.parents if p.exists()), "Making a folder")
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "mkdir", str(path)) from error


def mount_bpffs(_gate: Gate, path: Path) -> None:
    """Mount a private bpffs at ``path``, which is made where missing.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    path.mkdir(parents=True, exist_ok=True)
    mounts.mount("bpf", path, "bpf", options="mode=0700")


def unmount_bpffs(_gate: Gate, path: Path) -> None:
    """Unmount a bpffs; what is pinned there is unpinned with it.

    A bpffs that somebody still looks at goes as soon as they leave.

    Raises:
        UsageError: no bpffs is mounted at ``path``.
    """
    _require_bpffs(path, "Unmounting")
    if not path.is_mount():
        raise UsageError(f"{path} is not where a bpffs is mounted")
    try:
        mounts.unmount(path)
    except BpfError as error:
        if error.errno != errno.EBUSY:
            raise
        mounts.unmount(path, mounts.MNT_DETACH)


def _require_bpffs(folder: Path, what: str) -> None:
    """Refuse to touch anything that is not on a bpffs."""
    try:
        fits = mounts.on_bpffs(folder)
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "statfs", str(folder)) from error
    if not fits:
        raise UsageError(f"{what} was refused: {folder} is not on a bpffs")
