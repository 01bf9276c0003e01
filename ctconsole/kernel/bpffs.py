"""bpffs: what is pinned there, and what changes."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import (
    BpfError,
    DeniedError,
    FormatError,
    GoneError,
    NoMapError,
    bpf_error,
)
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.catalogue import classify

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator

    from ctconsole.model.spec import MapInfo


def pinned_maps(
    root: Path, passed_over: Callable[[str], None] = lambda _: None
) -> dict[Path, MapInfo]:
    """Every map pinned at or below ``root``, sorted by path.

    Pinned programs and links, and pins removed meanwhile, are left out; one under the name of a
    map of Cilium's is told.

    Args:
        root: a bpffs, or a folder on one.
        passed_over: told a sentence of each pin that could not be opened, or is no map although
            its name says so.

    Raises:
        GoneError: ``root`` is not there.
        DeniedError: no pin may be opened, or a folder may not be read.
    """
    if not root.is_dir():
        raise GoneError(errno.ENOENT, "pinned maps below", str(root))
    found = {}
    failures: list[BpfError] = []
    for path in pin_paths(root):
        try:
            with BpfMap.open(path) as live:
                found[path] = live.info
        except GoneError:
            continue
        except NoMapError as error:
            # Programs and links have pins of their own; under a map's name one hides the map.
            if classify(path.name):
                passed_over(f"Passed over: {error}")
        except BpfError as error:
            failures.append(error)
        except FormatError as error:
            # A link on the bpffs may lead anywhere.
            passed_over(f"Passed over: {error}")
    denied = [error for error in failures if isinstance(error, DeniedError)]
    if denied and not found:
        raise denied[0]
    for failure in failures:
        passed_over(f"Passed over: {failure}")
    return found


def pin_numbers(root: Path) -> Iterator[tuple[str, int]]:
    """The path and the inode number of everything pinned at or below ``root``, unopened.

    A bpffs gives no number twice, so that the same ones mean the same pins; nothing where
    ``root`` is not there.

    Raises:
        DeniedError: a folder may not be read.
    """
    for folder, _, files in os.walk(root, onerror=_unless_gone):
        for name in files:
            path = os.path.join(folder, name)  # noqa: PTH118 - thousands of them, again and again
            with suppress(FileNotFoundError):
                yield path, os.lstat(path).st_ino


def pin_paths(root: Path) -> Iterator[Path]:
    """Everything pinned at or below ``root``, of whatever kind, sorted in each folder.

    Raises:
        DeniedError: a folder may not be read.
    """
    for folder, folders, files in os.walk(root, onerror=_unless_gone):
        folders.sort()
        for name in sorted(files):
            yield Path(folder, name)


def _unless_gone(error: OSError) -> None:
    """A folder removed meanwhile holds no pins; one that may not be read is worth saying."""
    if error.errno != errno.ENOENT:
        raise bpf_error(
            error.errno or errno.EIO, "pinned maps below", str(error.filename)
        ) from error


def pin_entries(root: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Everything pinned at or below ``root``, with the file system and inode of the pin.

    A pin that is replaced gets another inode.

    Raises:
        BpfError: a folder may not be read.
    """
    try:
        device = root.stat().st_dev
        waiting = [str(root)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_symlink():
                        yield Path(entry.path), (device, entry.inode())
    except FileNotFoundError:
        return
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "readdir", str(root)) from error


async def watch(root: Path, stop: asyncio.Event | None = None) -> AsyncIterator[set[Path]]:
    """Paths at or below ``root`` at which something was pinned, unpinned or replaced.

    Changes come within about 50 ms, those close together in one set. Ends when ``stop`` is set.
    """
    from watchfiles import awatch

    async for changes in awatch(root, stop_event=stop, step=20, debounce=50, rust_timeout=200):
        yield {Path(path) for _, path in changes}
