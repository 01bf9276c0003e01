"""How many sockets a process of the lab may hold."""

from __future__ import annotations

import resource
from pathlib import Path


def raise_open_files(wanted: int) -> int:
    """Raise this process's limit of open files to ``wanted``, or as near as allowed.

    Returns:
        the limit in force afterwards; it never becomes smaller than it was.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = int(Path("/proc/sys/fs/nr_open").read_text(encoding="ascii"))
    wanted = min(wanted, ceiling)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (ValueError, PermissionError):
        # Only CAP_SYS_RESOURCE lifts the hard limit; anyone may go up to it.
        wanted = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
