"""Paths of unix sockets, which the kernel takes up to 107 bytes long."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST = 107
"""``sun_path`` of ``struct sockaddr_un`` without its closing zero."""


@contextmanager
def socket_path(path: Path) -> Iterator[str]:
    """The path of a socket, short enough to bind or to connect to meanwhile.

    A longer one is reached through its folder's descriptor.

    Raises:
        OSError: its folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
