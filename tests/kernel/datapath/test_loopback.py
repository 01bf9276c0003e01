"""A pod that reaches itself through a service."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.datapath import loader
from ctconsole.kernel import iproute, mapwrite, netns
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.ct.layout import CtFlag
from tests.support.attached import NODE_IP, NODE_LINK, POD_IP, veth
from tests.support.packets import ACK, FIN, PSH, SYN, tcp, udp
from tests.support.packets6 import checked, ends, is_checked
from tests.support.tables import put_service
from tests.support.wire import EGRESS, POD, Wire, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SELF, VIP, SERVER = ("10.5.5.5", 40000), ("10.96.0.10", 80), ("10.5.5.5", 8080)
HIDDEN = "169.254.42.1"
NO_SERVICE = 158


@pytest.fixture
def guarded(gate: Gate, bpffs: Path) -> Iterator[Wire]:
    """A pod without a rule that would let it talk to anybody."""
    endpoint = replace(POD, enforce_ingress=True, enforce_egress=True)
    with wire(gate, bpffs, endpoint=endpoint) as opened:
        put_service(opened, 1, VIP, {1: SERVER})
        yield opened


def around(pod: Wire, flags: int) -> None:
    """Send a packet to the service and an answer back, at every step as it should be."""
    asked = pod.sent(checked(tcp(SELF, VIP, flags, b"?")))
    assert asked
    assert ends(asked) == (HIDDEN, 40000, *SERVER)
    assert is_checked(asked)
    assert pod.into(asked)
    answered = pod.sent(checked(tcp(SERVER, (HIDDEN, 40000), flags | ACK, b"!")))
    assert answered
    assert ends(answered) == (*VIP, *SELF)
    assert is_checked(answered)
    assert pod.into(answered)


def test_it_is_hidden_from_itself_and_needs_no_rule(guarded: Wire) -> None:
    around(guarded, SYN)
    around(guarded, PSH | ACK)
    around(guarded, FIN | ACK)
    assert guarded.titles() == {
        f"TCP OUT {VIP[0]}:80 -> {SELF[0]}:40000 service",
        f"TCP OUT {HIDDEN}:40000 -> {SERVER[0]}:8080",
    }
    table = guarded.table()
    assert (table.values["flags"] & CtFlag.LB_LOOPBACK != 0).all()
    (entry,) = table.values[table.keys["flags"] == 0]
    assert (entry["tx_packets"], entry["rx_packets"]) == (3, 3)
    assert entry["flags"] & 3 == CtFlag.RX_CLOSING | CtFlag.TX_CLOSING
    assert {key[0] for key in guarded.metrics()} == {0}


def test_an_answer_to_nobody_is_dropped(guarded: Wire) -> None:
    assert not guarded.out(tcp(SERVER, (HIDDEN, 40000), ACK))
    assert guarded.metrics()[NO_SERVICE, EGRESS][0] == 1


def test_after_a_flush_it_lives_on_once_the_client_speaks(guarded: Wire) -> None:
    around(guarded, SYN)
    with BpfMap.open(guarded.maps["cilium_ct4_global"]) as live:
        mapwrite.delete_batch(guarded.gate, live, live.read().keys)
    assert not guarded.out(tcp(SERVER, (HIDDEN, 40000), PSH | ACK, b"!"))
    assert guarded.metrics()[NO_SERVICE, EGRESS][0] == 1
    around(guarded, PSH | ACK)


def test_strangers_under_these_addresses_need_a_rule(guarded: Wire) -> None:
    assert not guarded.into(tcp((HIDDEN, 40000), SERVER, SYN))
    assert not guarded.into(tcp(VIP, SELF, SYN))
    assert not guarded.into(udp(VIP, SELF))
    put_service(guarded, 1, VIP, {2: ("10.5.9.9", 80)})
    guarded.sent(tcp(SELF, VIP, SYN))
    assert not guarded.into(tcp(VIP, SELF, SYN))


def test_real_sockets_of_one_pod_talk_through_a_service(gate: Gate, bpffs: Path) -> None:
    with veth(gate, bpffs) as opened:
        for name in ("ip_forward", f"conf.{NODE_LINK}.forwarding"):
            netns.set_sysctl(gate, opened.node, f"ipv4.{name}", "1")
        for name in ("all", NODE_LINK):
            netns.set_sysctl(gate, opened.node, f"ipv4.conf.{name}.send_redirects", "0")
        for network in ("10.96.0.0/16", "169.254.42.1/32"):
            iproute.add_route(gate, network, via=NODE_IP, netns=opened.pod)
        with netns.inside(opened.node):
            loader.attach(gate, opened.endpoint, opened.programs)
        with netns.inside(opened.pod):
            server, user = socket.create_server(("", 0)), socket.socket()
        put_service(opened, 1, VIP, {1: (POD_IP, server.getsockname()[1])})
        user.settimeout(10)
        with server, user:
            worker = threading.Thread(target=answer, args=(server,))
            worker.start()
            user.connect(VIP)
            user.sendall(b"hello")
            assert user.recv(100) == b"HELLO"
            user.close()
            worker.join()


def answer(server: socket.socket) -> None:
    """Answer one connection in capitals, from under the hidden address."""
    peer, (address, _) = server.accept()
    with peer:
        assert address == HIDDEN
        while data := peer.recv(100):
            peer.sendall(data.upper())
