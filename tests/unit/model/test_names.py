"""Names of addresses, identities and services."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import replace

import numpy as np
import pytest

from ctconsole.model.ct.tops import Top
from ctconsole.model.names import Names, names_of_agent, names_of_maps
from ctconsole.model.readers.agentjson import ApiEndpoint, ApiService
from tests.support.record_maps import table

IPCACHE = table(
    "cilium_ipcache_v2",
    {"prefixlen": 32, "family": 1, "sec_label": 2},
    {"prefixlen": 56, "family": 1, "address": "10.1.2.0", "sec_label": 5000},
    {"prefixlen": 64, "family": 1, "address": "10.1.2.3", "sec_label": 304},
    {"prefixlen": 160, "family": 2, "address": "fd00::7", "sec_label": 305},
    {"prefixlen": 64, "family": 1, "address": "10.1.2.4", "sec_label": 9, "cluster_id": 3},
)
LXC = table(
    "cilium_lxc",
    {"address": "10.1.2.3", "family": 1, "lxc_id": 75},
    {"address": "10.1.2.1", "family": 1, "flags": 1},
    {"address": "fd00::7", "family": 2, "lxc_id": 76},
)
SERVICES = table(
    "cilium_lb4_services_v2",
    {"address": "10.96.0.10", "dport": 80, "proto": 6, "rev_nat_index": 258},
    {"address": "10.96.0.10", "dport": 80, "rev_nat_index": 7, "backend_slot": 1},
)
REVERSE = table(
    "cilium_lb6_reverse_nat",
    {"id": 3, "address": "fd00::96", "port": 443},
    {"id": 258, "address": "fd00::1", "port": 1},
)
MAPS = names_of_maps([REVERSE, SERVICES, LXC, IPCACHE])


def raw(*texts: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    packed = [ipaddress.ip_address(text).packed for text in texts]
    return np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), -1)


def test_the_longest_prefix_wins() -> None:
    found = MAPS.identities_of(raw("10.1.2.3", "10.1.2.99", "8.8.8.8", "10.1.2.4"))
    assert found.tolist() == [304, 5000, 2, 5000]
    assert MAPS.identities_of(raw("fd00::7", "fd00::8")).tolist() == [305, 0]


def test_an_address_is_called_after_its_endpoint_then_its_identity() -> None:
    assert MAPS.addresses(raw("10.1.2.3", "10.1.2.1", "10.1.2.99", "8.8.8.8", "10.1.2.3")) == [
        "endpoint 75",
        "host",
        "identity 5000",
        "reserved:world",
        "endpoint 75",
    ]
    assert MAPS.addresses(raw("fd00::7", "fd00::8")) == ["endpoint 76", ""]


def test_services_are_called_after_their_frontend_else_their_reverse_nat() -> None:
    assert (MAPS.service(258), MAPS.service(3), MAPS.service(7)) == (
        "10.96.0.10:80/TCP",
        "[fd00::96]:443",
        "",
    )


def test_what_the_agent_says_wins_and_the_rest_stays() -> None:
    agent = names_of_agent(
        [ApiEndpoint(75, "shop/web-1", ("10.1.2.3", "no address"), 304, ("k8s:app=web",), "ready")],
        {5000: ("k8s:app=db", "k8s:ns=shop")},
        [ApiService(258, "shop/web", "10.96.0.10", 80, "TCP", "ClusterIP", ())],
    )
    names = MAPS.merged(agent)
    assert names.addresses(raw("10.1.2.3", "10.1.2.99", "10.1.2.1")) == [
        "shop/web-1",
        "k8s:app=db,k8s:ns=shop",
        "host",
    ]
    assert (names.identity(304), names.identity(1), names.identity(99)) == (
        "k8s:app=web",
        "reserved:host",
        "",
    )
    assert (names.service(258), names.service(3)) == ("shop/web", "[fd00::96]:443")


def test_nothing_known_is_nothing_said() -> None:
    assert Names().addresses(raw("10.0.0.1")) == [""]
    assert Names().addresses(np.empty((0, 4), np.uint8)) == []


@pytest.mark.parametrize("bits", [0, 1, 7, 8, 24, 31, 32])
def test_every_prefix_length(bits: int) -> None:
    entry = {"prefixlen": 32 + bits, "family": 1, "address": "170.170.170.170", "sec_label": 77}
    names = names_of_maps([table("cilium_ipcache", entry)])
    other = int.from_bytes(ipaddress.ip_address("170.170.170.170").packed, "big")
    outside = other ^ (1 << (32 - bits)) if bits else other
    found = names.identities_of(raw("170.170.170.170", str(ipaddress.ip_address(outside))))
    assert found.tolist() == [77, 0 if bits else 77]


def test_many_rows_are_resolved_at_once() -> None:
    random = np.random.default_rng(1)
    rows = random.integers(0, 256, (100_000, 4), "u1")
    started = time.process_time()
    assert len(MAPS.addresses(rows)) == 100_000
    assert time.process_time() - started < 2


def test_who_fills_a_table_is_called_by_address_and_a_service_by_its_number() -> None:
    address = bytes([10, 0, 0, 7])
    top = Top(address, 80, 6, 5, entries=3, alive=3, unanswered=0, bytes=0)
    known = Names(endpoints={address: "shop/web-1"}, services={5: "shop/web"})
    assert known.top(top) == "shop/web-1"
    assert known.top(top, service=True) == "shop/web"
    assert known.top(replace(top, rev_nat_index=6), service=True) == "shop/web-1"
    assert not Names().top(top, service=True)


def test_a_node_port_is_named_as_one() -> None:
    port = {"dport": 30_000, "proto": 17, "rev_nat_index": 9, "flags": 0x42}
    host = port | {"dport": 8080, "rev_nat_index": 8, "flags": 0x08}
    names = names_of_maps([table("cilium_lb4_services_v2", port, host)])
    assert names.service(9) == "NodePort:30000/UDP"
    assert names.service(8) == "0.0.0.0:8080/UDP"
