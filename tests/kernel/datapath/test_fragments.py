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
from tests.support.wire import INGRESS, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.wire import Wire

A, B = "10.5.224.91", "10.5.5.5"
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


def test_without_tracking_no_fragment_passes(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig(enable_ipv4_fragment_tracking=False)
    with wire(gate, bpffs, config=config) as pod:
        assert not pod.into(FIRST)
        assert not pod.into(LAST)
        assert pod.metrics()[NOT_FOLLOWED, INGRESS][0] == 2
