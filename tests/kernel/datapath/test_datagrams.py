from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.model.ct.layout import CtFlag
from tests.support.packets import (
    ECHO,
    ECHO_REPLY,
    SYN,
    TIME_EXCEEDED,
    TIMESTAMP,
    UNREACHABLE,
    icmp,
    icmp_error,
    tcp,
    udp,
)

if TYPE_CHECKING:
    from tests.support.wire import Wire

POD, PEER, ROUTER = "10.5.5.5", "10.5.224.91", "192.168.7.1"


def test_a_datagram_and_its_answer_share_an_entry_of_a_minute(pod: Wire) -> None:
    question, answer = udp((POD, 5000), (PEER, 53), b"?"), udp((PEER, 53), (POD, 5000), b"!!")
    assert pod.out(question)
    assert pod.into(answer)
    assert pod.titles("ct_any4") == {
        "UDP OUT 10.5.5.5:5000 -> 10.5.224.91:53",
        "ICMP OUT 10.5.5.5:0 -> 10.5.224.91:0 related",
    }
    entry = pod.entry("ct_any4")
    assert (entry["tx_packets"], entry["tx_bytes"]) == (1, len(question))
    assert (entry["rx_packets"], entry["rx_bytes"]) == (1, len(answer))
    assert (entry["tx_flags_seen"], entry["rx_flags_seen"], entry["flags"]) == (0, 0, 0)
    assert 58 <= pod.lives("ct_any4") <= 60
    assert len(pod.table("ct4")) == 0


def test_a_ping_of_the_pod_and_its_answer_share_an_entry(pod: Wire) -> None:
    assert pod.into(icmp(PEER, POD, ECHO, 77))
    assert pod.out(icmp(POD, PEER, ECHO_REPLY, 77))
    assert "ICMP IN 10.5.224.91:77 -> 10.5.5.5:0" in pod.titles("ct_any4")
    entry = pod.entry("ct_any4")
    assert (entry["rx_packets"], entry["tx_packets"]) == (1, 1)


def test_a_ping_by_the_pod_and_its_answer_share_an_entry(pod: Wire) -> None:
    assert pod.out(icmp(POD, PEER, ECHO, 78))
    assert pod.into(icmp(PEER, POD, ECHO_REPLY, 78))
    assert "ICMP OUT 10.5.5.5:78 -> 10.5.224.91:0" in pod.titles("ct_any4")
    entry = pod.entry("ct_any4")
    assert (entry["rx_packets"], entry["tx_packets"]) == (1, 1)


def test_an_answer_to_another_ping_is_a_stranger(pod: Wire) -> None:
    pod.out(icmp(POD, PEER, ECHO, 78))
    pod.into(icmp(PEER, POD, ECHO_REPLY, 79))
    assert len(pod.titles("ct_any4")) == 4


def test_other_icmp_is_tracked_without_an_identifier(pod: Wire) -> None:
    assert pod.out(icmp(POD, PEER, TIMESTAMP, 80))
    assert "ICMP OUT 10.5.5.5:0 -> 10.5.224.91:0" in pod.titles("ct_any4")


def test_an_error_of_the_peer_counts_to_the_companion_entry(pod: Wire) -> None:
    question = udp((POD, 5000), (PEER, 53), b"?")
    pod.out(question)
    error = icmp_error(PEER, POD, question)
    assert pod.into(error)
    assert len(pod.table("ct_any4")) == 2
    companion = pod.entry("ct_any4", related=True)
    assert (companion["rx_packets"], companion["rx_bytes"]) == (1, len(error))
    assert companion["flags"] == CtFlag.SEEN_NON_SYN
    assert pod.entry("ct_any4")["rx_packets"] == 0


@pytest.mark.parametrize("kind", [UNREACHABLE, TIME_EXCEEDED])
@pytest.mark.parametrize(
    "quoted",
    [
        tcp((POD, 4000), (PEER, 80), SYN),
        udp((POD, 4000), (PEER, 53)),
        icmp(POD, PEER, ECHO, 81),
    ],
    ids=["tcp", "udp", "echo"],
)
def test_an_error_of_a_router_is_known_by_what_it_quotes(
    pod: Wire, quoted: bytes, kind: int
) -> None:
    pod.out(quoted)
    before = pod.titles("ct_any4")
    assert pod.into(icmp_error(ROUTER, POD, quoted, kind))
    assert pod.titles("ct_any4") == before


def test_an_error_about_the_pods_answer_is_known_as_well(pod: Wire) -> None:
    pod.into(udp((PEER, 5000), (POD, 53)))
    before = pod.titles("ct_any4")
    assert pod.into(icmp_error(ROUTER, POD, udp((POD, 53), (PEER, 5000))))
    assert pod.titles("ct_any4") == before


def test_an_error_about_nothing_known_is_a_stranger(pod: Wire) -> None:
    assert pod.into(icmp_error(ROUTER, POD, udp((POD, 5000), (PEER, 53))))
    assert pod.titles("ct_any4") == {"ICMP IN 192.168.7.1:0 -> 10.5.5.5:0 related"}
