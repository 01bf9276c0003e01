"""Client-side load balancing: packets to a service, answers from its backends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.config import AgentConfig
from ctconsole.kernel import clock, mapwrite
from ctconsole.kernel.maps import BpfMap
from tests.support.packets import ACK, FIN, PSH, RST, SYN, icmp_error, tcp, udp
from tests.support.packets6 import checked, ends, icmp6_error, is_checked, tcp6, udp6
from tests.support.tables import (
    drop,
    put,
    put_maglev,
    put_service,
    service_key,
    value,
)
from tests.support.wire import AFFINITY_SPECS, EGRESS, MAGLEV_SIZE, MAGLEV_SPECS, SPECS, wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from tests.support.packets import Address
    from tests.support.wire import Wire

NO_SERVICE = 158
SERVICE_ID = 0x0102


@dataclass(frozen=True)
class Family:
    """The same scene in one address family."""

    number: int
    pod: str
    vip: Address
    backends: dict[int, Address]
    router: str
    tcp: Callable[..., bytes]
    udp: Callable[..., bytes]
    error: Callable[..., bytes]

    @property
    def first(self) -> Address:
        return next(iter(self.backends.values()))

    def client(self, port: int = 40000) -> Address:
        return (self.pod, port)


V4 = Family(
    4,
    "10.5.5.5",
    ("10.96.0.10", 80),
    {1: ("10.5.7.1", 8080), 2: ("10.5.7.2", 8081), 3: ("10.5.7.3", 80)},
    "192.168.7.1",
    tcp,
    udp,
    icmp_error,
)
V6 = Family(
    6,
    "fd00::5:5",
    ("fd00:96::10", 80),
    {1: ("fd00::7:1", 8080), 2: ("fd00::7:2", 8081), 3: ("fd00::7:3", 80)},
    "fd00::1",
    tcp6,
    udp6,
    icmp6_error,
)


@pytest.fixture(params=[V4, V6], ids=["ipv4", "ipv6"])
def net(request: pytest.FixtureRequest) -> Family:
    family: Family = request.param
    return family


def one_backend(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, {1: net.first})


def sent_to(pod: Wire, packet: bytes) -> Address:
    """Where a packet of the pod's goes in the end."""
    after = pod.sent(packet)
    assert after
    _, _, address, port = ends(after)
    return address, port


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_tcp_packet_goes_to_the_backend_and_its_answer_comes_from_the_service(
    pod: Wire, net: Family, size: int
) -> None:
    one_backend(pod, net)
    out = pod.sent(checked(net.tcp(net.client(), net.vip, PSH | ACK, bytes(size))))
    assert out
    assert ends(out) == (net.pod, 40000, *net.first)
    assert is_checked(out)
    back = pod.received(checked(net.tcp(net.first, net.client(), PSH | ACK, bytes(size))))
    assert back
    assert ends(back) == (*net.vip, net.pod, 40000)
    assert is_checked(back)


