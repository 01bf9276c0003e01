"""Traffic for the lab's tables: TCP connections that come, talk, stay and go, UDP and ICMP.

All sockets belong to one process and one event loop; each is made inside the namespace of the
host it speaks for, and a socket stays in its namespace for life.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctconsole.errors import LabError, UsageError
from ctconsole.kernel import netns
from ctconsole.lab.limits import raise_open_files
from ctconsole.lab.server import ECHO_PORT, PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

MAX_CONNECTIONS = 100_000
"""Most connections kept open at once; each source host has about 64,000 ports."""

MAX_RATE = 20_000.0
"""Most new connections per second that may be asked for."""

TICK = 0.05
"""Seconds between two batches of new connections."""

PATIENCE = 3.0
"""Seconds to wait for a connection or an answer before it counts as failed."""

MAX_PENDING = 3_000
"""Exchanges under way at most; where this holds new ones back the rate is not reached."""

UDP_SHARE = 0.2
"""UDP exchanges for each new TCP connection; each has a source port of its own."""

PINGS_PER_SECOND = 1.0
"""ICMP echo requests a second; each has an identifier of its own."""

PROGRESS_SECONDS = 5.0
"""Seconds between two lines of progress."""

_REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
# Type 8, echo request; the kernel's ping socket fills in identifier and checksum.
_PING = b"\x08\0\0\0\0\0\0\x01ctconsole"


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """What to send.

    Attributes:
        target: address of the server pod.
        sources: network namespaces the connections come from, in turn.
        connections: how many TCP connections stay open; for each one more another is closed.
        rate: new TCP connections per second.
        duration: seconds; None goes on until SIGINT or SIGTERM.
    """

    target: str
    sources: Sequence[str]
    connections: int = 200
    rate: float = 20.0
    duration: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise UsageError(f"--connections must be 1 to {MAX_CONNECTIONS}")
        if not 0 < self.rate <= MAX_RATE:
            raise UsageError(f"--rate must be above 0 and at most {MAX_RATE:.0f} a second")
        if self.duration is not None and self.duration <= 0:
            raise UsageError("--duration must be above 0 seconds")


@dataclass(slots=True)
class TrafficTally:
    """What was sent and what came back; all are counts but ``seconds``."""

    opened: int = 0
    failed: int = 0
    closed: int = 0
    requests: int = 0
    answers: int = 0
    datagrams: int = 0
    echoes: int = 0
    pings: int = 0
    pongs: int = 0
    open_now: int = 0
    open_most: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """One line for a person."""
        return (
            f"{self.opened} connections opened, {self.open_now} open, {self.closed} closed, "
            f"{self.failed} failed; {self.answers} of {self.requests} requests, "
            f"{self.echoes} of {self.datagrams} datagrams and "
            f"{self.pongs} of {self.pings} pings answered"
        )


class Budget:
    """Turns rates into whole numbers: what one batch leaves over goes into the next."""

    def __init__(self, *rates: float) -> None:
        self._rates = rates
        self._left = [0.0] * len(rates)

    def take(self, seconds: float) -> list[int]:
        """How many of each are due after ``seconds`` more have passed."""
        self._left = [
            left + rate * seconds for left, rate in zip(self._left, self._rates, strict=True)
        ]
        due = [int(left) for left in self._left]
        self._left = [left - number for left, number in zip(self._left, due, strict=True)]
        return due


@dataclass(slots=True)
class _Run:
    """The state of one run; all its coroutines share one thread."""

    plan: TrafficPlan
    tally: TrafficTally = field(default_factory=TrafficTally)
    idle: list[socket.socket] = field(default_factory=list)
    busy: set[asyncio.Task[None]] = field(default_factory=set)
    turn: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.turn = itertools.cycle(self.plan.sources)

    def batch(self, connections: int, datagrams: int, pings: int) -> None:
        """Start that many of each, all from the host whose turn it is."""
        room = MAX_PENDING - len(self.busy)
        # A new connection may start two exchanges: its own and one on an idle connection.
        connections = min(connections, room // 3)
        datagrams = min(datagrams, room - 2 * connections)
        for _ in range(self.tally.open_now + connections - self.plan.connections):
            if self.idle:
                self._close(self._any_idle())
        for _ in range(min(connections, len(self.idle))):
            self._start(self._talk(self._any_idle()))
        with netns.inside(next(self.turn)):
            streams = [_socket(socket.SOCK_STREAM) for _ in range(connections)]
            packets = [_socket(socket.SOCK_DGRAM) for _ in range(datagrams)]
            echoes = [_socket(socket.SOCK_DGRAM, socket.IPPROTO_ICMP) for _ in range(pings)]
        for sock in streams:
            self._start(self._open(sock))
        for sock in packets:
            self._start(self._datagram(sock))
        for sock in echoes:
            self._start(self._ping(sock))

    async def finish(self) -> None:
        """Let what is under way end, then close every connection."""
        if self.busy:
            await asyncio.wait(self.busy)
        while self.idle:
            self._close(self.idle.pop())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)

    def _any_idle(self) -> socket.socket:
        index = random.randrange(len(self.idle))  # noqa: S311 - any will do
        self.idle[index], self.idle[-1] = self.idle[-1], self.idle[index]
        return self.idle.pop()

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        self.tally.closed += 1
        self.tally.open_now -= 1

    async def _open(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_connect(sock, (self.plan.target, PORT))
        except OSError:
            # TimeoutError is one too.
            self.tally.failed += 1
            sock.close()
            return
        self.tally.opened += 1
        self.tally.open_now += 1
        self.tally.open_most = max(self.tally.open_most, self.tally.open_now)
        await self._talk(sock)

    async def _talk(self, sock: socket.socket) -> None:
        self.tally.requests += 1
        if await _exchange(sock, _REQUEST):
            self.tally.answers += 1
            self.idle.append(sock)
        else:
            self._close(sock)

    async def _datagram(self, sock: socket.socket) -> None:
        self.tally.datagrams += 1
        with sock:
            sock.connect((self.plan.target, ECHO_PORT))
            if await _exchange(sock, b"ctconsole"):
                self.tally.echoes += 1

    async def _ping(self, sock: socket.socket) -> None:
        self.tally.pings += 1
        with sock:
            sock.connect((self.plan.target, 0))
            if await _exchange(sock, _PING):
                self.tally.pongs += 1


async def generate(
    plan: TrafficPlan, stop: asyncio.Event, say: Callable[[str], None] = lambda _: None
) -> TrafficTally:
    """Send what the plan says until its time is over or ``stop`` is set.

    Args:
        plan: what to send; it runs in the thread and event loop of the caller.
        stop: ends the run early.
        say: told one line every `PROGRESS_SECONDS`.

    Raises:
        LabError: this process may not open that many sockets.
        GoneError: a source namespace does not exist.
    """
    # While exchanges are under way connections may exceed the plan by as many.
    needed = plan.connections + 2 * MAX_PENDING + 256
    if (allowed := raise_open_files(needed)) < needed:
        raise LabError(
            f"{plan.connections} connections need {needed} open files and this process may have "
            f"{allowed}",
            hint="Raise the limit with ulimit -n, or ask for fewer --connections",
        )
    run = _Run(plan)
    budget = Budget(plan.rate, plan.rate * UDP_SHARE, PINGS_PER_SECOND)
    began = last = said = time.monotonic()
    while not stop.is_set() and (plan.duration is None or last - began < plan.duration):
        await _sleep_or(stop, TICK)
        now = time.monotonic()
        run.batch(*budget.take(now - last))
        last = now
        if now - said >= PROGRESS_SECONDS:
            said = now
            say(run.tally.line())
    run.tally.seconds = round(last - began, 3)
    # What was open at the end is the figure of interest, not the zero after the clearing up.
    open_now = run.tally.open_now
    await run.finish()
    run.tally.open_now = open_now
    return run.tally


def run(plan: TrafficPlan, say: Callable[[str], None]) -> TrafficTally:
    """`generate` as a whole program: SIGINT and SIGTERM end it in good order."""

    async def main() -> TrafficTally:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        return await generate(plan, stop, say)

    return asyncio.run(main())


def _socket(kind: int, protocol: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind, protocol)
    sock.settimeout(0)
    return sock


async def _exchange(sock: socket.socket, data: bytes) -> bytes:
    """Send ``data`` and return what comes back; empty where nothing does."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE):
            await loop.sock_sendall(sock, data)
            return await loop.sock_recv(sock, 65_536)
    except OSError:
        return b""


async def _sleep_or(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
