from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import clock, procs

if TYPE_CHECKING:
    from collections.abc import Iterator


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


IN_A_USER_NAMESPACE = """import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == 0  # CLONE_NEWUSER
open("/proc/self/uid_map", "w").write("0 0 1")
"""


@pytest.fixture
def posing(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that calls itself an agent, started as the parameter says."""
    name = "import ctypes,time;ctypes.CDLL(None).prctl(15, b'cilium-agent')"  # PR_SET_NAME
    code = f"{request.param}\n{name};print(flush=True);time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
        child.kill()


def pids() -> set[int]:
    return {process.pid for process in procs.agents()}


@pytest.mark.parametrize("posing", ["import os"], indirect=True)
def test_an_agent_is_a_process_of_root_with_its_name(posing: int) -> None:
    assert posing in pids()


@pytest.mark.parametrize(
    "posing",
    [
        "import os;os.setresuid(65534,65534,65534)",
        # As a program is that runs as root for somebody else.
        "import os;os.setresuid(65534,0,0)",
        IN_A_USER_NAMESPACE,
    ],
    indirect=True,
)
def test_whoever_else_calls_itself_an_agent_is_none(posing: int) -> None:
    assert posing in {process.pid for process in procs.named("cilium-agent")}
    assert posing not in pids()


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
