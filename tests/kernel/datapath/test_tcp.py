from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import clock
from ctconsole.kernel.programs import run_program
from ctconsole.kernel.tc import TcHook
from ctconsole.model.ct.layout import CtFlag
from tests.support.packets import ACK, FIN, PSH, RST, SYN, tcp
from tests.support.wire import INGRESS

if TYPE_CHECKING:
    from tests.support.wire import Wire

CLIENT, SERVER = ("10.5.224.91", 40356), ("10.5.5.5", 80)
CLOSING = CtFlag.RX_CLOSING | CtFlag.TX_CLOSING


def open_inbound(pod: Wire) -> None:
    assert pod.into(tcp(CLIENT, SERVER, SYN))
    assert pod.out(tcp(SERVER, CLIENT, SYN | ACK))
    assert pod.into(tcp(CLIENT, SERVER, ACK))


def test_a_syn_to_the_pod_makes_an_in_entry_and_its_companion_for_errors(pod: Wire) -> None:
    packet = tcp(CLIENT, SERVER, SYN)
    assert pod.into(packet)
    assert pod.titles() == {"TCP IN 10.5.224.91:40356 -> 10.5.5.5:80"}
    assert pod.titles("ct_any4") == {"ICMP IN 10.5.224.91:0 -> 10.5.5.5:0 related"}
    entry = pod.entry()
    assert entry["rx_packets"] == 1
    assert entry["rx_bytes"] == len(packet)
    assert entry["tx_packets"] == entry["tx_bytes"] == entry["tx_flags_seen"] == 0
    assert entry["rx_flags_seen"] == SYN
    assert entry["flags"] == 0
    assert entry["last_rx_report"] in {pod.at, pod.at - 1}
    assert entry["last_tx_report"] == 0
    assert 58 <= pod.lives() <= 60
    companion = pod.entry("ct_any4", related=True)
    assert companion["flags"] == CtFlag.SEEN_NON_SYN
    assert companion["lifetime"] == entry["lifetime"]


def test_the_other_end_answers_into_the_same_entry(pod: Wire) -> None:
    syn, answer, data = (
        tcp(SERVER, CLIENT, SYN),
        tcp(CLIENT, SERVER, SYN | ACK),
        tcp(SERVER, CLIENT, PSH | ACK, b"x" * 100),
    )
    assert pod.out(syn)
    assert pod.into(answer)
    assert 58 <= pod.lives() <= 60
    assert pod.out(data)
    assert pod.titles() == {"TCP OUT 10.5.5.5:80 -> 10.5.224.91:40356"}
    entry = pod.entry()
    assert (entry["tx_packets"], entry["tx_bytes"]) == (2, len(syn) + len(data))
    assert (entry["rx_packets"], entry["rx_bytes"]) == (1, len(answer))
    assert (entry["rx_flags_seen"], entry["tx_flags_seen"]) == (SYN, SYN)
    assert entry["flags"] == CtFlag.SEEN_NON_SYN
    assert 21598 <= pod.lives() <= 21600


def test_fins_of_both_sides_close_an_entry_for_ten_seconds(pod: Wire) -> None:
    open_inbound(pod)
    pod.into(tcp(CLIENT, SERVER, FIN | ACK))
    assert pod.entry()["flags"] == CtFlag.RX_CLOSING | CtFlag.SEEN_NON_SYN
    assert pod.lives() > 21000
    pod.out(tcp(SERVER, CLIENT, FIN | ACK))
    assert pod.entry()["flags"] == CLOSING | CtFlag.SEEN_NON_SYN
    assert 8 <= pod.lives() <= 10
    assert (pod.entry()["rx_flags_seen"], pod.entry()["tx_flags_seen"]) == (SYN | FIN, SYN | FIN)


def test_a_last_acknowledgement_does_not_prolong_a_closed_entry(pod: Wire) -> None:
    open_inbound(pod)
    pod.into(tcp(CLIENT, SERVER, FIN | ACK))
    pod.out(tcp(SERVER, CLIENT, FIN | ACK))
    ends = clock.ktime() + 3
    pod.change(lifetime=ends)
    packets = int(pod.entry()["rx_packets"])
    assert pod.into(tcp(CLIENT, SERVER, ACK))
    assert pod.entry()["lifetime"] == ends
    assert pod.entry()["rx_packets"] == packets + 1


