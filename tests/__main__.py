"""``make test``: the whole suite, as two runs beside each other.

The unit tests run in one process, which is traced for how much of each room they walk. All others
run in several workers and take what it leaves of the machine: the tests of labs, kernel and
console, which wait a good deal, and the damaged inputs, which walk over and over what the unit
tests walk once and would take many times as long if every line of theirs were counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = HERE.parent / "build"

UNTRACED: Final = "unit/fuzz"

OTHERS: Final = ("kernel", "e2e", UNTRACED, "ui")
"""Long rows first, so that short ones are left when workers run out of them."""

WORKERS: Final = 4
"""Also on two cores: they wait for most of their time, and leave room for the traced run."""


def main() -> int:
    """Run everything; the exit code is 0 if all of it is well."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    # What the tests begin by the hundred is compiled once, also where that is turned off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    BUILD.mkdir(exist_ok=True)
    rooms = [str(HERE / name) for name in OTHERS]
    report = BUILD / "unit.log"
    traced = [str(HERE / "unit"), f"--ignore={HERE / UNTRACED}"]
    with (
        report.open("wb") as said,
        _running("coverage", "run", "-m", "pytest", "-q", *traced, to=said) as unit,
        _running("pytest", "-n", str(WORKERS), "--no-loadscope-reorder", *rooms) as others,
    ):
        codes = [others.wait(), unit.wait()]
    print(f"The unit tests:\n{report.read_text('utf-8', 'replace')}", flush=True)
    codes += [
        subprocess.run([sys.executable, *told], check=False, cwd=HERE.parent).returncode
        for told in (
            ("-m", "coverage", "json", "-q", "-o", str(BUILD / "coverage.json")),
            ("deploy/coverage_by_room.py",),
        )
    ]
    return max(map(abs, codes))


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)


@contextmanager
def _running(*module: str, to: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A module of Python's that runs; it is asked to end, and waited for, if we have to."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=HERE.parent,
        stdout=to,
        stderr=to,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
