"""``make test``: the whole suite, as two runs beside each other.

The unit tests run in one process, which is traced for how much of each room they walk; the tests
of labs, kernel and console wait a good deal and take what it leaves of the machine.
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

OTHERS: Final = ("e2e", "kernel", "ui")

MOST_WORKERS: Final = 4


def main() -> int:
    """Run everything; the exit code is 0 if all of it is well."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    # What the tests begin by the hundred is compiled once, also where that is turned off.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    BUILD.mkdir(exist_ok=True)
    workers = str(max(2, min(MOST_WORKERS, os.cpu_count() or 2)))
    rooms = [str(HERE / name) for name in OTHERS]
    report = BUILD / "unit.log"
    with (
        report.open("wb") as said,
        _running("coverage", "run", "-m", "pytest", "-q", str(HERE / "unit"), to=said) as unit,
        _running("pytest", "-n", workers, *rooms) as others,
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
