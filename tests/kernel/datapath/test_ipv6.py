"""IPv6 by the same state machine, and what only IPv6 has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.model.ct.layout import CtFlag
from tests.support.packets import ACK, FIN, PSH, SYN, ethernet, tcp, tcp_header
from tests.support.packets6 import (
    AUTH,
    DESTINATION,
    ECHO6,
    ECHO_REPLY6,
    FRAGMENT,
    HOP,
    ICMP6,
    IPV6,
    NONE,
    ROUTING,
    TCP,
    TIME_EXCEEDED6,
    TOO_BIG,
    UDP,
    UNREACHABLE6,
    extended,
    extension,
    frame6,
    icmp6,
    icmp6_error,
    ipv6,
    tcp6,
    udp6,
)
from tests.support.wire import EGRESS, INGRESS, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.wire import Wire

POD, PEER, ROUTER = "fd00::5:5", "fd00::91", "fd00::1"
SERVER, CLIENT = (POD, 80), (PEER, 40356)
FORWARDED, INVALID, INVALID_L4, UNKNOWN_PROTO, UNKNOWN_L3 = 0, 134, 135, 137, 139
INVALID_EXTENSION, FRAGMENTED = 156, 157


def test_a_connection_makes_an_entry_and_its_companion(pod: Wire) -> None:
    assert pod.into(tcp6(CLIENT, SERVER, SYN))
    assert pod.out(tcp6(SERVER, CLIENT, SYN | ACK))
    assert pod.into(tcp6(CLIENT, SERVER, PSH | ACK, b"x"))
    assert pod.titles("ct6") == {"TCP IN fd00::91:40356 -> fd00::5:5:80"}
    assert pod.titles("ct_any6") == {"ICMPv6 IN fd00::91:0 -> fd00::5:5:0 related"}
    entry = pod.entry("ct6")
    assert (entry["rx_packets"], entry["tx_packets"]) == (2, 1)
    assert entry["flags"] == CtFlag.SEEN_NON_SYN
    assert 21598 <= pod.lives("ct6") <= 21600
    assert len(pod.table("ct4")) == len(pod.table("ct_any4")) == 0


def test_fins_of_both_sides_close_it(pod: Wire) -> None:
    pod.out(tcp6(SERVER, CLIENT, SYN))
    pod.out(tcp6(SERVER, CLIENT, FIN | ACK))
    pod.into(tcp6(CLIENT, SERVER, FIN | ACK))
    assert pod.entry("ct6")["flags"] & 3 == CtFlag.RX_CLOSING | CtFlag.TX_CLOSING
    assert pod.lives("ct6") <= 10


def test_a_datagram_and_its_answer_share_an_entry(pod: Wire) -> None:
    assert pod.out(udp6((POD, 5000), (PEER, 53), b"?"))
    assert pod.into(udp6((PEER, 53), (POD, 5000), b"!"))
    assert "UDP OUT fd00::5:5:5000 -> fd00::91:53" in pod.titles("ct_any6")
    assert pod.entry("ct_any6")["rx_packets"] == 1


def test_pings_both_ways_share_an_entry_with_their_answers(pod: Wire) -> None:
    assert pod.out(icmp6(POD, PEER, ECHO6, 78))
    assert pod.into(icmp6(PEER, POD, ECHO_REPLY6, 78))
    assert "ICMPv6 OUT fd00::5:5:78 -> fd00::91:0" in pod.titles("ct_any6")
    assert pod.entry("ct_any6")["rx_packets"] == 1


@pytest.mark.parametrize("kind", [UNREACHABLE6, TOO_BIG, TIME_EXCEEDED6])
@pytest.mark.parametrize(
    "quoted",
    [
        tcp6((POD, 4000), (PEER, 80), SYN),
        udp6((POD, 4000), (PEER, 53)),
        icmp6(POD, PEER, ECHO6, 81),
    ],
    ids=["tcp", "udp", "echo"],
)
def test_an_error_of_a_router_is_known_by_what_it_quotes(
    pod: Wire, quoted: bytes, kind: int
) -> None:
    pod.out(quoted)
    before = pod.titles("ct_any6")
    assert pod.into(icmp6_error(ROUTER, POD, quoted, kind))
    assert pod.titles("ct_any6") == before


def test_an_error_about_nothing_known_is_a_stranger(pod: Wire) -> None:
    assert pod.into(icmp6_error(ROUTER, POD, udp6((POD, 5000), (PEER, 53))))
    assert pod.titles("ct_any6") == {"ICMPv6 IN fd00::1:0 -> fd00::5:5:0 related"}


@pytest.mark.parametrize("kind", range(133, 138))
def test_neighbour_discovery_passes_untracked(pod: Wire, kind: int) -> None:
    assert pod.out(icmp6(POD, "ff02::1:ff00:1", kind))
    assert pod.into(icmp6(ROUTER, POD, kind))
    assert len(pod.table("ct_any6")) == 0
    assert {key[0] for key in pod.metrics()} == {FORWARDED}


def test_the_other_messages_of_its_numbers_are_tracked(pod: Wire) -> None:

    assert pod.out(icmp6(POD, PEER, 132))
    assert pod.out(icmp6(POD, PEER, 138))
    assert len(pod.table("ct_any6")) == 2


@pytest.mark.parametrize(
    "chain",
    [[HOP], [ROUTING], [DESTINATION], [AUTH], [HOP, DESTINATION, ROUTING]],
    ids=lambda chain: "-".join(map(str, chain)),
)
def test_extension_headers_are_skipped(pod: Wire, chain: list[int]) -> None:
    assert pod.into(extended(CLIENT, SERVER, chain, SYN))
    assert pod.out(tcp6(SERVER, CLIENT, SYN | ACK))
    assert pod.titles("ct6") == {"TCP IN fd00::91:40356 -> fd00::5:5:80"}


def test_a_header_before_an_icmp_error_s_quotation_is_skipped(pod: Wire) -> None:
    sent = extended(SERVER, CLIENT, [HOP], SYN)
    pod.out(sent)
    before = pod.titles("ct_any6")
    assert pod.into(icmp6(ROUTER, POD, UNREACHABLE6, payload=sent[14 : 14 + 48 + 8]))
    assert pod.titles("ct_any6") == before


SYN_SEGMENT = tcp_header(1, 2, SYN)
REFUSED = {
    "IP version 4 in an IPv6 frame": (
        ethernet(ipv6(PEER, POD, TCP, SYN_SEGMENT, version=4), IPV6),
        INVALID,
    ),
    "a length beyond the frame": (
        ethernet(ipv6(PEER, POD, TCP, SYN_SEGMENT, length=1000), IPV6),
        INVALID,
    ),
    "no length, and TCP in the padding": (
        ethernet(ipv6(PEER, POD, TCP, SYN_SEGMENT, length=0), IPV6),
        INVALID,
    ),
    "a TCP packet that ends in its header": (frame6(PEER, POD, TCP, SYN_SEGMENT[:13]), INVALID_L4),
    "half a UDP header": (frame6(PEER, POD, UDP, bytes(7)), INVALID_L4),
    "half an ICMPv6 header": (frame6(PEER, POD, ICMP6, bytes(7)), INVALID_L4),
    "ICMP of version 4": (frame6(PEER, POD, 1, bytes(8)), UNKNOWN_PROTO),
    "a fragment": (frame6(PEER, POD, FRAGMENT, bytes(8) + SYN_SEGMENT), FRAGMENTED),
    "a fragment behind another header": (
        frame6(PEER, POD, HOP, extension(FRAGMENT) + bytes(8) + SYN_SEGMENT),
        FRAGMENTED,
    ),
    "nothing after the header": (frame6(PEER, POD, NONE, bytes(8)), INVALID_EXTENSION),
    "a header beyond the packet": (
        frame6(PEER, POD, HOP, bytes([TCP, 200]) + bytes(30)),
        INVALID,
    ),
    "more headers than are followed": (
        extended(CLIENT, SERVER, [HOP, DESTINATION, DESTINATION, DESTINATION, DESTINATION], SYN),
        INVALID_EXTENSION,
    ),
}


@pytest.mark.parametrize(("frame", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_broken_packets_are_dropped_and_counted(pod: Wire, frame: bytes, reason: int) -> None:
    assert not pod.into(frame)
    assert not pod.out(frame)
    assert {key: count for key, (count, _) in pod.metrics().items()} == {
        (reason, INGRESS): 1,
        (reason, EGRESS): 1,
    }
    assert len(pod.table("ct6")) == len(pod.table("ct_any6")) == 0


def test_packets_of_a_family_that_is_off_are_dropped(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig().with_options({"enable-ipv6": "false"})
    with wire(gate, bpffs, config=config) as pod:
        assert not pod.out(tcp6(SERVER, CLIENT, SYN))
        assert pod.out(tcp((("10.5.5.5"), 1), ("10.5.5.9", 2), SYN))
        assert pod.metrics()[UNKNOWN_L3, EGRESS][0] == 1
