"""Programs attached to the cgroups of a cgroup v2 hierarchy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ctconsole.kernel.hooks import Target
from ctconsole.kernel.mounts import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.hooks import Asker, Attachment

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LEAF = 2
"""Links of a folder without folders in it, by which most cgroups need not be listed (kernfs)."""


def cgroup_roots() -> list[Path]:
    """Where cgroup v2 hierarchies are mounted; Cilium mounts one at /run/cilium/cgroupv2."""
    return mounted("cgroup2")


def in_cgroups(asker: Asker, roots: list[Path]) -> list[Attachment]:
    """The programs attached to every cgroup at and below ``roots``, each cgroup once.

    A cgroup that goes meanwhile is left out. For 3,000 cgroups it takes some 20 ms where only
    systemd's programs are loaded, some 70 ms with those for connect and its like.
    """
    if not asker.worth(Target.CGROUP):
        return []
    seen: set[int] = set()
    return [
        one
        for root in roots
        for path, fd, number in _cgroups(str(root), seen)
        for one in asker.at(Target.CGROUP, fd, number, path)
    ]


def _cgroups(root: str, seen: set[int]) -> Iterator[tuple[str, int, int]]:
    """Path, descriptor (open until the next is asked for) and id of each cgroup, parents first.

    The id is the folder's inode, as links give it. One hierarchy may be mounted several times.
    """
    waiting = [root]
    while waiting:
        path = waiting.pop()
        try:
            fd = os.open(path, _FOLDER)
        except OSError:
            continue
        try:
            status = os.fstat(fd)
            if status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            yield path, fd, status.st_ino
            if status.st_nlink != _LEAF:
                waiting += _folders(path, fd)
        finally:
            os.close(fd)


def _folders(path: str, fd: int) -> list[str]:
    try:
        with os.scandir(fd) as entries:
            return [f"{path}/{one.name}" for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
