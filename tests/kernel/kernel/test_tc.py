from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import iproute, netns, tc
from ctconsole.kernel.programs import load_program, program_info
from tests.support.bpf_insns import TC_ACT_OK, TC_ACT_SHOT, returning
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.kernel.gate import Gate

REPLACEMENTS = 200


@pytest.fixture
def pair(gate: Gate) -> Iterator[tuple[str, str]]:
    with connected_pair(gate) as names:
        yield names


@pytest.fixture
def drop_all(gate: Gate) -> Iterator[int]:
    fd = load_program(gate, returning(TC_ACT_SHOT), name="drop_all")
    yield fd
    os.close(fd)


def test_a_filter_is_attached_listed_replaced_and_removed(
    gate: Gate, pair: tuple[str, str], drop_all: int
) -> None:
    left, _ = pair
    index = iproute.get("left0", netns=left).index
    assert tc.filters(index, netns=left) == []
    assert tc.ensure_clsact(gate, index, netns=left)
    assert not tc.ensure_clsact(gate, index, netns=left)
    tc.replace_filter(gate, index, tc.TcHook.INGRESS, drop_all, "from-container", netns=left)
    tc.replace_filter(gate, index, tc.TcHook.EGRESS, drop_all, "to-container", netns=left)
    number = program_info(drop_all).id
    assert tc.filters(index, netns=left) == [
        tc.TcFilter(tc.TcHook.INGRESS, tc.PRIORITY, tc.HANDLE, number, "from-container"),
        tc.TcFilter(tc.TcHook.EGRESS, tc.PRIORITY, tc.HANDLE, number, "to-container"),
    ]
    pass_all = load_program(gate, returning(TC_ACT_OK), name="pass_all")
    tc.replace_filter(gate, index, tc.TcHook.INGRESS, pass_all, "newer", netns=left)
    newer = program_info(pass_all).id
    os.close(pass_all)
    ingress, egress = tc.filters(index, netns=left)
    assert (ingress.prog_id, ingress.name, egress.prog_id) == (newer, "newer", number)
    assert tc.remove_filter(gate, index, tc.TcHook.INGRESS, netns=left)
    assert not tc.remove_filter(gate, index, tc.TcHook.INGRESS, netns=left)
    assert [item.hook for item in tc.filters(index, netns=left)] == [tc.TcHook.EGRESS]


def test_no_packet_slips_through_while_a_filter_is_replaced(
    gate: Gate, pair: tuple[str, str], drop_all: int
) -> None:
    left, right = pair
    index = iproute.get("right0", netns=right).index
    # ARP would be dropped as well, and then nothing would be sent at all.
    mac = iproute.get("right0", netns=right).mac
    iproute.add_neighbour(gate, "left0", "10.77.0.2", mac, netns=left)
    with netns.inside(right):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with netns.inside(left):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind(("10.77.0.2", 0))
        receiver.settimeout(5)
        sender.connect(receiver.getsockname())
        sender.send(b"before")
        assert receiver.recv(16) == b"before"

        other = load_program(gate, returning(TC_ACT_SHOT), name="drop_too")
        tc.ensure_clsact(gate, index, netns=right)
        tc.replace_filter(gate, index, tc.TcHook.INGRESS, drop_all, "drop", netns=right)
        sent = flood_while(
            sender,
            lambda turn: tc.replace_filter(
                gate, index, tc.TcHook.INGRESS, (drop_all, other)[turn % 2], "drop", netns=right
            ),
        )
        os.close(other)
        receiver.settimeout(0)
        with pytest.raises(BlockingIOError):
            receiver.recv(16)
        assert sent > REPLACEMENTS

        tc.remove_filter(gate, index, tc.TcHook.INGRESS, netns=right)
        receiver.settimeout(5)
        sender.send(b"after")
        assert receiver.recv(16) == b"after"


def flood_while(sender: socket.socket, replace: Callable[[int], None]) -> int:
    """Send without pause while ``replace`` runs `REPLACEMENTS` times; how many were sent."""
    stop = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        while not stop.is_set():
            sender.send(b"flood")
            sent += 1

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for turn in range(REPLACEMENTS):
            replace(turn)
    finally:
        stop.set()
        thread.join()
    return sent


def test_a_missing_interface_is_named(gate: Gate) -> None:
    with pytest.raises(BpfError, match="clsact on interface 999999: No such device"):
        tc.ensure_clsact(gate, 999999)
