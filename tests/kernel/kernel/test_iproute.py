from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import iproute, netns
from tests.support.namespaces import connected_pair, namespace

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate


def test_a_veth_has_one_end_in_each_namespace(gate: Gate) -> None:
    with namespace(gate, "a") as first, namespace(gate, "b") as second:
        iproute.add_veth(
            gate,
            "lxc00010",
            "eth0",
            netns=first,
            peer_netns=second,
            mac="02:00:00:00:00:01",
            peer_mac="02:00:00:00:00:02",
            mtu=1400,
        )
        host, pod = iproute.get("lxc00010", netns=first), iproute.get("eth0", netns=second)
        assert (host.mac, pod.mac) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
        assert (host.mtu, pod.mtu, host.kind) == (1400, 1400, "veth")
        assert (host.peer_index, pod.peer_index) == (pod.index, host.index)
        assert not host.up
        assert iproute.delete(gate, "lxc00010", netns=first)
        assert iproute.find("eth0", netns=second) is None
        assert not iproute.delete(gate, "lxc00010", netns=first)


def test_packets_cross_routes_and_fixed_neighbours(gate: Gate) -> None:
    with connected_pair(gate) as (left, right):
        iproute.add_address(gate, "lo", "10.78.0.1/32", netns=right)
        iproute.add_route(gate, "10.78.0.0/24", via="10.77.0.2", netns=left)
        mac = iproute.get("right0", netns=right).mac
        iproute.add_neighbour(gate, "left0", "10.77.0.2", mac, netns=left)
        with netns.inside(right):
            server = socket.create_server(("10.78.0.1", 0))
        with server, netns.inside(left):
            socket.create_connection(server.getsockname(), timeout=5).close()


def test_ipv6_works_without_waiting_for_duplicate_detection(gate: Gate) -> None:
    with connected_pair(gate) as (left, right):
        iproute.add_address(gate, "left0", "fd77::1/64", netns=left)
        iproute.add_address(gate, "right0", "fd77::2/64", netns=right)
        iproute.add_route(gate, "default", via="fd77::2", netns=left)
        with netns.inside(right):
            server = socket.create_server(("fd77::2", 0), family=socket.AF_INET6)
        with server, netns.inside(left):
            socket.create_connection(server.getsockname()[:2], timeout=5).close()


def test_a_taken_name_and_a_missing_link_are_named(gate: Gate) -> None:
    with connected_pair(gate) as (left, right):
        with pytest.raises(BpfError, match=f"left0 in {left} and x0 in {right}: File exists"):
            iproute.add_veth(gate, "left0", "x0", netns=left, peer_netns=right)
        with pytest.raises(BpfError, match=f"nope in {left}: No such device"):
            iproute.set_up(gate, "nope", netns=left)


async def test_links_can_be_read_from_a_coroutine() -> None:
    async def lo() -> iproute.Link:
        return iproute.get("lo")

    assert (await asyncio.gather(lo(), lo()))[1].name == "lo"


def test_every_address_is_listed_once_whatever_its_family(gate: Gate) -> None:
    with namespace(gate, "a") as space:
        for address in ("10.77.0.1/24", "10.77.0.9/32", "fd77::1/64"):
            iproute.add_address(gate, "lo", address, netns=space)
        found = {str(ip) for ip in iproute.addresses(netns=space) if not ip.is_loopback}
    assert found == {"10.77.0.1", "10.77.0.9", "fd77::1"}
