"""Connections in a lab that stay open for as long as a test needs them."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ctconsole.kernel import netns
from ctconsole.lab import topology
from ctconsole.lab.server import ECHO_PORT, PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab

GET = b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n"


def connect(lab: Lab, host: str = topology.NODE2) -> socket.socket:
    """A TCP connection from one of the lab's hosts to its server."""
    with netns.inside(lab.namespace(host)):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(5)
    client.connect((topology.SERVER_IPV4, PORT))
    return client


@contextmanager
def connections(lab: Lab, count: int, host: str = topology.NODE2) -> Iterator[list[socket.socket]]:
    """Several open connections, each of which has had one answer."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(lab, host)) for _ in range(count)]
        for client in clients:
            talk(client)
        yield clients


def talk(client: socket.socket) -> bytes:
    """Ask for a page; returns the status line."""
    client.sendall(GET)
    return client.recv(65536).split(b"\r\n")[0]


def echo(lab: Lab, data: bytes, host: str = topology.NODE2) -> bytes:
    """Send a datagram to the server's echo port; returns what comes back."""
    with netns.inside(lab.namespace(host)):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(5)
        client.sendto(data, (topology.SERVER_IPV4, ECHO_PORT))
        return client.recv(65536)
