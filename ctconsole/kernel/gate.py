"""The write gate: whatever changes the kernel takes a `Gate`, first of its arguments.

The token does nothing by itself; it says that its holder may write. A read-only session has no
token at all, so there is no flag that a view could forget to check.
"""

from __future__ import annotations

import resource
from contextlib import suppress


class Gate:
    """The capability to write. Made by `Gate.open`, passed down to whoever may use it."""

    __slots__ = ()

    @classmethod
    def open(cls, *, read_only: bool) -> Gate | None:
        """The gate, or None for a session that may only look."""
        if read_only:
            return None
        # Before Linux 5.11 map memory is charged to this limit, whose default of 64 KiB is small.
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        return cls()
