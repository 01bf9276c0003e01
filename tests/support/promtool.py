"""Prometheus' own tool, which says whether metrics, rules and their tests are as they should be."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def promtool(*argv: str | Path, given: bytes = b"") -> tuple[int, str]:
    """Exit code and everything that it says."""
    done = subprocess.run(
        ["promtool", *map(str, argv)], input=given, capture_output=True, timeout=60, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()
