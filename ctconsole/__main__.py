"""``python -m ctconsole`` and the ``ctconsole`` script."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        # Answered before anything is imported: scripts and shells ask often.
        from ctconsole import __version__

        print(f"ctconsole {__version__}")
        return 0
    # numpy would start a thread for each CPU to multiply matrices, which nothing here does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ctconsole.cli.common import run
    from ctconsole.cli.main import root

    return run(root)


if __name__ == "__main__":
    sys.exit(main())
