"""What the programs cost: between two pods beside bare veths, and per packet by bpf_stats."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.config import AgentConfig
from ctconsole.kernel import mapwrite, netns
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import (
    load_program,
    program_info,
    run_program,
)
from ctconsole.kernel.tc import TcHook
from ctconsole.model.ct.layout import KEY4
from tests.support.bpf_insns import TC_ACT_OK, returning
from tests.support.mounts import private_bpffs
from tests.support.packets import ACK, SYN, tcp
from tests.support.pods import SECOND_IP, TwoPods, two_pods
from tests.support.programs import run_statistics
from tests.support.tables import put_service
from tests.support.wire import SPECS, pin_maps, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event as Flag
    from pathlib import Path

ROUNDS: Final = {"full": 5, "small": 3}
SECONDS: Final = {"full": 3.0, "small": 0.7}
PACKETS: Final = {"full": 50_000, "small": 5_000}
CONNECTING: Final = {"full": 20.0, "small": 3.0}
TABLE: Final = {"full": 1 << 20, "small": 1 << 18}

LEAST_RATIO: Final = 0.7
MOST_NS: Final = {"established": 1500, "new": 6000, "service": 4000}
CONNECTIONS_PER_MINUTE: Final = 100_000
PORT: Final = 7000

SELF, PEER, VIP, BACKEND = (
    ("10.5.5.5", 4000),
    ("10.5.9.9", 80),
    ("10.96.0.10", 80),
    ("10.5.7.1", 8080),
)


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    gate = Gate.open()
    with private_bpffs(gate) as root:
        rows = list(_per_packet(gate, root / "cost", size))
        rows += _between_pods(gate, root / "pods", size)
    return rows


def _per_packet(gate: Gate, root: Path, size: str) -> Iterator[dict[str, Any]]:
    """Nanoseconds of a run of the entry program, with everything it calls."""
    count = PACKETS[size]
    with wire(gate, root) as pod, run_statistics(gate):
        put_service(pod, 1, VIP, {1: BACKEND})
        empty = load_program(gate, returning(TC_ACT_OK), name="empty")
        nothing = _cost(empty, [tcp(SELF, PEER, ACK)] * count)
        os.close(empty)
        ports = np.random.default_rng(1).permutation(60_000)[:count] + 1024
        costs = {
            "established": [tcp(SELF, PEER, ACK)] * count,
            "new": [tcp((SELF[0], int(port)), PEER, SYN) for port in ports],
            "service": [tcp(SELF, VIP, ACK)] * count,
        }
        for name, packets in costs.items():
            cost = _cost(pod.programs.on(TcHook.INGRESS).fd, packets)
            yield {
                "name": f"from_container, {name}",
                "value": cost,
                "unit": "ns",
                "peer": "a program that returns at once",
                "peer_value": nothing,
                "ratio": cost / nothing,
                "goal": f"at most {MOST_NS[name]} ns",
                "ok": cost <= MOST_NS[name],
            }


def _cost(fd: int, packets: list[bytes]) -> float:
    """Nanoseconds of one run; the first packets warm up."""
    for packet in packets[:100]:
        run_program(fd, packet)
    before = program_info(fd)
    for packet in packets:
        run_program(fd, packet)
    after = program_info(fd)
    return (after.run_time_ns - before.run_time_ns) / (after.run_cnt - before.run_cnt)


def _between_pods(gate: Gate, root: Path, size: str) -> Iterator[dict[str, Any]]:
    """Bare veths and veths with programs by turns, so that noise meets both alike."""
    specs = tuple(
        replace(spec, max_entries=TABLE[size]) if spec.name.startswith("cilium_ct") else spec
        for spec in SPECS
    )
    with two_pods(gate) as pods:
        maps = pin_maps(gate, root, specs)
        for name, unit, measure in (
            ("TCP_RR between two pods", "/s", _round_trips),
            ("small packets between two pods", "/s", _datagrams),
        ):
            bare, ours = [], []
            for _ in range(ROUNDS[size]):
                bare.append(measure(pods, SECONDS[size]))
                pods.attach(gate, AgentConfig(), maps)
                ours.append(measure(pods, SECONDS[size]))
                pods.detach(gate, root)
            ratio = median(mine / other for mine, other in zip(ours, bare, strict=True))
            yield {
                "name": name,
                "value": median(ours),
                "unit": unit,
                "peer": "the same veths with no programs",
                "peer_value": median(bare),
                "ratio": ratio,
                "goal": f"ratio at least {LEAST_RATIO}",
                "ok": ratio >= LEAST_RATIO,
            }
        pods.attach(gate, AgentConfig(), maps)
        yield from _connections(gate, pods, maps["cilium_ct4_global"], size)


def _connections(gate: Gate, pods: TwoPods, table: Path, size: str) -> Iterator[dict[str, Any]]:
    """New connections in a minute, and whether each is in the table, seen from both pods."""
    with BpfMap.open(table) as live:
        mapwrite.delete_batch(gate, live, live.read().keys)
        with serving(pods.second, _accept):
            made, seconds = in_namespace(pods.first, _connect, CONNECTING[size])
        keys = np.ascontiguousarray(live.read().keys).view(KEY4)
    found = int(np.count_nonzero(keys["dport"] == PORT))
    rate = made / seconds * 60
    yield {
        "name": "new TCP connections in a minute",
        "value": rate,
        "unit": "",
        "peer": "the least a node should take",
        "peer_value": CONNECTIONS_PER_MINUTE,
        "ratio": rate / CONNECTIONS_PER_MINUTE,
        "goal": "ratio at least 1",
        "ok": rate >= CONNECTIONS_PER_MINUTE,
    }
    yield {
        "name": "entries of these connections",
        "value": found,
        "unit": "",
        "peer": "one at each pod for each",
        "peer_value": 2 * made,
        "ratio": found / (2 * made),
        "goal": "ratio exactly 1",
        "ok": found == 2 * made,
    }


def _round_trips(pods: TwoPods, seconds: float) -> float:
    with serving(pods.second, _echo):
        count, took = in_namespace(pods.first, _ask, seconds)
    return count / took


def _datagrams(pods: TwoPods, seconds: float) -> float:
    with serving(pods.second, _sink):
        count, took = in_namespace(pods.first, _send, seconds)
    return count / took


@contextmanager
def serving(where: str, serve: Callable[[Flag], None]) -> Iterator[None]:
    """Run a server in a namespace and a process of its own; it says when it listens."""
    ready = multiprocessing.get_context("fork").Event()
    process = multiprocessing.get_context("fork").Process(
        target=_in, args=(where, serve, ready), daemon=True
    )
    process.start()
    if not ready.wait(10):
        raise RuntimeError(f"nothing listens in {where}")
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _in(where: str, serve: Callable[[Flag], None], ready: Flag) -> None:
    netns.enter(where)
    serve(ready)


def in_namespace(
    where: str, act: Callable[[float], tuple[int, float]], seconds: float
) -> tuple[int, float]:
    with netns.inside(where):
        return act(seconds)


def _listener() -> socket.socket:
    server = socket.create_server(("", PORT), backlog=4096)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return server


def _echo(ready: Flag) -> None:
    with _listener() as server:
        ready.set()
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := peer.recv(16):
            peer.send(data)


def _accept(ready: Flag) -> None:
    with _listener() as server:
        ready.set()
        while True:
            peer, _ = server.accept()
            peer.close()


def _sink(ready: Flag) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", PORT))
        ready.set()
        while True:
            server.recv(16)


def _ask(seconds: float) -> tuple[int, float]:
    with socket.create_connection((SECOND_IP, PORT), timeout=10) as user:
        user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        count, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < seconds:
            user.send(b"x")
            user.recv(16)
            count += 1
    return count, took


def _send(seconds: float) -> tuple[int, float]:
    """Datagrams sent: a veth carries a packet to the other pod before send() returns."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as user:
        user.connect((SECOND_IP, PORT))
        count, start = 0, time.perf_counter()
        while (took := time.perf_counter() - start) < seconds:
            for _ in range(100):
                user.send(b"x")
            count += 100
    return count, took


def _connect(seconds: float) -> tuple[int, float]:
    """Connect, and wait for the server's end of it, with a port of its own each time."""
    count, start = 0, time.perf_counter()
    ports = iter(range(1024, 65536))
    while (took := time.perf_counter() - start) < seconds:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as user:
            user.settimeout(10)
            port = next(ports, None)
            if port is None:
                break
            user.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                user.bind(("", port))
            except OSError:
                continue  # a connection measured before has not quite ended
            user.connect((SECOND_IP, PORT))
            user.recv(1)
        count += 1
    return count, took
