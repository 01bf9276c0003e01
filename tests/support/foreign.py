"""A node with the test agent on it: two namespaces, a private bpffs, its programs on ``left0``."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.kernel import netns
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab.foreign import ForeignAgent
from ctconsole.lab.foreign_agent import TCP_MAP
from ctconsole.paths import GLOBALS
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.spec import MapInfo

FAST = {"map_delay": 0.2, "program_delay": 0.5}
"""The agent's pace, hurried for tests."""


@dataclass
class ForeignNode:
    """The agent, and the traffic its programs see."""

    agent: ForeignAgent
    left: str
    right: str

    def started(self) -> float:
        """Start the agent; seconds that are enough for it to come back once more, at least 4."""
        self.agent.start()
        return max(4.0, 4 * self.agent.took)

    def map_info(self, name: str = TCP_MAP) -> MapInfo:
        """What is pinned under this name now."""
        with BpfMap.open(self.agent.bpf_root / GLOBALS / name) as live:
            return live.info

    def entries(self, name: str = TCP_MAP) -> int:
        """How many entries the pinned map has."""
        with BpfMap.open(self.agent.bpf_root / GLOBALS / name) as live:
            return live.count()

    def datagrams(self, ports: range) -> None:
        """Send a datagram from the right host to each of these ports of the left one."""
        with netns.inside(self.right):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sock:
            sock.bind(("10.77.0.2", 40000))
            for port in ports:
                sock.sendto(b"x", ("10.77.0.1", port))


@contextmanager
def foreign_node(
    gate: Gate, bpffs: Path, folder: Path, generation: str = "1.18"
) -> Iterator[ForeignNode]:
    """The agent is not started yet."""
    with connected_pair(gate) as (left, right):
        agent = ForeignAgent(folder / "a", bpffs, left, "left0", generation=generation, **FAST)
        with agent:
            yield ForeignNode(agent, left, right)


def until(check: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Ask again and again until ``check`` says yes; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
