"""Services and IPv6 with real sockets: large segments, checksums left to the device."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ctconsole.datapath import loader
from ctconsole.kernel import iproute, netns
from tests.support.attached import NODE_IP, NODE_LINK, POD_IP, POD_LINK, Attached, veth
from tests.support.tables import put_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

MEGABYTE = 1 << 20
NODE_IP6, POD_IP6 = "fd77::1", "fd77::2"
VIPS = {socket.AF_INET: "10.96.0.10", socket.AF_INET6: "fd96::10"}
NODES = {socket.AF_INET: NODE_IP, socket.AF_INET6: NODE_IP6}
PODS = {socket.AF_INET: POD_IP, socket.AF_INET6: POD_IP6}
PORT = 80


@pytest.fixture
def wire(gate: Gate, bpffs: Path) -> Iterator[Attached]:
    """A pod with both families, whose packets to the service addresses go to the node."""
    with veth(gate, bpffs) as opened:
        for where, link, address in (
            (opened.node, NODE_LINK, NODE_IP6),
            (opened.pod, POD_LINK, POD_IP6),
        ):
            netns.set_sysctl(gate, where, f"ipv6.conf.{link}.accept_dad", "0")
            iproute.add_address(gate, link, f"{address}/64", netns=where)
        iproute.add_route(gate, "10.96.0.0/16", via=NODE_IP, netns=opened.pod)
        iproute.add_route(gate, "fd96::/64", via=NODE_IP6, netns=opened.pod)
        with netns.inside(opened.node):
            loader.attach(gate, opened.endpoint, opened.programs)
        yield opened


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> socket.AddressFamily:
    chosen: socket.AddressFamily = request.param
    return chosen


def open_socket(where: str, family: int, kind: int) -> socket.socket:
    with netns.inside(where):
        made = socket.socket(family, kind)
    made.settimeout(10)
    return made


@contextmanager
def echo(where: str, family: int) -> Iterator[int]:
    """A server that answers one TCP connection with what it hears; its port."""
    server = open_socket(where, family, socket.SOCK_STREAM)
    server.bind(("", 0))
    server.listen()

    def run() -> None:
        peer, _ = server.accept()
        with peer:
            while data := peer.recv(MEGABYTE):
                peer.sendall(data)

    worker = threading.Thread(target=run)
    worker.start()
    with server:
        yield server.getsockname()[1]
        worker.join()


def exchange(user: socket.socket, size: int) -> None:
    """Send ``size`` bytes, read as many back, close."""
    sender = threading.Thread(target=user.sendall, args=(bytes(size),))
    sender.start()
    received = 0
    while received < size:
        received += len(user.recv(MEGABYTE))
    sender.join()
    user.shutdown(socket.SHUT_WR)
    assert user.recv(1) == b""


def test_a_connection_to_a_service_carries_megabytes(
    wire: Attached, family: socket.AddressFamily
) -> None:
    name = "ct4" if family is socket.AF_INET else "ct6"
    user = open_socket(wire.pod, family, socket.SOCK_STREAM)
    with echo(wire.node, family) as port, user:
        put_service(wire, 7, (VIPS[family], PORT), {1: (NODES[family], port)})
        user.connect((VIPS[family], PORT))
        mine = user.getsockname()[1]
        exchange(user, 8 * MEGABYTE)
    assert f"TCP OUT {PODS[family]}:{mine} -> {NODES[family]}:{port}" in wire.titles(name)
    table = wire.table(name)
    (entry,) = table.values[table.keys["flags"] == 0]
    assert entry["tx_bytes"] > 8 * MEGABYTE < entry["rx_bytes"]
    # Large segments passed uncut: fewer packets than bytes of an Ethernet frame.
    assert entry["tx_packets"] < entry["tx_bytes"] // 1514
    assert {key[0] for key in wire.metrics()} == {0}


def test_a_datagram_to_a_service_is_answered_from_its_address(
    wire: Attached, family: socket.AddressFamily
) -> None:
    with (
        open_socket(wire.node, family, socket.SOCK_DGRAM) as server,
        open_socket(wire.pod, family, socket.SOCK_DGRAM) as user,
    ):
        server.bind(("", 0))
        put_service(wire, 7, (VIPS[family], PORT), {1: (NODES[family], server.getsockname()[1])})
        user.sendto(b"question" * 150, (VIPS[family], PORT))
        question, where = server.recvfrom(2000)
        server.sendto(question[::-1], where)
        answer, source = user.recvfrom(2000)
    assert answer == question[::-1]
    assert source[:2] == (VIPS[family], PORT)


def test_a_plain_connection_into_the_pod_carries_megabytes(
    wire: Attached, family: socket.AddressFamily
) -> None:
    user = open_socket(wire.node, family, socket.SOCK_STREAM)
    with echo(wire.pod, family) as port, user:
        user.connect((PODS[family], port))
        exchange(user, 4 * MEGABYTE)
    assert {key[0] for key in wire.metrics()} == {0}
