"""Says how much of each room the unit tests walk; fails below the floor.

Reads what ``coverage json`` wrote. What the other tests walk in processes of their own, on real
maps and in whole labs, is not in it: the rooms that live off the kernel look worse than they are.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

REPORT: Final = Path(__file__).resolve().parent.parent / "build" / "coverage.json"

FLOOR: Final = 0.55
"""Share of all statements, a little under what it was when this was last looked at."""

WINGS: Final = ("model", "cli")
"""Rooms whose wings are counted each for itself."""


def room_of(file: str) -> str:
    """``kernel``, ``model/ct``, ...; ``leaves`` for the modules that stand in no room."""
    _, *folders, _ = Path(file).parts
    if not folders:
        return "leaves"
    return "/".join(folders[:2]) if folders[0] in WINGS else folders[0]


def main() -> int:
    """Print a line for each room and one for all."""
    walked: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for file, found in json.loads(REPORT.read_bytes())["files"].items():
        walked[room_of(file)] += found["summary"]["covered_lines"]
        there[room_of(file)] += found["summary"]["num_statements"]
    for room in sorted(there):
        share = walked[room] / there[room] if there[room] else 1.0
        print(f"{room:<18} {share:>5.0%}  {walked[room]:,} of {there[room]:,}")
    share = walked.total() / there.total()
    print(f"{'all rooms':<18} {share:>5.1%}, at least {FLOOR:.0%} is asked for")
    return 0 if share >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
