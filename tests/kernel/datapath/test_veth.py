from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.datapath import loader
from ctconsole.errors import DatapathError
from ctconsole.kernel import clock, iproute, netns, tc
from ctconsole.kernel.tc import TcHook
from ctconsole.model.ct.layout import CtFlag
from ctconsole.model.ct.table import Direction
from ctconsole.model.event import EventKind
from tests.support.attached import NODE_IP, NODE_LINK, POD_IP, POD_LINK, Attached, veth
from tests.support.namespaces import namespace
from tests.support.packets import SYN, TCP, ethernet, ipv4, tcp_header
from tests.support.programs import has_program
from tests.support.wire import EGRESS, INGRESS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

FORWARDED, INVALID = 0, 134
REPLACEMENTS = 5
MEGABYTE = 1 << 20
SO_RCVBUFFORCE = 33  # socket(7); Python does not name it

ATTACH_AND_LEAVE = """
import json, sys
from pathlib import Path
from ctconsole.config import AgentConfig
from ctconsole.datapath import loader
from ctconsole.kernel import netns
from ctconsole.kernel.gate import Gate
from ctconsole.model.plane.endpoint import Endpoint
job = json.load(sys.stdin)
gate = Gate.open()
maps = {name: Path(path) for name, path in job["maps"].items()}
endpoint = Endpoint(**job["endpoint"])
netns.enter(job["node"])
with loader.load(gate, AgentConfig(), maps, endpoint) as programs:
    loader.attach(gate, endpoint, programs)
"""


@pytest.fixture
def wire(gate: Gate, bpffs: Path) -> Iterator[Attached]:
    with veth(gate, bpffs) as opened:
        yield opened


def attach(wire: Attached) -> None:
    with netns.inside(wire.node):
        loader.attach(wire.gate, wire.endpoint, wire.programs)


