"""The machine's clock, also from inside a time namespace, whose monotonic clock is another."""

from __future__ import annotations

import subprocess
import sys

from ctconsole.kernel import clock

SHIFT = 100_000


def shifted(code: str) -> str:
    """What a process prints whose monotonic and boot clocks are `SHIFT` seconds ahead."""
    argv = ["unshare", "-T", f"--monotonic={SHIFT}", f"--boottime={SHIFT}", "--fork"]
    done = subprocess.run(
        [*argv, sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_a_time_namespace_does_not_shift_what_programs_stamp() -> None:
    code = "import time; from ctconsole.kernel import clock; print(clock.ktime(), time.monotonic())"
    before = clock.ktime()
    told, namespaced = shifted(code).split()
    assert before <= int(told) <= clock.ktime()
    assert float(namespaced) - before > SHIFT - 60


def test_a_time_namespace_does_not_move_the_boot() -> None:
    before = clock.booted()
    told = float(shifted("from ctconsole.kernel import clock; print(clock.booted())"))
    assert abs(told - before) < 5
