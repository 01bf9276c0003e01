"""bpffs: where it is mounted, what is pinned there, what changes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, NoSuchMapError, bpf_error
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.mounts import mounted, on_bpffs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from ctconsole.model.spec import MapInfo


def is_bpffs(path: Path) -> bool:
    """Whether ``path`` exists and lies on a bpffs."""
    try:
        return on_bpffs(path)
    except OSError:
        return False


def find_bpffs() -> list[Path]:
    """Where a bpffs is mounted in this mount namespace, in mount order."""
    return mounted("bpf")


def pinned_maps(root: Path) -> dict[Path, MapInfo]:
    """Every map pinned at or below ``root``, sorted by path.

    Pinned programs and links, and pins removed meanwhile, are left out.

    Raises:
        NoSuchMapError: ``root`` is not there.
        DeniedError: a pin may not be opened or a folder not be read.
    """
    if not root.is_dir():
        raise NoSuchMapError(errno.ENOENT, "pinned maps below", str(root))
    found = {}
    for folder, folders, files in os.walk(root, onerror=_unless_gone):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            try:
                with BpfMap.open(path) as live:
                    found[path] = live.info
            except NoSuchMapError:
                continue
            except BpfError as error:
                if error.errno != errno.EINVAL:
                    raise
    return found


def _unless_gone(error: OSError) -> None:
    """A folder removed meanwhile holds no pins; one that may not be read is worth saying."""
    if error.errno != errno.ENOENT:
        raise bpf_error(
            error.errno or errno.EIO, "pinned maps below", str(error.filename)
        ) from error


async def watch(root: Path, stop: asyncio.Event | None = None) -> AsyncIterator[set[Path]]:
    """Paths at or below ``root`` at which something was pinned, unpinned or replaced.

    Changes come within about 50 ms, those close together in one set. Ends when ``stop`` is set.
    """
    from watchfiles import awatch

    async for changes in awatch(root, stop_event=stop, step=20, debounce=50, rust_timeout=200):
        yield {Path(path) for _, path in changes}