def listen(namespace: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    with netns.inside(namespace):
        server = socket.socket(socket.AF_INET, kind)
    server.settimeout(10)
    server.bind(("", 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server


def client(namespace: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    with netns.inside(namespace):
        made = socket.socket(socket.AF_INET, kind)
    made.settimeout(10)
    return made


def echo_once(server: socket.socket) -> None:
    peer, _ = server.accept()
    with peer:
        while data := peer.recv(MEGABYTE):
            peer.sendall(data)


def converse(server: socket.socket, user: socket.socket, size: int) -> int:
    """Send ``size`` bytes to an echoing server and read them back; the user's port."""
    worker = threading.Thread(target=echo_once, args=(server,))
    worker.start()
    with server, user:
        user.connect((POD_IP, server.getsockname()[1]))
        port = int(user.getsockname()[1])
        reader = threading.Thread(target=user.sendall, args=(bytes(size),))
        reader.start()
        received = 0
        while received < size:
            received += len(user.recv(MEGABYTE))
        reader.join()
        user.shutdown(socket.SHUT_WR)
        assert user.recv(1) == b""
        worker.join()
    return port


def test_programs_track_real_connections_after_their_loader_has_left(wire: Attached) -> None:
    job = {
        "maps": {name: str(path) for name, path in wire.maps.items()},
        "endpoint": asdict(wire.endpoint),
        "node": wire.node,
    }
    subprocess.run(
        [sys.executable, "-c", ATTACH_AND_LEAVE], input=json.dumps(job), text=True, check=True
    )
    server = listen(wire.pod)
    where = server.getsockname()[1]
    port = converse(server, client(wire.node), 4 * MEGABYTE)
    assert wire.titles() == {f"TCP IN {NODE_IP}:{port} -> {POD_IP}:{where}"}
    entry = wire.entry()
    assert entry["flags"] == CtFlag.RX_CLOSING | CtFlag.TX_CLOSING | CtFlag.SEEN_NON_SYN
    assert entry["rx_bytes"] > 4 * MEGABYTE < entry["tx_bytes"]
    assert entry["src_sec_id"] == 2
    assert entry["lifetime"] <= clock.ktime() + 10


def test_attaching_twice_replaces_and_detaching_leaves_nothing(wire: Attached) -> None:
    with netns.inside(wire.node):
        first = loader.attach(wire.gate, wire.endpoint, wire.programs)
        old = [wire.programs.on(hook).info.id for hook in TcHook]
        wire.programs.close()
        assert [event.kind for event in first] == [EventKind.PROGRAM_LOADED] * 2
        assert [event.fields["prog_id"] for event in first] == old

        second = wire.renew()
        assert [event.kind for event in second] == [EventKind.PROGRAM_REPLACED] * 2
        assert [event.fields["old_id"] for event in second] == old
        new = [event.fields["new_id"] for event in second]
        assert [found.prog_id for found in tc.filters(wire.endpoint.ifindex)] == new

        last = loader.detach(wire.gate, wire.endpoint)
        assert [event.kind for event in last] == [EventKind.PROGRAM_DETACHED] * 2
        assert [event.fields["old_id"] for event in last] == new
        assert tc.filters(wire.endpoint.ifindex) == []
        assert loader.detach(wire.gate, wire.endpoint) == []
    # The kernel frees a program some time after its last user has gone.
    until = time.monotonic() + 10
    while any(has_program(number) for number in old):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("way", ["into the pod", "out of the pod"])
def test_replacing_programs_loses_no_packet_and_no_count(wire: Attached, way: str) -> None:
    attach(wire)
    inwards = way == "into the pod"
    sender_at, sink_at = (wire.node, wire.pod) if inwards else (wire.pod, wire.node)
    sink, source = listen(sink_at, socket.SOCK_DGRAM), client(sender_at, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 * MEGABYTE)
    with sink, source:
        source.connect((POD_IP if inwards else NODE_IP, sink.getsockname()[1]))
        replaced = threading.Event()
        sent = 0

        def flood() -> None:
            nonlocal sent
            while not replaced.is_set():
                source.send(b"x")
                sent += 1

        sender = threading.Thread(target=flood)
        sender.start()
        received = 0
        for _ in range(REPLACEMENTS):
            wire.renew()
            so_far = sent
            # The sink's queue would not hold all there will be.
            for _ in range(so_far - received):
                sink.recv(16)
            received = so_far
        replaced.set()
        sender.join()
        while received < sent:
            sink.recv(16)
            received += 1
    assert sent > REPLACEMENTS * 100
    assert wire.entry("ct_any4")["rx_packets" if inwards else "tx_packets"] == sent
    assert wire.metrics()[FORWARDED, INGRESS if inwards else EGRESS][0] >= sent
    assert all(reason == FORWARDED for reason, _ in wire.metrics())


def test_frames_that_end_within_their_ip_header_are_dropped(wire: Attached) -> None:
    attach(wire)
    frame = ethernet(ipv4(POD_IP, NODE_IP, TCP, tcp_header(1, 2, SYN)))
    with netns.inside(wire.pod):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with raw:
        raw.bind((POD_LINK, 0))
        for length in range(15, 34):
            raw.send(frame[:length])
    assert wire.metrics()[INVALID, EGRESS][0] == 19
    assert len(wire.table()) == 0


def test_an_identity_travels_from_one_pod_to_the_next(wire: Attached) -> None:
    gate, node = wire.gate, wire.node
    attach(wire)
    with namespace(gate, "other") as other:
        iproute.add_veth(gate, "left1", "other0", netns=node, peer_netns=other)
        for name, address, where in (
            ("left1", "10.78.0.1/24", node),
            ("other0", "10.78.0.2/24", other),
        ):
            iproute.add_address(gate, name, address, netns=where)
            iproute.set_up(gate, name, netns=where)
        iproute.add_route(gate, "10.78.0.0/24", via=NODE_IP, netns=wire.pod)
        netns.set_sysctl(gate, node, "ipv4.ip_forward", "1")
        link = iproute.get("left1", netns=node)
        second = replace(wire.endpoint, id=11, ifname=link.name, ifindex=link.index, identity=300)
        with (
            netns.inside(node),
            loader.load(gate, AgentConfig(), wire.maps, second) as programs,
        ):
            loader.attach(gate, second, programs)
        with (
            listen(other, socket.SOCK_DGRAM) as sink,
            client(wire.pod, socket.SOCK_DGRAM) as source,
        ):
            source.sendto(b"x", ("10.78.0.2", sink.getsockname()[1]))
            assert sink.recv(16) == b"x"
    table = wire.table("ct_any4")
    assert sorted(table.direction[~table.related]) == [Direction.OUT, Direction.IN]
    assert set(table.values["src_sec_id"].tolist()) == {wire.endpoint.identity}


def test_nothing_is_attached_to_an_interface_that_is_gone(wire: Attached) -> None:
    iproute.delete(wire.gate, NODE_LINK, netns=wire.node)
    with netns.inside(wire.node):
        with pytest.raises(DatapathError, match=r"Endpoint 10 \(left0\) takes no programs"):
            loader.attach(wire.gate, wire.endpoint, wire.programs)
        assert loader.detach(wire.gate, wire.endpoint) == []


def test_replacing_never_revives_an_endpoint_without_programs(wire: Attached) -> None:
    with netns.inside(wire.node):
        with pytest.raises(DatapathError, match="has no programs to replace"):
            loader.replace(wire.gate, wire.endpoint, wire.programs)
        assert tc.filters(wire.endpoint.ifindex) == []