def test_a_reset_of_an_established_connection_closes_its_side(pod: Wire) -> None:
    open_inbound(pod)
    pod.out(tcp(SERVER, CLIENT, RST))
    assert pod.entry()["flags"] == CtFlag.TX_CLOSING | CtFlag.SEEN_NON_SYN
    assert pod.lives() > 21000


def test_a_reset_without_both_syns_closes_both_sides(pod: Wire) -> None:
    pod.into(tcp(CLIENT, SERVER, SYN))
    pod.out(tcp(SERVER, CLIENT, RST | ACK))
    assert pod.entry()["flags"] & CLOSING == CLOSING
    assert 8 <= pod.lives() <= 10


@pytest.mark.parametrize("closers", [1, 2], ids=["half closed", "closed"])
def test_a_syn_on_a_closing_entry_reopens_it(pod: Wire, closers: int) -> None:
    open_inbound(pod)
    pod.into(tcp(CLIENT, SERVER, FIN | ACK))
    if closers > 1:
        pod.out(tcp(SERVER, CLIENT, FIN | ACK))
    before = int(pod.entry()["rx_packets"])
    assert pod.into(tcp(CLIENT, SERVER, SYN))
    entry = pod.entry()
    assert entry["flags"] == 0
    assert (entry["rx_flags_seen"], entry["tx_flags_seen"]) == (SYN, 0)
    assert entry["rx_packets"] == before + 1
    assert 58 <= pod.lives() <= 60


def test_a_syn_on_a_living_entry_leaves_it_as_it_is(pod: Wire) -> None:
    open_inbound(pod)
    pod.into(tcp(CLIENT, SERVER, SYN))
    assert pod.entry()["flags"] == CtFlag.SEEN_NON_SYN


def test_a_connection_comes_back_in_the_middle_of_its_stream(pod: Wire) -> None:
    data = tcp(CLIENT, SERVER, PSH | ACK, b"aaaaa\r\n")
    assert pod.into(data)
    assert pod.entry()["rx_flags_seen"] == SYN
    assert pod.entry()["flags"] == 0
    assert 58 <= pod.lives() <= 60
    assert pod.out(tcp(SERVER, CLIENT, ACK))
    assert pod.titles() == {"TCP IN 10.5.224.91:40356 -> 10.5.5.5:80"}
    assert pod.entry()["tx_flags_seen"] == 0
    assert 21598 <= pod.lives() <= 21600


def test_a_server_that_speaks_first_turns_the_entry_around(pod: Wire) -> None:
    assert pod.out(tcp(SERVER, CLIENT, PSH | ACK, b"x"))
    assert pod.titles() == {"TCP OUT 10.5.5.5:80 -> 10.5.224.91:40356"}


def test_reports_are_written_again_only_after_the_interval(pod: Wire) -> None:
    open_inbound(pod)
    recent, old = clock.ktime() - 3, clock.ktime() - 6
    pod.change(last_rx_report=recent)
    pod.into(tcp(CLIENT, SERVER, ACK))
    assert pod.entry()["last_rx_report"] == recent
    pod.change(last_rx_report=old)
    pod.into(tcp(CLIENT, SERVER, ACK))
    assert pod.entry()["last_rx_report"] >= pod.at - 1


def test_a_new_flag_is_reported_at_once(pod: Wire) -> None:
    open_inbound(pod)
    pod.change(last_rx_report=clock.ktime() - 3)
    pod.into(tcp(CLIENT, SERVER, FIN | ACK))
    assert pod.entry()["last_rx_report"] >= pod.at - 1
    assert pod.entry()["rx_flags_seen"] == SYN | FIN


def test_packets_of_all_processors_are_counted(pod: Wire) -> None:
    data, repeat = tcp(CLIENT, SERVER, ACK, b"x"), 50_000
    assert pod.into(data)
    fd = pod.programs.on(TcHook.EGRESS).fd
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run_program(fd, data, repeat=repeat), range(4)))
    packets = 1 + 4 * repeat
    assert pod.entry()["rx_packets"] == packets
    assert pod.entry()["rx_bytes"] == packets * len(data)
    assert pod.metrics()[0, INGRESS] == (packets, packets * len(data))
