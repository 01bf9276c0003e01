"""How many records of packets a second are read, and printed, without losing one."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import pins
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.perf import PerfReader
from ctconsole.kernel.programs import run_program
from ctconsole.kernel.tc import TcHook
from ctconsole.model.packets.monitor import columns
from ctconsole.paths import GLOBALS
from tests.support.mounts import private_bpffs
from tests.support.packets import ethernet
from tests.support.wire import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.wire import Wire

RATES: Final = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000)
SECONDS: Final = {"full": 2.0, "small": 0.5}
STATED, STATED_PRINTED = 100_000, 20_000
"""What ``ctconsole monitor --help`` promises."""

DROPPED: Final = ethernet(bytes(128), 0x88CC)
CHUNK: Final = 100
START_UP: Final = 1.5

Row = dict[str, Any]


def run(size: str) -> list[Row]:
    """The rows of this module; see tests/bench/__main__.py."""
    gate = Gate.open()
    with private_bpffs(gate) as root:
        pins.make_folder(gate, root / GLOBALS)
        with wire(gate, root / GLOBALS) as pod:
            seconds = SECONDS[size]
            read = _highest(lambda rate: _read(pod, rate, seconds))
            printed = _highest(lambda rate: _printed(pod, _ours(root), rate, seconds))
            theirs = _highest(lambda rate: _printed(pod, _bpftool(root), rate, seconds))
    return [
        _row("records read and decoded without loss", read, theirs, STATED),
        _row("records printed by ctconsole monitor", printed, theirs, STATED_PRINTED),
    ]


def _row(name: str, value: int, peer: int, goal: int) -> Row:
    return {
        "name": name,
        "value": float(value),
        "unit": "/s",
        "peer": "bpftool map event_pipe",
        "peer_value": float(peer),
        "ratio": value / max(1, peer),
        "goal": f"at least {goal:,} a second",
        "ok": value >= goal,
    }


def _highest(complete: Callable[[int], bool]) -> int:
    """The highest rate up to which every rate was complete."""
    best = 0
    for rate in RATES:
        if not complete(rate):
            break
        best = rate
    return best


def _send(pod: Wire, rate: int, seconds: float) -> int:
    """Have packets dropped at a rate, each of which is one record; how many were."""
    program, count = pod.programs.on(TcHook.EGRESS).fd, 0
    started = time.monotonic()
    while count < rate * seconds:
        run_program(program, DROPPED, repeat=CHUNK)
        count += CHUNK
        time.sleep(max(0.0, started + count / rate - time.monotonic()))
    return count


def _read(pod: Wire, rate: int, seconds: float) -> bool:
    """Whether a reader as the agent's is hears everything."""
    found = 0
    done = threading.Event()
    with PerfReader(pod.gate, pod.maps["cilium_events"]) as reader:

        def follow() -> None:
            nonlocal found
            while not done.is_set():
                found += len(columns(reader.read(0.1)).drops)

        thread = threading.Thread(target=follow)
        thread.start()
        sent = _send(pod, rate, seconds)
        time.sleep(0.2)
        done.set()
        thread.join()
        found += len(columns(reader.read()).drops)
        return (found, reader.lost) == (sent, 0)


def _ours(root: Path) -> list[str]:
    return [sys.executable, "-m", "ctconsole", "monitor", "--bpf-root", str(root)]


def _bpftool(root: Path) -> list[str]:
    return ["bpftool", "map", "event_pipe", "pinned", str(root / GLOBALS / "cilium_events")]


def _printed(pod: Wire, command: list[str], rate: int, seconds: float) -> bool:
    """Whether a command prints everything."""
    with _running(command) as (process, output):
        sent = _send(pod, rate, seconds)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        text = output.read_bytes()
    marks = text.count(b"xx drop") + text.count(b"== @")
    return b"lost" not in text and marks == sent


@contextmanager
def _running(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    with tempfile.NamedTemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            time.sleep(START_UP)
            yield process, Path(output.name)
        finally:
            process.kill()
            process.wait()
