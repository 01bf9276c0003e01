"""Traffic between two pods of a lab while the table their connections are in is resized.

Windows with and without a resize alternate, up and down, so that whatever else goes on meets both
alike; compared are the medians.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from ctypes import c_uint64
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ctconsole.kernel import mapwrite, netns
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import lifecycle, topology
from ctconsole.lab.look import TCP_MAP
from tests.bench.bench_ct_list import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event as Flag

    from ctconsole.lab.folders import Lab

    Work: TypeAlias = Callable[[c_uint64, Flag], None]

SIZES: Final = {"full": (600_000, 800_000, 500_000), "small": (80_000, 100_000, 50_000)}
"""Sizes resized between, and entries there are."""

ROUNDS: Final = {"full": 8, "small": 2}
QUIET: Final = 3.0
"""Seconds of a window without a resize."""
WARM: Final = 1.0
"""Seconds until a stream runs at its full rate."""

PORT: Final = 7010
GOAL: Final = 0.95
BLOCK: Final = 1 << 18


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    small, large, count = SIZES[size]
    rows = []
    with _lab(small) as lab:
        gate = Gate.open()
        with BpfMap.open(lab.globals / TCP_MAP) as live:
            mapwrite.update_batch(gate, live, *entries(count))
        for name, unit, scale, serve, ask in (
            ("bulk TCP stream", "MB", 1e-6, _swallow, _pour),
            ("TCP request/response", "/s", 1.0, _echo, _ask),
        ):
            quiet, during = [], []
            with _traffic(lab, serve, ask) as told:
                for turn in range(ROUNDS[size]):
                    quiet.append(_rate(told, lambda: time.sleep(QUIET)) * scale)
                    wanted = small if turn % 2 else large
                    during.append(_rate(told, partial(_resize, lab, wanted)) * scale)
            rows.append(
                {
                    "name": f"{name}, during a resize of {count:,} entries",
                    "value": median(during),
                    "unit": unit,
                    "peer": "without a resize",
                    "peer_value": median(quiet),
                    "ratio": median(during) / median(quiet),
                    "goal": f">= {GOAL:g}",
                    "ok": median(during) >= GOAL * median(quiet),
                }
            )
    return rows


def _rate(told: c_uint64, act: Callable[[], object]) -> float:
    """Bytes or answers a second while something is done."""
    before, started = told.value, time.monotonic()
    act()
    return float(told.value - before) / (time.monotonic() - started)


def _resize(lab: Lab, wanted: int) -> None:
    command = [sys.executable, "-m", "ctconsole", "map", "resize", TCP_MAP, str(wanted), "--yes"]
    command += ["--bpf-root", str(lab.bpf_root), "--state-dir", str(lab.state_dir)]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def _lab(capacity: int) -> Iterator[Lab]:
    """A lab whose TCP table has room for so many."""
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder, ExitStack() as stack:
        os.environ["CTCONSOLE_RUN_DIR"] = folder
        stack.callback(os.environ.pop, "CTCONSOLE_RUN_DIR")
        options = {"bpf-ct-global-tcp-max": str(capacity)}
        lab, _ = stack.enter_context(lifecycle.owned(f"b{os.getpid()}", config=options))
        yield lab


@contextmanager
def _traffic(lab: Lab, serve: Work, ask: Work) -> Iterator[c_uint64]:
    """What is counted of a connection from the client's pod to the server's while it lasts."""
    context = multiprocessing.get_context("fork")
    told = context.RawValue(c_uint64, 0)
    with ExitStack() as stack:
        for role, work in ((topology.SERVER, serve), (topology.CLIENT, ask)):
            ready = context.Event()
            process = context.Process(
                target=_in, args=(lab.namespace(role), work, told, ready), daemon=True
            )
            process.start()
            stack.callback(process.join)
            stack.callback(process.terminate)
            if not ready.wait(10):
                raise RuntimeError(f"no traffic in {lab.namespace(role)}")
        time.sleep(WARM)
        yield told


def _in(where: str, work: Work, told: c_uint64, ready: Flag) -> None:
    netns.enter(where)
    work(told, ready)


def _accepted(ready: Flag) -> socket.socket:
    with socket.create_server((topology.SERVER_IPV4, PORT)) as server:
        ready.set()
        peer, _ = server.accept()
        return peer


def _connected(ready: Flag) -> socket.socket:
    user = socket.create_connection((topology.SERVER_IPV4, PORT))
    ready.set()
    return user


def _swallow(told: c_uint64, ready: Flag) -> None:
    room = bytearray(BLOCK)
    with _accepted(ready) as peer:
        while got := peer.recv_into(room):
            told.value += got


def _pour(_: c_uint64, ready: Flag) -> None:
    block = bytes(BLOCK)
    with _connected(ready) as user:
        while True:
            user.sendall(block)


def _echo(_: c_uint64, ready: Flag) -> None:
    with _accepted(ready) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := peer.recv(16):
            peer.send(data)


def _ask(told: c_uint64, ready: Flag) -> None:
    with _connected(ready) as user:
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            user.send(b"x")
            user.recv(16)
            told.value += 1
