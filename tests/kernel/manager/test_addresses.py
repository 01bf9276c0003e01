"""Endpoints, identities and policy in real maps."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.endpoints import remove_own_maps, sync_endpoints
from ctconsole.manager.init_maps import init_maps
from ctconsole.manager.ipcache import sync_ipcache
from ctconsole.manager.policy import sync_policy
from ctconsole.manager.rows import read_rows
from ctconsole.model.plane.address_rows import ipcache_rows, lxc_rows
from ctconsole.model.plane.encode import key_of
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.model.plane.policy import parse_rules, policy_of
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

OPTIONS = {
    "bpf-ct-global-tcp-max": "1024",
    "bpf-ct-global-any-max": "1024",
    "preallocate-bpf-maps": "false",
    "conntrack-local": "true",
    "enable-ipv6": "false",
}
POD = Endpoint(
    571, "pod", "lxc00571", 3, "02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1", identity=9
)
HOST = (ip_address("10.0.0.254"),)


@pytest.fixture
def root(gate: Gate, bpffs: Path) -> Path:
    init_maps(gate, AgentConfig.from_options(OPTIONS), bpffs, [POD])
    return bpffs


def test_maps_of_addresses_hold_exactly_what_there_is(gate: Gate, root: Path) -> None:
    for pods in ([POD], []):
        sync_endpoints(gate, root, pods, HOST)
        sync_ipcache(gate, root, pods, HOST)
        assert read_rows(root / GLOBALS / "cilium_lxc") == lxc_rows(pods, HOST)
        assert read_rows(root / GLOBALS / "cilium_ipcache") == ipcache_rows(pods, HOST)


@pytest.mark.parametrize(
    ("address", "identity"), [("10.0.0.1", 9), ("10.0.0.254", 1), ("8.8.8.8", 2)]
)
def test_the_kernel_finds_the_identity_by_longest_prefix(
    gate: Gate, root: Path, address: str, identity: int
) -> None:
    sync_ipcache(gate, root, [POD], HOST)
    whole = key_of("cilium_ipcache", prefixlen=64, family=1, address=ip_address(address).packed)
    with BpfMap.open(root / GLOBALS / "cilium_ipcache") as live:
        found = live.lookup(whole)
    assert found
    assert int.from_bytes(found[:4], "little") == identity


def test_a_rule_that_stays_keeps_its_counters(gate: Gate, root: Path) -> None:
    path = root / GLOBALS / "cilium_policy_00571"
    both = "pod ingress allow identity:9 tcp/80\npod ingress allow identity:9 tcp/81\n"
    sync_policy(gate, root, 571, policy_of(POD, parse_rules(both), [POD]))
    assert len(read_rows(path)) == 2
    kept = key_of(path.name, sec_label=9, dport=80, protocol=6)
    with BpfMap.open(path) as live:
        mapwrite.update(gate, live, kept, bytes(8) + (7).to_bytes(8, "little") + bytes(8))
    one = policy_of(POD, parse_rules(both.splitlines()[0]), [POD])
    sync_policy(gate, root, 571, one)
    rows = read_rows(path)
    assert list(rows) == [kept]
    assert rows[kept][8] == 7


def test_a_deleted_endpoint_takes_its_maps_along(gate: Gate, root: Path) -> None:
    events = remove_own_maps(gate, root, 571)
    left = [path.name for path in (root / GLOBALS).iterdir() if "00571" in path.name]
    assert left == []
    assert len(events) == 3
    assert remove_own_maps(gate, root, 571) == []
