"""What is refused, under which of Cilium's numbers, and that everything is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.maps import BpfMap
from tests.support.packets import (
    ACK,
    ECHO,
    ICMP,
    MORE_FRAGMENTS,
    PSH,
    SYN,
    TCP,
    UDP,
    ethernet,
    icmp,
    ipv4,
    tcp,
    tcp_header,
    udp,
)
from tests.support.wire import EGRESS, INGRESS, hash_tables, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.wire import Wire

A, B = "10.5.224.91", "10.5.5.5"
FORWARDED, INVALID, INVALID_L4, UNKNOWN_PROTO, UNKNOWN_L3 = 0, 134, 135, 137, 139
CREATE_FAILED, UNSUPPORTED_L2, FRAGMENT_NOT_FOUND = 155, 166, 175

TCP_FRAME = tcp((A, 1), (B, 2), SYN)
UDP_FRAME = udp((A, 1), (B, 2), b"x")

REFUSED = {
    "IP version 6 in an IPv4 frame": (ethernet(ipv4(A, B, TCP, b"", version_ihl=0x65)), INVALID),
    "a header shorter than a header": (ethernet(ipv4(A, B, TCP, b"", version_ihl=0x44)), INVALID),
    "options beyond the packet": (ethernet(ipv4(A, B, TCP, b"", version_ihl=0x4F)), INVALID),
    "a total length beyond the frame": (ethernet(ipv4(A, B, UDP, b"", total=1000)), INVALID),
    "a total length below the header": (ethernet(ipv4(A, B, UDP, bytes(8), total=19)), INVALID),
    "half a TCP header": (TCP_FRAME[: 14 + 20 + 13], INVALID),
    "a TCP header in the padding": (
        ethernet(ipv4(A, B, TCP, tcp_header(1, 2, SYN), total=30)),
        INVALID_L4,
    ),
    "a TCP packet that ends in its header": (
        ethernet(ipv4(A, B, TCP, tcp_header(1, 2, SYN)[:13])),
        INVALID_L4,
    ),
    "a TCP header of four words": (
        ethernet(ipv4(A, B, TCP, tcp_header(1, 2, SYN, words=4))),
        INVALID_L4,
    ),
    "TCP options beyond the packet": (
        ethernet(ipv4(A, B, TCP, tcp_header(1, 2, SYN, words=6))),
        INVALID_L4,
    ),
    "half a UDP header": (ethernet(ipv4(A, B, UDP, bytes(7))), INVALID_L4),
    "half an ICMP header": (ethernet(ipv4(A, B, ICMP, bytes(7))), INVALID_L4),
    "a protocol without tracking": (ethernet(ipv4(A, B, 47, bytes(20))), UNKNOWN_PROTO),
    "a fragment without its first": (
        ethernet(ipv4(A, B, UDP, bytes(8), fragment=185)),
        FRAGMENT_NOT_FOUND,
    ),
    "a first fragment that ends in its header": (
        ethernet(ipv4(A, B, UDP, bytes(7), fragment=MORE_FRAGMENTS)),
        INVALID_L4,
    ),
    "a VLAN": (ethernet(bytes.fromhex("00640800") + TCP_FRAME[14:], 0x8100), UNKNOWN_L3),
    "another ethertype": (ethernet(bytes(46), 0x88CC), UNKNOWN_L3),
    "an 802.3 frame": (ethernet(bytes(46), 46), UNSUPPORTED_L2),
}


@pytest.mark.parametrize(("frame", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_broken_and_foreign_frames_are_dropped_and_counted(
    pod: Wire, frame: bytes, reason: int
) -> None:
    assert not pod.into(frame)
    assert not pod.out(frame)
    assert {key: count for key, (count, _) in pod.metrics().items()} == {
        (reason, INGRESS): 1,
        (reason, EGRESS): 1,
    }
    assert len(pod.table("ct4")) == len(pod.table("ct_any4")) == 0


def test_every_prefix_of_a_packet_is_refused_without_an_entry(pod: Wire) -> None:
    frame = tcp((A, 1), (B, 2), PSH | ACK, b"x")
    # BPF_PROG_TEST_RUN takes no frame that ends within its IPv4 header.
    assert not any(pod.into(frame[:length]) for length in range(34, len(frame)))
    assert len(pod.table("ct4")) == 0


def test_options_before_the_ports_are_skipped(pod: Wire) -> None:
    packet = ipv4(A, B, TCP, tcp_header(1, 2, SYN), options=b"\x01" * 40)
    assert pod.into(ethernet(packet))
    assert pod.titles() == {"TCP IN 10.5.224.91:1 -> 10.5.5.5:2"}


def test_arp_passes_untracked(pod: Wire) -> None:
    assert pod.out(ethernet(bytes(46), 0x0806))
    assert pod.into(ethernet(bytes(46), 0x0806))
    assert len(pod.table("ct4")) == len(pod.table("ct_any4")) == 0


def test_forwards_are_counted_with_their_bytes(pod: Wire) -> None:
    frames = [TCP_FRAME, UDP_FRAME, icmp(A, B, ECHO, 1)]
    assert all(pod.into(frame) for frame in frames)
    assert pod.out(tcp((B, 2), (A, 1), SYN | ACK))
    assert pod.metrics() == {
        (FORWARDED, INGRESS): (3, sum(map(len, frames))),
        (FORWARDED, EGRESS): (1, len(TCP_FRAME)),
    }


def test_a_table_that_takes_no_more_drops_the_packet_and_counts_it(gate: Gate, bpffs: Path) -> None:
    with wire(gate, bpffs, specs=hash_tables(1)) as pod:
        assert pod.into(tcp((A, 1), (B, 2), SYN))
        assert not pod.into(tcp((A, 3), (B, 2), SYN))
        assert pod.into(tcp((A, 1), (B, 2), ACK))
        assert pod.metrics()[CREATE_FAILED, INGRESS] == (1, len(TCP_FRAME))
        assert pod.metrics()[FORWARDED, INGRESS][0] == 2


def test_without_room_for_the_companion_there_is_no_entry_either(gate: Gate, bpffs: Path) -> None:
    with wire(gate, bpffs, specs=hash_tables(1)) as pod:
        assert pod.into(tcp((A, 1), (B, 2), SYN))
        assert not pod.into(tcp(("10.9.9.9", 1), (B, 2), SYN))
        assert pod.titles() == {"TCP IN 10.5.224.91:1 -> 10.5.5.5:2"}
        with BpfMap.open(pod.maps["cilium_ct_any4_global"]) as live:
            assert live.count() == 1
