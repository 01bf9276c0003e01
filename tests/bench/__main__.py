"""``make bench``: every figure beside its peer in the same run, printed and written as JSON.

A module ``bench_*.py`` of this folder has ``run(size)``, which returns its rows; ``size`` is
``"full"`` or ``"small"``. A row whose goal is missed makes the exit code 1. Ended by Ctrl-C, a
hang-up or SIGTERM it leaves nothing behind.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import TypedDict

# Loaded before a signal has to be heard: while it is, what a handler raises is dropped without a
# word (findings/numpy_random_swallows_ctrl_c.sh).
import numpy.random  # noqa: F401 - see above

from ctconsole.lab.signals import stopping
from tests.bench import before

HERE = Path(__file__).parent
OUT = HERE.parent.parent / "build" / "bench.json"


class Row(TypedDict):
    """One figure.

    ``ratio`` is value / peer_value; ``goal`` says what the ratio or the value has to be, in
    words; ``ok`` is whether it was met in this run.
    """

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    ratio: float
    goal: str
    ok: bool


def table(rows: list[Row]) -> str:
    """The rows as a table for people."""
    lines = [f"{'figure':44} {'value':>12} {'peer':>12} {'ratio':>9}  goal"]
    for row in rows:
        mark = "ok  " if row["ok"] else "MISS"
        lines.append(
            f"{row['name']:44} {row['value']:>9.3g} {row['unit']:<3}"
            f"{row['peer_value']:>11.3g} {row['ratio']:>9.4f}  {mark} {row['goal']}"
            f" (peer: {row['peer']})"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the modules named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["full", "small"], default="full")
    parser.add_argument("names", nargs="*", help="modules without bench_, e.g. ct_list")
    options = parser.parse_args()
    every = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = sorted(set(options.names) - set(every))
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(every)}")
    rows: list[Row] = []
    with stopping(), before.prepared():
        for name in options.names or every:
            print(f"{name} ...", file=sys.stderr)
            rows += importlib.import_module(f"tests.bench.bench_{name}").run(options.size)
    print(table(rows))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
