"""Source translation at the node's uplink, packet by packet and with real sockets."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.datapath import netdev
from ctconsole.errors import UsageError
from ctconsole.kernel import iproute, mapwrite, netns
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.perf import PerfReader
from ctconsole.model.event import EventKind
from ctconsole.model.packets.monitor import Signal, signals
from ctconsole.model.plane.uplink import Uplink
from ctconsole.model.spec import MapType
from tests.support.namespaces import connected_pair, namespace
from tests.support.packets import (
    ACK,
    ECHO,
    ECHO_REPLY,
    MORE_FRAGMENTS,
    SYN,
    TIMESTAMP,
    UDP,
    ethernet,
    icmp,
    icmp_error,
    ipv4,
    tcp,
    udp,
    udp_datagram,
)
from tests.support.uplink import NODE, OUTSIDE, POD, UPLINK, Node, add_pod, nat_specs, node
from tests.support.wire import EGRESS, pin_maps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

WEB = (OUTSIDE, 80)
NO_MAPPING, UNSUPPORTED = 167, 168


@pytest.fixture
def uplink(gate: Gate, bpffs: Path) -> Iterator[Node]:
    with node(gate, bpffs) as opened:
        yield opened


def ends(packet: bytes | None) -> tuple[tuple[str, int], tuple[str, int]]:
    """Source and destination of a packet with ports."""
    assert packet is not None
    ports = struct.unpack_from(">HH", packet, 34)
    return (socket.inet_ntoa(packet[26:30]), ports[0]), (socket.inet_ntoa(packet[30:34]), ports[1])


def sums_to(packet: bytes, start: int, end: int) -> int:
    """The Internet checksum over a part of a packet."""
    data = packet[start:end] + bytes((end - start) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo(packet: bytes) -> int:
    """What a TCP or UDP checksum covers, as it would be without the checksum being right."""
    rest = packet[26:34] + bytes([0, packet[23]]) + struct.pack(">H", len(packet) - 34)
    return sums_to(rest + packet[34:], 0, len(rest) + len(packet) - 34)


@pytest.mark.parametrize("make", [lambda a, b: tcp(a, b, SYN), udp], ids=["tcp", "udp"])
def test_a_connection_leaves_under_the_nodes_address_and_comes_back(
    uplink: Node, make: object
) -> None:
    packet = make((POD, 40000), WEB)  # type: ignore[operator]  # one of two builders
    away = uplink.out(packet)
    assert ends(away) == ((NODE, 40000), WEB)
    back = uplink.into(make(WEB, (NODE, 40000)))  # type: ignore[operator]  # as above
    assert ends(back) == (WEB, (POD, 40000))
    assert uplink.mappings() == {
        ("OUT", f"{POD}:40000 -> {OUTSIDE}:80"): (NODE, 40000),
        ("IN", f"{OUTSIDE}:80 -> {NODE}:40000"): (POD, 40000),
    }


def test_checksums_change_by_as_much_as_the_packet(uplink: Node) -> None:
    before = tcp((POD, 1024), WEB, SYN, b"data")
    after = uplink.out(before)
    assert after is not None
    assert sums_to(after, 14, 34) == sums_to(before, 14, 34)
    assert pseudo(after) == pseudo(before)
    assert after != before


def test_a_port_below_the_range_or_taken_is_exchanged(uplink: Node) -> None:
    source = ends(uplink.out(tcp((POD, 1024), WEB, SYN)))[0]
    assert source[0] == NODE
    assert source[1] >= 32768
    assert ends(uplink.into(tcp(WEB, source, ACK)))[1] == (POD, 1024)
    add_pod(uplink.gate, uplink.maps["cilium_lxc"], "10.5.5.6")
    first = ends(uplink.out(tcp((POD, 40000), WEB, SYN)))[0]
    second = ends(uplink.out(tcp(("10.5.5.6", 40000), WEB, SYN)))[0]
    assert first == (NODE, 40000)
    assert second[1] not in {40000, source[1]}
    assert ends(uplink.into(tcp(WEB, second, ACK)))[1] == ("10.5.5.6", 40000)


def test_a_connection_keeps_its_port(uplink: Node) -> None:
    ports = {ends(uplink.out(udp((POD, 1024), WEB)))[0] for _ in range(20)}
    assert len(ports) == 1
    assert len(uplink.mappings()) == 2


def test_an_answer_that_was_evicted_alone_is_filed_again(uplink: Node) -> None:
    uplink.out(tcp((POD, 40000), WEB, SYN))
    key = socket.inet_aton(NODE) + socket.inet_aton(OUTSIDE) + struct.pack(">HHBB", 40000, 80, 6, 1)
    with BpfMap.open(uplink.maps["cilium_snat_v4_external"]) as live:
        assert mapwrite.delete(uplink.gate, live, key)
    assert ends(uplink.out(tcp((POD, 40000), WEB, ACK)))[0] == (NODE, 40000)
    assert ends(uplink.into(tcp(WEB, (NODE, 40000), ACK)))[1] == (POD, 40000)


def test_an_echo_has_its_identifier_exchanged(uplink: Node) -> None:
    away = uplink.out(icmp(POD, OUTSIDE, ECHO, 77, b"ping"))
    assert away is not None
    number = int.from_bytes(away[38:40], "big")
    assert (socket.inet_ntoa(away[26:30]), number >= 32768) == (NODE, True)
    back = uplink.into(icmp(OUTSIDE, NODE, ECHO_REPLY, number, b"ping"))
    assert back is not None
    assert socket.inet_ntoa(back[30:34]) == POD
    assert int.from_bytes(back[38:40], "big") == 77


def test_an_error_about_a_translated_packet_finds_the_pod(uplink: Node) -> None:
    away = uplink.out(udp((POD, 1024), WEB))
    assert away is not None
    error = icmp_error("192.0.2.1", NODE, away)
    back = uplink.into(error)
    assert back is not None
    assert socket.inet_ntoa(back[30:34]) == POD
    assert ends(back[28:])[0] == (POD, 1024)
    # The checksums of the quotation and of the error were 0 and stand for what changed.
    assert sums_to(back, 42, 62) == sums_to(error, 42, 62)
    assert sums_to(back, 34, 70) == sums_to(error, 34, 70)


def test_fragments_follow_their_first(uplink: Node) -> None:
    data = udp_datagram((POD, 1024), WEB, bytes(1472))
    first = ethernet(ipv4(POD, OUTSIDE, UDP, data[:1000], fragment=MORE_FRAGMENTS))
    last = ethernet(ipv4(POD, OUTSIDE, UDP, data[1000:], fragment=1000 // 8))
    assert ends(uplink.out(first))[0][0] == NODE
    rest = uplink.out(last)
    assert rest is not None
    assert socket.inet_ntoa(rest[26:30]) == NODE
    assert rest[34:] == last[34:]


UNTOUCHED = {
    "to a pod of another node": tcp((POD, 40000), ("10.5.9.9", 80), SYN),
    "of nobody we know": tcp(("10.9.9.9", 40000), WEB, SYN),
    "of the node's own services": tcp((NODE, 22), WEB, ACK),
    "no IP": ethernet(bytes(46), 0x0806),
    "an error of the pod's": icmp_error(POD, OUTSIDE, udp(WEB, (POD, 5))),
}


@pytest.mark.parametrize("packet", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_other_packets_leave_as_they_are(uplink: Node, packet: bytes) -> None:
    assert uplink.out(packet) == packet
    assert uplink.mappings() == {}


def test_answers_to_the_outside_keep_the_pods_address(uplink: Node) -> None:
    key = socket.inet_aton(OUTSIDE) + socket.inet_aton(POD) + struct.pack(">HHBB", 80, 5555, 6, 1)
    with BpfMap.open(uplink.maps["cilium_ct4_global"]) as live:
        mapwrite.update(uplink.gate, live, key, bytes(56))
    answer = tcp((POD, 80), (OUTSIDE, 5555), SYN | ACK)
    assert uplink.out(answer) == answer


def test_the_nodes_own_connections_take_part(uplink: Node) -> None:
    packet = tcp((NODE, 40000), WEB, SYN)
    assert uplink.out(packet) == packet
    assert ends(uplink.out(tcp((POD, 40000), WEB, SYN)))[0] != (NODE, 40000)
    assert ends(uplink.into(tcp(WEB, (NODE, 40000), ACK)))[1] == (NODE, 40000)
    with BpfMap.open(uplink.maps["cilium_ct4_global"]) as live:
        (entry,) = live.read().values.view("<u8").reshape(-1, 7)
    assert entry[[0, 2]].tolist() == [1, 1]


def test_strangers_pass_on_the_way_in(uplink: Node) -> None:
    for packet in (tcp(WEB, (NODE, 40000), SYN), tcp(WEB, (NODE, 22), SYN)):
        assert uplink.into(packet) == packet
    assert uplink.mappings() == {}


def test_a_protocol_that_cannot_be_translated_is_dropped(uplink: Node) -> None:
    assert uplink.out(ethernet(ipv4(POD, OUTSIDE, 47, bytes(20)))) is None
    assert uplink.metrics()[UNSUPPORTED, EGRESS] == 1
    timestamp = icmp(POD, OUTSIDE, TIMESTAMP)
    assert uplink.out(timestamp) == timestamp


def test_a_table_that_refuses_drops_and_calls_for_the_collector(gate: Gate, bpffs: Path) -> None:
    with (
        node(gate, bpffs, specs=nat_specs(3, MapType.HASH)) as uplink,
        PerfReader(gate, uplink.maps["cilium_signals"], pages=1) as reader,
    ):
        assert uplink.out(tcp((POD, 40000), WEB, SYN)) is not None
        assert uplink.out(tcp((POD, 40001), WEB, SYN)) is None
        assert uplink.metrics()[NO_MAPPING, EGRESS] == 1
        assert signals(reader.read())["signal_nr"].tolist() == [Signal.NAT_FILL_UP]
        assert len(uplink.mappings()) == 2
        assert uplink.out(tcp((POD, 40000), WEB, ACK)) is not None


def test_no_broken_frame_is_half_translated(uplink: Node) -> None:
    rng = random.Random(20210127)  # noqa: S311 - the same frames in every run
    right = [tcp((POD, 40000), WEB, SYN, b"x"), udp((POD, 1024), WEB, b"xyz")]
    right += [icmp(POD, OUTSIDE, ECHO, 77, b"ping"), tcp(WEB, (NODE, 40000), ACK)]
    right.append(icmp_error("192.0.2.1", NODE, udp((NODE, 40001), WEB)))
    for frame in right:
        uplink.out(frame)
    for _ in range(20_000):
        broken = bytearray(rng.choice(right))
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(14, len(broken))] = rng.randrange(256)
        whole = bytes(broken[: rng.randrange(34, len(broken) + 1)])
        for after in (uplink.out(whole), uplink.into(whole)):
            assert after is None or len(after) == len(whole)
            # Only addresses, ports, an echo's identifier and checksums may change.
            assert after is None or after[:24] == whole[:24]
    pairs = Counter(direction for direction, _ in uplink.mappings())
    assert pairs["IN"] >= pairs["OUT"] > 0


def test_per_endpoint_tables_are_refused(gate: Gate, bpffs: Path) -> None:
    maps = pin_maps(gate, bpffs, nat_specs())
    with pytest.raises(UsageError, match="global conntrack tables"):
        netdev.load_netdev(gate, AgentConfig(conntrack_local=True), maps, UPLINK)


POD_IP, UPLINK_IP, OUTSIDE_IP = "10.77.0.2", "198.51.100.1", "198.51.100.2"


@contextmanager
def masqueraded(gate: Gate, bpffs: Path) -> Iterator[tuple[str, str, str, Uplink, dict[str, Path]]]:
    """Namespaces of a node, its pod and an outsider, who has no route to the pod."""
    with ExitStack() as stack:
        router, pod = stack.enter_context(connected_pair(gate))
        outside = stack.enter_context(namespace(gate, "outside"))
        iproute.add_veth(gate, "up0", "eth0", netns=router, peer_netns=outside)
        iproute.add_address(gate, "up0", f"{UPLINK_IP}/24", netns=router)
        iproute.add_address(gate, "eth0", f"{OUTSIDE_IP}/24", netns=outside)
        iproute.set_up(gate, "up0", netns=router)
        iproute.set_up(gate, "eth0", netns=outside)
        iproute.add_route(gate, "default", device="right0", via="10.77.0.1", netns=pod)
        netns.set_sysctl(gate, router, "ipv4.ip_forward", "1")
        maps = pin_maps(gate, bpffs, nat_specs())
        add_pod(gate, maps["cilium_lxc"], POD_IP)
        link = iproute.get("up0", netns=router)
        uplink = Uplink(link.name, link.index, UPLINK_IP, native_cidr="10.77.0.0/16")
        with (
            netns.inside(router),
            netdev.load_netdev(gate, AgentConfig(), maps, uplink) as programs,
        ):
            events = netdev.attach_netdev(gate, uplink, programs)
            assert {event.kind for event in events} == {EventKind.PROGRAM_LOADED}
        yield router, pod, outside, uplink, maps
        with netns.inside(router):
            gone = netdev.detach_netdev(gate, uplink)
        assert [event.kind for event in gone] == [EventKind.PROGRAM_DETACHED] * 2


def test_a_pod_talks_to_the_outside_with_real_sockets(gate: Gate, bpffs: Path) -> None:
    with masqueraded(gate, bpffs) as (_, pod, outside, _, _):
        with netns.inside(outside):
            server = socket.create_server((OUTSIDE_IP, 8080))
        seen: list[str] = []

        def serve() -> None:
            client, address = server.accept()
            with client:
                seen.append(address[0])
                received = b""
                while len(received) < 200_000:
                    received += client.recv(65536)
                client.sendall(received)

        thread = threading.Thread(target=serve)
        thread.start()
        with netns.inside(pod):
            client = socket.create_connection((OUTSIDE_IP, 8080), timeout=5)
        with client, server:
            client.sendall(bytes(200_000))
            received = 0
            while received < 200_000:
                received += len(client.recv(65536))
        thread.join(5)
        assert seen == [UPLINK_IP]


def test_a_pod_pings_the_outside_with_packets_of_any_size(gate: Gate, bpffs: Path) -> None:
    with masqueraded(gate, bpffs) as (_, pod, _, _, maps):
        netns.set_sysctl(gate, pod, "ipv4.ping_group_range", "0 2147483647")
        with netns.inside(pod):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        with client:
            client.settimeout(5)
            for size in (56, 4000):
                client.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, 1) + bytes(size), (OUTSIDE_IP, 0))
                assert len(client.recv(65536)) == 8 + size
        with BpfMap.open(maps["cilium_ipv4_frag_datagrams"]) as live:
            assert live.count() >= 2


def test_attaching_again_replaces(gate: Gate, bpffs: Path) -> None:
    with masqueraded(gate, bpffs) as (router, _, _, uplink, maps):
        with (
            netns.inside(router),
            netdev.load_netdev(gate, AgentConfig(), maps, uplink) as programs,
        ):
            events = netdev.attach_netdev(gate, uplink, programs)
        assert [event.kind for event in events] == [EventKind.PROGRAM_REPLACED] * 2
