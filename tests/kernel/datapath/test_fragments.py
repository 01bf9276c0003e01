"""Fragments of a datagram go where its first went, and no other fragment goes anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.config import AgentConfig
from tests.support.packets import (
    ECHO,
    ICMP,
    MORE_FRAGMENTS,
    UDP,
    ethernet,
    icmp_message,
    ipv4,
    udp_datagram,
)
from tests.support.tables import put_service
from tests.support.wire import INGRESS, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.wire import Wire

A, B = "10.5.224.91", "10.5.5.5"
VIP = ("10.96.0.10", 53)
DATAGRAM = udp_datagram((A, 5000), (B, 53), bytes(1472))
NOT_FOLLOWED, NOT_FOUND = 157, 175


def fragment(protocol: int, data: bytes, offset: int, *, more: bool) -> bytes:
    flags = offset // 8 | (MORE_FRAGMENTS if more else 0)
    return ethernet(ipv4(A, B, protocol, data, fragment=flags))


FIRST = fragment(UDP, DATAGRAM[:1000], 0, more=True)
LAST = fragment(UDP, DATAGRAM[1000:], 1000, more=False)


def test_later_fragments_belong_to_the_connection_of_their_first(pod: Wire) -> None:
    assert pod.into(FIRST)
    assert pod.into(LAST)
    assert pod.titles("ct_any4") >= {f"UDP IN {A}:5000 -> {B}:53"}
    assert int(pod.entry("ct_any4")["rx_packets"]) == 2


def test_a_fragment_before_its_first_is_a_stranger(pod: Wire) -> None:
    assert not pod.into(LAST)
    assert pod.metrics()[NOT_FOUND, INGRESS] == (1, len(LAST))
    assert len(pod.table("ct_any4")) == 0
    assert pod.into(FIRST)
    assert pod.into(LAST)


def test_fragments_of_another_datagram_do_not_follow(pod: Wire) -> None:
    assert pod.into(FIRST)
    other = bytearray(LAST)
    other[14 + 4 : 14 + 6] = b"\x00\x02"
    assert not pod.into(bytes(other))


def test_a_large_ping_comes_through(pod: Wire) -> None:
    message = icmp_message(ECHO, 77, bytes(1472))
    assert pod.into(fragment(ICMP, message[:1000], 0, more=True))
    assert pod.into(fragment(ICMP, message[1000:], 1000, more=False))
    assert int(pod.entry("ct_any4")["rx_packets"]) == 2


def test_fragments_to_a_service_go_to_the_backend_of_their_first(pod: Wire) -> None:
    put_service(pod, 1, VIP, {1: ("10.5.7.1", 5353)})
    data = udp_datagram((B, 5000), VIP, bytes(1472))
    first = ethernet(ipv4(B, VIP[0], UDP, data[:1000], fragment=MORE_FRAGMENTS))
    last = ethernet(ipv4(B, VIP[0], UDP, data[1000:], fragment=1000 // 8))
    head, rest = pod.sent(first), pod.sent(last)
    assert head is not None
    assert rest is not None
    assert head[30:34] == rest[30:34] == bytes([10, 5, 7, 1])
    assert head[36:38] == (5353).to_bytes(2, "big")
    assert rest[34:] == last[34:]


def test_without_tracking_no_fragment_passes(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig(enable_ipv4_fragment_tracking=False)
    with wire(gate, bpffs, config=config) as pod:
        assert not pod.into(FIRST)
        assert not pod.into(LAST)
        assert pod.metrics()[NOT_FOLLOWED, INGRESS][0] == 2
