"""What an endpoint may exchange with whom, and that answers always pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.packets import ACK, ECHO, ECHO_REPLY, SYN, icmp, icmp_error, tcp, udp
from tests.support.packets6 import tcp6
from tests.support.tables import put_host, put_identity, put_rule, put_service, rule_counts
from tests.support.wire import EGRESS, INGRESS, POD, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.wire import Wire

SELF, PEER = "10.5.5.5", "10.5.224.91"
CLIENT, SERVER = (PEER, 40356), (SELF, 80)
TCP, UDP, ICMP = 6, 17, 1
FORWARDED, POLICY, DENIED, NO_SERVICE = 0, 133, 181, 158
HOST, WORLD, FRIEND = 1, 2, 300


@pytest.fixture
def guarded(gate: Gate, bpffs: Path) -> Iterator[Wire]:
    """A pod whose policy map decides in both directions; the peer's identity is 300."""
    endpoint = replace(POD, enforce_ingress=True, enforce_egress=True)
    with wire(gate, bpffs, endpoint=endpoint) as opened:
        put_identity(opened, "10.5.224.0/24", FRIEND)
        yield opened


def test_without_enforcement_everything_passes_and_no_rule_is_asked(pod: Wire) -> None:
    put_rule(pod, deny=True)
    assert pod.into(tcp(CLIENT, SERVER, SYN))
    assert rule_counts(pod) == (0, 0)


def test_without_a_rule_nothing_passes_and_nothing_is_tracked(guarded: Wire) -> None:
    assert not guarded.into(tcp(CLIENT, SERVER, SYN))
    assert not guarded.out(tcp(SERVER, CLIENT, SYN))
    assert not guarded.into(udp(CLIENT, (SELF, 53)))
    assert not guarded.into(icmp(PEER, SELF, ECHO, 1))
    assert len(guarded.table("ct4")) == len(guarded.table("ct_any4")) == 0
    assert guarded.metrics()[POLICY, INGRESS][0] == 3
    assert guarded.metrics()[POLICY, EGRESS][0] == 1


RULES = {
    "identity, port and protocol": (FRIEND, 80, TCP),
    "port and protocol": (0, 80, TCP),
    "identity": (FRIEND, 0, 0),
    "anything": (0, 0, 0),
}


@pytest.mark.parametrize(("identity", "port", "protocol"), RULES.values(), ids=RULES.keys())
def test_a_rule_allows_and_counts(guarded: Wire, identity: int, port: int, protocol: int) -> None:
    packet = tcp(CLIENT, SERVER, SYN)
    put_rule(guarded, identity, port, protocol)
    assert guarded.into(packet)
    assert rule_counts(guarded, identity, port, protocol) == (1, len(packet))
    assert guarded.entry()["src_sec_id"] == FRIEND


OTHERS = {
    "another identity": (FRIEND + 1, 80, TCP),
    "another port": (FRIEND, 81, TCP),
    "another protocol": (FRIEND, 80, UDP),
    "a port without a protocol": (FRIEND, 80, 0),
}


@pytest.mark.parametrize(("identity", "port", "protocol"), OTHERS.values(), ids=OTHERS.keys())
def test_a_rule_about_something_else_does_not(
    guarded: Wire, identity: int, port: int, protocol: int
) -> None:
    put_rule(guarded, identity, port, protocol)
    assert not guarded.into(tcp(CLIENT, SERVER, SYN))


def test_a_rule_is_for_one_direction(guarded: Wire) -> None:
    put_rule(guarded, FRIEND, 80, TCP, egress=True)
    assert not guarded.into(tcp(CLIENT, SERVER, SYN))
    assert guarded.out(tcp((SELF, 5000), (PEER, 80), SYN))
    assert not guarded.out(tcp((SELF, 5000), (PEER, 81), SYN))


def test_the_most_specific_rule_decides(guarded: Wire) -> None:
    put_rule(guarded)
    put_rule(guarded, FRIEND, 80, TCP, deny=True)
    assert not guarded.into(tcp(CLIENT, SERVER, SYN))
    assert guarded.into(tcp(CLIENT, (SELF, 81), SYN))
    assert guarded.metrics()[DENIED, INGRESS][0] == 1