def test_a_datagram_is_translated_both_ways(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    out = pod.sent(checked(net.udp(net.client(), net.vip, b"question")))
    back = pod.received(checked(net.udp(net.first, net.client(), b"answer")))
    assert out
    assert back
    assert ends(out) == (net.pod, 40000, *net.first)
    assert ends(back) == (*net.vip, net.pod, 40000)
    assert is_checked(out)
    assert is_checked(back)


def test_a_datagram_without_a_checksum_stays_without(pod: Wire) -> None:
    one_backend(pod, V4)
    out = pod.sent(udp(V4.client(), V4.vip, b"x"))
    assert out
    assert out[14 + 20 + 6 : 14 + 20 + 8] == bytes(2)


def test_its_entries_are_the_service_s_and_the_translated_flow_s(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    table = pod.table(f"ct{net.number}")
    service = table.keys["flags"] == 4
    assert pod.titles(f"ct{net.number}") == {
        f"TCP OUT {net.vip[0]}:80 -> {net.pod}:40000 service",
        f"TCP OUT {net.pod}:40000 -> {net.first[0]}:8080",
    }
    (entry,) = table.values[service]
    assert (entry["backend_id"], entry["rev_nat_index"]) == (1, SERVICE_ID)
    assert (entry["rx_packets"], entry["tx_packets"], entry["tx_bytes"]) == (0, 0, 0)
    assert entry["tx_flags_seen"] == SYN
    (flow,) = table.values[~service]
    assert (flow["tx_packets"], flow["rev_nat_index"]) == (1, SERVICE_ID)


def test_a_service_entry_lives_as_long_as_a_connection(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    assert 58 <= service_life(pod, net, SYN) <= 60
    assert 21598 <= service_life(pod, net, ACK) <= 21600
    assert 8 <= service_life(pod, net, FIN | ACK) <= 10


def service_life(pod: Wire, net: Family, flags: int) -> int:
    """Seconds its SERVICE entry had left after a packet with these flags."""
    pod.sent(net.tcp(net.client(), net.vip, flags))
    table = pod.table(f"ct{net.number}")
    (row,) = np.flatnonzero(table.keys["flags"] == 4)
    return int(table.values["lifetime"][row]) - pod.at


def change_service(pod: Wire, net: Family, **fields: int) -> None:
    """Write fields of the only SERVICE entry, as if time had passed."""
    table = pod.table(f"ct{net.number}")
    (row,) = np.flatnonzero(table.keys["flags"] == 4)
    content = table.values[row : row + 1].copy()
    for name, number in fields.items():
        content[name] = number
    put(pod, f"cilium_ct{net.number}_global", table.keys[row].tobytes(), content.tobytes())


def test_a_flow_keeps_its_backend(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, net.backends)
    first = sent_to(pod, net.tcp(net.client(), net.vip, SYN))
    again = {sent_to(pod, net.tcp(net.client(), net.vip, ACK)) for _ in range(20)}
    assert again == {first}


def test_new_flows_are_spread_at_random(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, net.backends)
    chosen = Counter(
        sent_to(pod, net.tcp(net.client(port), net.vip, SYN)) for port in range(2000, 2300)
    )
    assert set(chosen) == set(net.backends.values())
    assert min(chosen.values()) > 50


@pytest.mark.parametrize(("quiet", "anew"), [(10, False), (70, True)])
def test_a_port_used_again_soon_goes_to_the_same_backend_and_later_to_any(
    pod: Wire, net: Family, quiet: int, *, anew: bool
) -> None:
    put_service(pod, SERVICE_ID, net.vip, net.backends)
    first = sent_to(pod, net.tcp(net.client(), net.vip, SYN))
    seen = set()
    for _ in range(30):
        pod.sent(net.tcp(net.client(), net.vip, RST))
        change_service(pod, net, last_tx_report=clock.ktime() - quiet)
        seen.add(sent_to(pod, net.tcp(net.client(), net.vip, SYN)))
    assert (seen == {first}) is not anew


def test_a_backend_that_is_gone_is_replaced(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, {1: net.backends[1]})
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    put_service(pod, SERVICE_ID, net.vip, {2: net.backends[2]})
    drop(pod, f"cilium_lb{net.number}_backends", b"\x01\0")
    assert sent_to(pod, net.tcp(net.client(), net.vip, ACK)) == net.backends[2]
    table = pod.table(f"ct{net.number}")
    assert table.values["backend_id"][table.keys["flags"] == 4] == [2]


def test_an_entry_of_another_service_s_is_not_trusted(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, {1: net.backends[1]})
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    put_service(pod, SERVICE_ID + 1, net.vip, {2: net.backends[2]})
    assert sent_to(pod, net.tcp(net.client(), net.vip, ACK)) == net.backends[2]


def test_without_a_backend_the_packet_is_dropped(pod: Wire, net: Family) -> None:
    put_service(pod, SERVICE_ID, net.vip, {})
    assert pod.sent(net.tcp(net.client(), net.vip, SYN)) is None
    assert pod.metrics()[NO_SERVICE, EGRESS][0] == 1
    assert len(pod.table(f"ct{net.number}")) == 0


def test_a_slot_without_its_backend_drops_the_packet(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    drop(pod, f"cilium_lb{net.number}_backends", b"\x01\0")
    assert pod.sent(net.tcp(net.client(), net.vip, SYN)) is None
    assert pod.metrics()[NO_SERVICE, EGRESS][0] == 1


def test_other_ports_of_the_address_are_no_service(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    assert sent_to(pod, net.tcp(net.client(), (net.vip[0], 81), SYN)) == (net.vip[0], 81)


def test_answers_of_a_service_that_is_gone_stay_as_they_are(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    drop(pod, f"cilium_lb{net.number}_reverse_nat", SERVICE_ID.to_bytes(2, "big"))
    answer = net.tcp(net.first, net.client(), SYN | ACK)
    assert pod.received(answer) == answer


def test_a_flushed_connection_to_one_backend_comes_back(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    flush(pod, net)
    assert sent_to(pod, net.tcp(net.client(), net.vip, PSH | ACK, b"x")) == net.first
    back = pod.received(net.tcp(net.first, net.client(), ACK))
    assert back
    assert ends(back)[:2] == net.vip


def flush(pod: Wire, net: Family) -> None:
    """Empty both conntrack tables of a family."""
    for name in (f"cilium_ct{net.number}_global", f"cilium_ct_any{net.number}_global"):
        with BpfMap.open(pod.maps[name]) as live:
            mapwrite.delete_batch(pod.gate, live, live.read().keys)


@pytest.mark.parametrize("router", [True, False], ids=["of a router", "of the backend"])
def test_an_error_about_a_translated_packet_quotes_what_the_pod_had_sent(
    pod: Wire, net: Family, *, router: bool
) -> None:
    one_backend(pod, net)
    sent = checked(net.udp(net.client(), net.vip, b"x" * 20))
    out = pod.sent(sent)
    assert out
    before = pod.titles(f"ct_any{net.number}")
    source = net.router if router else net.first[0]
    error = pod.received(checked(net.error(source, net.pod, out)))
    assert error
    assert is_checked(error)
    header = 20 if net.number == 4 else 40
    quoted = error[14 + header + 8 :]
    assert ends(sent[:14] + quoted) == (net.pod, 40000, *net.vip)
    # All of the quoted IP header is as the pod made it, its checksum with it.
    assert quoted[:header] == sent[14 : 14 + header]
    assert pod.titles(f"ct_any{net.number}") == before


def test_an_error_about_another_packet_is_left_alone(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    sent = checked(net.udp(net.client(), ("10.5.9.9" if net.number == 4 else "fd00::9", 53), b"x"))
    pod.sent(sent)
    assert pod.into(checked(net.error(net.router, net.pod, sent)))


def test_maglev_chooses_by_the_flow_and_chooses_again_alike(
    gate: Gate, bpffs: Path, net: Family
) -> None:
    config = AgentConfig().with_options(
        {"bpf-lb-algorithm": "maglev", "bpf-lb-maglev-table-size": str(MAGLEV_SIZE)}
    )
    with wire(gate, bpffs, config=config, specs=SPECS + MAGLEV_SPECS) as pod:
        put_service(pod, SERVICE_ID, net.vip, net.backends)
        put_maglev(pod, net.number, SERVICE_ID, [1 + slot % 3 for slot in range(MAGLEV_SIZE)])
        flows = [net.tcp(net.client(port), net.vip, SYN) for port in range(2000, 2300)]
        chosen = [sent_to(pod, packet) for packet in flows]
        flush(pod, net)
        assert [sent_to(pod, packet) for packet in flows] == chosen
        counts = Counter(chosen)
        assert set(counts) == set(net.backends.values())
        assert min(counts.values()) > 50


def test_maglev_without_a_table_has_no_backend(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig().with_options(
        {"bpf-lb-algorithm": "maglev", "bpf-lb-maglev-table-size": str(MAGLEV_SIZE)}
    )
    with wire(gate, bpffs, config=config, specs=SPECS + MAGLEV_SPECS) as pod:
        one_backend(pod, V4)
        assert pod.sent(tcp(V4.client(), V4.vip, SYN)) is None
        assert pod.metrics()[NO_SERVICE, EGRESS][0] == 1


def test_a_client_with_affinity_keeps_its_backend_for_new_flows(
    gate: Gate, bpffs: Path, net: Family
) -> None:
    config = AgentConfig().with_options({"enable-session-affinity": "true"})
    with wire(gate, bpffs, config=config, specs=SPECS + AFFINITY_SPECS) as pod:
        put_service(pod, SERVICE_ID, net.vip, net.backends, affinity=100)
        chosen = {
            sent_to(pod, net.tcp(net.client(port), net.vip, SYN)) for port in range(2000, 2050)
        }
        assert len(chosen) == 1
        flush(pod, net)
        assert sent_to(pod, net.tcp(net.client(2000), net.vip, ACK)) in chosen


@pytest.mark.parametrize("ended", ["by time", "by the backend's removal"])
def test_affinity_ends(gate: Gate, bpffs: Path, net: Family, ended: str) -> None:
    config = AgentConfig().with_options({"enable-session-affinity": "true"})
    with wire(gate, bpffs, config=config, specs=SPECS + AFFINITY_SPECS) as pod:
        put_service(pod, SERVICE_ID, net.vip, net.backends, affinity=100)
        seen = set()
        for port in range(2000, 2040):
            seen.add(sent_to(pod, net.tcp(net.client(port), net.vip, SYN)))
            with BpfMap.open(pod.maps[f"cilium_lb{net.number}_affinity"]) as live:
                dump = live.read()
            ((last, backend),) = np.ascontiguousarray(dump.values).view("<u8").tolist()
            assert pod.at - last <= 1
            if ended == "by time":
                aged = (last - 101).to_bytes(8, "little") + backend.to_bytes(8, "little")
                put(pod, f"cilium_lb{net.number}_affinity", dump.keys[0].tobytes(), aged)
            else:
                match = backend.to_bytes(4, "little") + SERVICE_ID.to_bytes(2, "big") + bytes(2)
                drop(pod, "cilium_lb_affinity_match", match)
        assert len(seen) > 1


def test_packets_to_a_service_that_was_removed_pass_as_they_are(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    services = f"cilium_lb{net.number}_services_v2"
    assert value(pod, services, service_key(net.vip, 0))
    assert drop(pod, services, service_key(net.vip, 0))
    assert sent_to(pod, net.tcp(net.client(), net.vip, SYN)) == net.vip


def test_a_second_service_on_the_same_backend_takes_the_flow_over(pod: Wire, net: Family) -> None:
    one_backend(pod, net)
    other = (net.vip[0], 8888)
    put_service(pod, SERVICE_ID + 1, other, {1: net.first})
    pod.sent(net.tcp(net.client(), net.vip, SYN))
    pod.sent(net.tcp(net.client(), other, SYN))
    back = pod.received(net.tcp(net.first, net.client(), SYN | ACK))
    assert back
    assert ends(back)[:2] == other
