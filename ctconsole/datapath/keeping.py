"""Compiled programs are kept on the disk, since a compilation takes seconds of a CPU.

One file for each compilation, by a digest of all that was asked for (`bcc` says what that is). A
file also tells what it was made of: each kernel header that was read and each library of the
compiler, with size and times. It counts only while these are what they were, while it is whole,
and while nobody but root and this user can write to it or to its folder. Whatever else lies there
is not trusted: the sources are compiled anew, and the file is replaced.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctconsole import private
from ctconsole.kernel.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FOLDER: Final = "programs"

_MOST_FILES: Final = 64
"""Each is a few hundred kilobytes; those used least recently go."""

_MOST_BYTES: Final = 4 << 20
"""Of one file."""

_Stamp = list[int]
"""Size, and when a file was written and changed, in nanoseconds."""


def kept(key: str) -> dict[str, bytes] | None:
    """The programs of a compilation, instructions by name; None where they are to be compiled."""
    folder = private.cache(_FOLDER)
    if folder is None:
        return None
    try:
        text = _read(folder / key)
        digest, _, body = text.partition(b"\n")
        if digest.decode("ascii") != sha256(body).hexdigest():
            return None
        found = json.loads(body)
        if found["key"] != key or any(_stamp(path) != at for path, at in found["made_of"].items()):
            return None
        return {name: bytes.fromhex(code) for name, code in found["programs"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def keep(key: str, programs: Mapping[str, bytes], made_of: Iterable[str], since: int) -> None:
    """Keep the programs of a compilation where that can be done; nothing tells if it cannot.

    Args:
        key: the digest of what was asked for.
        programs: instructions by name.
        made_of: paths of the files that it was made of besides.
        since: when the compilation began (`time.time_ns`). If a file changed later nothing is
            kept: nobody knows which of its states was read.
    """
    folder = private.cache(_FOLDER)
    if folder is None:
        return
    with suppress(OSError):
        stamps = {path: _stamp(path) for path in sorted(set(made_of))}
        if any(max(times) >= since for _, *times in stamps.values()):
            return
        code = {name: insns.hex() for name, insns in programs.items()}
        body = json.dumps({"key": key, "made_of": stamps, "programs": code})
        write_whole(folder / key, f"{sha256(body.encode()).hexdigest()}\n{body}")
        _make_room(folder)


def _read(path: Path) -> bytes:
    """A file of ours; reading it makes it one that was used lately."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or not private.is_ours(found):
            raise PermissionError(f"{path} is not ours alone")
        if found.st_size > _MOST_BYTES:
            raise ValueError(f"{path} has {found.st_size} bytes")
        with suppress(OSError):
            os.utime(handle)
        return file.read(_MOST_BYTES)


def _stamp(path: str) -> _Stamp:
    found = Path(path).stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _make_room(folder: Path) -> None:
    """Remove what was not used for longest, drafts of killed processes among it."""
    files = sorted(folder.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in files[_MOST_FILES:]:
        path.unlink()
