"""The write gate: whatever changes the kernel takes a `Gate`, first of its arguments.

The token does nothing by itself; it says that its holder may write. A read-only session never
opens one, so there is no flag that a view could forget to check.
"""

from __future__ import annotations

import resource
from contextlib import suppress


class Gate:
    """The capability to write. Opened by who may write, passed down to whoever uses it."""

    __slots__ = ()

    @classmethod
    def open(cls) -> Gate:
        """The gate, for a session that may write."""
        # Before Linux 5.11 map memory is charged to this limit, whose default of 64 KiB is small.
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        return cls()
