"""The one way to write a file that must be whole after a crash."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file so that whoever reads it, also after a crash, sees the old or the new text.

    The new file lies beside the old one under a hidden name until it is on the disk; then it
    takes the old one's place, and the folder is put on the disk too.

    Args:
        path: the file; its folder must be there.
        text: what to write, in UTF-8.
        mode: permissions of the file, whatever the umask.

    Raises:
        OSError: the folder cannot be written or is full; the old file is as it was.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(draft, flags, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put a folder on the disk: which files are in it, by which names.

    Raises:
        OSError: it is not there, or the disk failed.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
