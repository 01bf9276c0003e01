"""``python -m ctconsole`` and the ``ctconsole`` script."""

from __future__ import annotations

import gc
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
    try:
        # numpy would start a thread for each CPU to multiply matrices, which nothing here does.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from ctconsole.cli import streams

        streams.prepare()
        from ctconsole.cli.common import run
        from ctconsole.cli.main import root

        code = run(root)
    except KeyboardInterrupt:
        # Nothing was begun; later `run` hears it.
        return 130
    except RuntimeError as error:
        # What Python 3.11 makes of a Ctrl-C while a class is made, as modules are loaded.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return 130
        raise
    # What Python would look through for garbage as it ends goes with the process anyway.
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(main())
