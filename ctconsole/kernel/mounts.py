"""mount(2), umount2(2), statfs(2), and what is mounted where."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from ctconsole.errors import bpf_error
from ctconsole.kernel.syscall import libc

BPF_FS_MAGIC = 0xCAFE4A11
"""``BPF_FS_MAGIC`` of ``include/uapi/linux/magic.h``."""

MS_BIND = 1 << 12
MNT_DETACH = 2

_STATFS_BYTES = 256
_OCTAL = re.compile(r"\\([0-7]{3})")


def mounted(kind: str) -> list[Path]:
    """Where file systems of a kind, e.g. ``bpf``, are mounted in this namespace, in mount order."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == kind:
            found.append(Path(_unescape(before.split()[4])))
    return found


def _unescape(text: str) -> str:
    """Undo the octal escapes of blanks and backslashes in /proc/self/mountinfo."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def on_bpffs(path: Path | str) -> bool:
    """Whether ``path`` lies on a bpffs.

    Raises:
        OSError: it is not there, or may not be looked at.
    """
    # Large enough for every machine's struct statfs, which starts with f_type.
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), buffer) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return ctypes.c_uint32.from_buffer(buffer).value == BPF_FS_MAGIC


def is_bpffs(path: Path) -> bool:
    """Whether ``path`` exists and lies on a bpffs."""
    try:
        return on_bpffs(path)
    except OSError:
        return False


def find_bpffs() -> list[Path]:
    """Where a bpffs is mounted in this mount namespace, in mount order."""
    return mounted("bpf")


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system in the mount namespace of this process (mount(2)).

    Raises:
        BpfError: with mount's errno.
    """
    result = libc.mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    if result < 0:
        raise bpf_error(ctypes.get_errno(), "mount", str(target))


def unmount(target: Path, flags: int = 0) -> None:
    """Unmount what is mounted at ``target`` (umount2(2)).

    Raises:
        BpfError: with umount's errno.
    """
    if libc.umount2(os.fsencode(target), flags) < 0:
        raise bpf_error(ctypes.get_errno(), "umount", str(target))