def test_answers_pass_without_a_rule(guarded: Wire) -> None:
    put_rule(guarded, FRIEND, 80, TCP)
    assert guarded.into(tcp(CLIENT, SERVER, SYN))
    assert guarded.out(tcp(SERVER, CLIENT, SYN | ACK))
    put_rule(guarded, FRIEND, 0, ICMP)
    assert guarded.into(icmp(PEER, SELF, ECHO, 7))
    assert guarded.out(icmp(SELF, PEER, ECHO_REPLY, 7))


def test_a_server_that_speaks_first_after_a_flush_is_denied_until_its_client_speaks(
    guarded: Wire,
) -> None:
    put_rule(guarded, FRIEND, 80, TCP)
    assert not guarded.out(tcp(SERVER, CLIENT, ACK, b"news"))
    assert guarded.into(tcp(CLIENT, SERVER, ACK, b"hello?"))
    assert guarded.out(tcp(SERVER, CLIENT, ACK, b"news"))


def test_a_rule_withdrawn_stops_the_opener_s_packets_and_not_the_answers(guarded: Wire) -> None:
    put_rule(guarded, FRIEND, 80, TCP)
    guarded.into(tcp(CLIENT, SERVER, SYN))
    put_rule(guarded, FRIEND, 80, TCP, deny=True)
    assert not guarded.into(tcp(CLIENT, SERVER, ACK))
    assert guarded.out(tcp(SERVER, CLIENT, ACK))


def test_errors_about_what_was_allowed_pass(guarded: Wire) -> None:
    put_rule(guarded, FRIEND, 53, UDP, egress=True)
    question = udp((SELF, 5000), (PEER, 53))
    assert guarded.out(question)
    assert guarded.into(icmp_error(PEER, SELF, question))
    assert guarded.into(icmp_error("192.168.7.1", SELF, question))
    assert not guarded.into(icmp_error("192.168.7.1", SELF, udp((SELF, 5001), (PEER, 53))))


def test_the_longest_prefix_tells_the_identity(guarded: Wire) -> None:
    put_identity(guarded, f"{PEER}/32", 400)
    put_rule(guarded, 400, 80, TCP)
    assert guarded.into(tcp(CLIENT, SERVER, SYN))
    assert not guarded.into(tcp(("10.5.224.92", 1), SERVER, SYN))


def test_an_address_nobody_knows_is_the_world(guarded: Wire) -> None:
    put_rule(guarded, WORLD)
    assert guarded.into(tcp(("203.0.113.9", 1), SERVER, SYN))
    assert guarded.entry()["src_sec_id"] == WORLD


def test_the_node_s_own_address_is_the_host(guarded: Wire) -> None:
    put_host(guarded, "10.5.224.90")
    put_rule(guarded, HOST)
    assert guarded.into(tcp(("10.5.224.90", 1), SERVER, SYN))
    assert guarded.entry()["src_sec_id"] == HOST


def test_a_mark_tells_more_than_the_address(guarded: Wire) -> None:
    put_rule(guarded, 77, 80, TCP)
    assert guarded.into(tcp(CLIENT, SERVER, SYN), mark=77 << 16 | 0xF00)
    assert guarded.entry()["src_sec_id"] == 77


def test_ipv6_addresses_have_identities_as_well(guarded: Wire) -> None:
    put_identity(guarded, "fd00:224::/64", FRIEND)
    put_rule(guarded, FRIEND, 80, TCP)
    assert guarded.into(tcp6(("fd00:224::91", 1), ("fd00::5:5", 80), SYN))
    assert not guarded.into(tcp6(("fd00:225::91", 1), ("fd00::5:5", 80), SYN))


def test_a_packet_to_a_service_is_judged_by_its_backend(guarded: Wire) -> None:
    put_service(guarded, 5, ("10.96.0.10", 80), {1: (PEER, 8080)})
    put_rule(guarded, FRIEND, 8080, TCP, egress=True)
    assert guarded.sent(tcp((SELF, 5000), ("10.96.0.10", 80), SYN))
    assert rule_counts(guarded, FRIEND, 8080, TCP, egress=True)[0] == 1
    assert {key[0] for key in guarded.metrics()} == {FORWARDED}
