"""``python -m ctconsole`` and the ``ctconsole`` script."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: scripts and shells ask often.
        from ctconsole import __version__

        with suppress(OSError, AttributeError):
            sys.stdout.write(f"ctconsole {__version__}\n")
            sys.stdout.flush()
            return 0
        # Whoever cannot be told is told why in the ordinary way.
    # numpy would start a thread for each CPU to multiply matrices, which nothing here does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from ctconsole.cli import streams

        streams.prepare()
        from ctconsole.cli.common import run
        from ctconsole.cli.main import root
    except KeyboardInterrupt:
        # Nothing was begun; later `run` hears it.
        return 130
    return run(root)


if __name__ == "__main__":
    sys.exit(main())
