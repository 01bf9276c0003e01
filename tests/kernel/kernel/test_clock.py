"""The machine's clock, also from inside a time namespace, whose monotonic clock is another."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from ctconsole.kernel import clock, mapwrite, pins
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ALIVE, CT4, DEAD, ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

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


def aged(gate: Gate, bpffs: Path) -> Path:
    """A pinned table of entries that are alive and entries that have expired."""
    path = bpffs / GLOBALS / CT4.name
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, path)
        for count, lifetime, first in ((ALIVE, 1000, 0), (DEAD, -10, 1000)):
            rows = ct4_rows(count, lifetime=clock.ktime() + lifetime, first=first)
            mapwrite.update_batch(gate, live, *rows)
    return path


def test_a_time_namespace_kills_no_connection_in_a_forecast(gate: Gate, bpffs: Path) -> None:
    aged(gate, bpffs)
    verb = ["ctconsole", "ct", "risk", "--json", "--bpf-root", str(bpffs)]
    code = f"import sys; sys.argv = {verb!r}; from ctconsole.__main__ import main; main()"
    (told,) = json.loads(shifted(code))
    for change in told["changes"]:
        numbers = [one["entries"] for one in change["reasons"]]
        assert DEAD in numbers
        assert sum(numbers) == ALIVE + DEAD


def test_an_agent_in_a_time_namespace_collects_only_what_has_expired(
    gate: Gate, bpffs: Path
) -> None:
    path = aged(gate, bpffs)
    code = (
        "from pathlib import Path; from ctconsole.agent import gc\n"
        "from ctconsole.kernel.gate import Gate\n"
        f"done = gc.collect(Gate.open(), [Path({str(path)!r})])\n"
        "print(done.alive, done.deleted)"
    )
    assert shifted(code).split() == [str(ALIVE), str(DEAD)]
