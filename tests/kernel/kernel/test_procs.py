from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

from ctconsole.kernel import clock, procs


def test_a_process_is_found_and_told_from_a_later_one() -> None:
    child = subprocess.Popen(["sleep", "30"])
    try:
        # Popen returns inside exec(), a moment before the kernel has set the arguments.
        while not Path(f"/proc/{child.pid}/cmdline").read_bytes():
            time.sleep(0.001)
        process = procs.find(child.pid)
        assert process is not None
        assert (process.name, process.argv) == ("sleep", ("sleep", "30"))
        assert abs(process.started - time.time()) < 60
        assert process in procs.named("sleep")
        assert procs.is_same(process)
        assert not procs.is_same(replace(process, ticks=process.ticks - 1))
    finally:
        child.kill()
        child.wait()
    assert not procs.is_same(process)
    assert procs.find(child.pid) is None


def test_memory_is_that_of_this_machine() -> None:
    now = procs.memory()
    assert 0 < now.available < now.total
    assert procs.own().argv


def test_the_clocks_run() -> None:
    assert clock.ktime() > 0
    first = clock.jiffies()
    time.sleep(0.05)
    assert first < clock.jiffies() < first + 1000
    assert len(clock.boot_id()) == 36
