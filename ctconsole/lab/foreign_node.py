"""A foreign agent on the lab's second node, for the tour cases that observe one.

Its maps are pinned in a folder of the lab's bpffs, its programs sit on node2's ``eth0`` and see
what comes back from the pods. It goes with the lab.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import LabError
from ctconsole.kernel import netns
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import topology
from ctconsole.lab.foreign import ForeignAgent
from ctconsole.lab.foreign_agent import TCP_MAP
from ctconsole.lab.server import PORT
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ctconsole.lab.folders import Lab
    from ctconsole.model.spec import MapInfo

_PATIENCE = 5.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ForeignNode:
    """The agent, and where its maps are.

    Attributes:
        agent: runs on node2.
        bpf_root: its own folder of the lab's bpffs.
    """

    agent: ForeignAgent
    bpf_root: Path

    @property
    def pin(self) -> Path:
        """Where its TCP table is pinned."""
        return self.bpf_root / GLOBALS / TCP_MAP

    def table(self) -> tuple[MapInfo, int]:
        """Facts and entries of the map pinned as its TCP table now."""
        with BpfMap.open(self.pin) as live:
            return live.info, live.count()


@contextmanager
def foreign_node(lab: Lab, *, program_delay: float = 4.0) -> Iterator[ForeignNode]:
    """Start an agent on node2 of a lab and end it afterwards.

    Args:
        lab: a lab that is up.
        program_delay: seconds from its maps to its programs, at every start.
    """
    root = lab.bpf_root / "node2"
    namespace = lab.namespace(topology.NODE2)
    with ForeignAgent(
        lab.root / "foreign", root, namespace, "eth0", program_delay=program_delay
    ) as agent:
        agent.start()
        yield ForeignNode(agent, root)


@contextmanager
def connections(lab: Lab, count: int) -> Iterator[list[socket.socket]]:
    """Connections from node2 to the pod's web server, left idle.

    Raises:
        LabError: the pod cannot be reached.
    """
    with ExitStack() as stack:
        with netns.inside(lab.namespace(topology.NODE2)):
            found = [
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                for _ in range(count)
            ]
        for client in found:
            client.settimeout(_PATIENCE)
            try:
                client.connect((topology.SERVER_IPV4, PORT))
            except OSError as error:
                raise LabError(f"node2 cannot connect to {topology.SERVER_IPV4}:{PORT}") from error
        yield found


def answered(clients: Sequence[socket.socket]) -> int:
    """Send a request on each connection; how many were answered."""
    for client in clients:
        client.sendall(_REQUEST)
    answers = 0
    for client in clients:
        try:
            answers += client.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            continue
    return answers
