"""The lab's network: one node with two pods and a second node, each a network namespace.

::

    node2  eth0 10.5.224.91 ──── 10.5.224.90 eth0  node  lxc00571 ──── eth0 10.5.5.5  server
                                                         lxc01955 ──── eth0 10.5.5.6  client

The addresses are the article's where it gives some. A pod is wired as Cilium wires one: its
address is a /32, its only neighbour is the node, and every address is known beforehand, so that
no ARP packet is needed. Every veth is made inside the namespaces it connects.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, NoSuchMapError
from ctconsole.kernel import links, netns
from ctconsole.lab.names import namespace
from ctconsole.model.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.kernel.gate import Gate

NODE, NODE2, SERVER, CLIENT = "node", "node2", "server", "client"

ROLES = (NODE, NODE2, SERVER, CLIENT)
"""The lab's hosts; each is a namespace (`ctconsole.lab.names.namespace`)."""

NODE_IPV4 = "10.5.224.90"
NODE2_IPV4 = "10.5.224.91"
GATEWAY_IPV4 = "10.5.5.1"
POD_CIDR = "10.5.5.0/24"

NODE_MAC = "02:00:0a:05:e0:5a"
NODE2_MAC = "02:00:0a:05:e0:5b"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod to be wired up; the addresses are all decided beforehand.

    Attributes:
        role: its host name and namespace.
        id: endpoint id.
        ipv4: its address.
        mac: link address of its ``eth0``.
        node_mac: link address of the node's end.
        identity: security identity.
    """

    role: str
    id: int
    ipv4: str
    mac: str
    node_mac: str
    identity: int

    @property
    def ifname(self) -> str:
        """The node's end of the veth."""
        return f"lxc{self.id:05}"


PODS = (
    Pod(SERVER, 571, "10.5.5.5", "02:00:0a:05:05:05", "02:01:0a:05:05:05", 20571),
    Pod(CLIENT, 1955, "10.5.5.6", "02:00:0a:05:05:06", "02:01:0a:05:05:06", 21955),
)

SERVER_IPV4 = PODS[0].ipv4

# Every one of these belongs to the namespace it is set in.
_SYSCTLS = {
    "ipv4.conf.all.rp_filter": "0",
    "ipv4.conf.default.rp_filter": "0",
    # Traffic uses a source port for each connection, and soon again.
    "ipv4.ip_local_port_range": "1024 65535",
    "ipv4.tcp_tw_reuse": "1",
    "ipv4.ping_group_range": "0 2147483647",
    "core.somaxconn": "4096",
    # Without it every interface sends router solicitations and the like for a while.
    "ipv6.conf.all.disable_ipv6": "1",
    "ipv6.conf.default.disable_ipv6": "1",
}

_NODE_SYSCTLS = {"ipv4.ip_forward": "1", "ipv4.conf.all.send_redirects": "0"}


def build(gate: Gate, lab: str) -> list[Endpoint]:
    """Make the namespaces and wire them up.

    Returns:
        the pods as the datapath sees them.

    Raises:
        BpfError: a namespace of that name exists (EEXIST).
        DeniedError: without CAP_SYS_ADMIN or CAP_NET_ADMIN.
    """
    names = {role: namespace(lab, role) for role in ROLES}
    for name in names.values():
        netns.create(gate, name)
        _set_sysctls(gate, name, _SYSCTLS)
    _set_sysctls(gate, names[NODE], _NODE_SYSCTLS)
    _wire_nodes(gate, names)
    links.add_address(gate, "lo", f"{GATEWAY_IPV4}/32", netns=names[NODE])
    return [_wire_pod(gate, names, pod) for pod in PODS]


def destroy(gate: Gate, lab: str) -> None:
    """Remove the namespaces; those that are not there are no error.

    The links go first: a namespace is freed later by the kernel, a link at once, and with it the
    filters and programs on it.
    """
    present = [name for role in ROLES if netns.exists(name := namespace(lab, role))]
    for name in present:
        # A name whose maker was killed half-way is a plain file with no namespace behind it.
        with suppress(BpfError):
            for link in links.links(netns=name):
                if link.kind == "veth":
                    links.delete(gate, link.name, netns=name)
    for name in present:
        netns.delete(gate, name)


def _wire_nodes(gate: Gate, names: Mapping[str, str]) -> None:
    node, node2 = names[NODE], names[NODE2]
    links.add_veth(
        gate, "eth0", "eth0", netns=node, peer_netns=node2, mac=NODE_MAC, peer_mac=NODE2_MAC
    )
    for name, address in ((node, NODE_IPV4), (node2, NODE2_IPV4)):
        links.add_address(gate, "eth0", f"{address}/24", netns=name)
        links.set_up(gate, "eth0", netns=name)
    links.add_neighbour(gate, "eth0", NODE2_IPV4, NODE2_MAC, netns=node)
    links.add_neighbour(gate, "eth0", NODE_IPV4, NODE_MAC, netns=node2)
    links.add_route(gate, POD_CIDR, device="eth0", via=NODE_IPV4, netns=node2)


def _wire_pod(gate: Gate, names: Mapping[str, str], pod: Pod) -> Endpoint:
    node, inside = names[NODE], names[pod.role]
    links.add_veth(
        gate,
        pod.ifname,
        "eth0",
        netns=node,
        peer_netns=inside,
        mac=pod.node_mac,
        peer_mac=pod.mac,
    )
    links.add_address(gate, "eth0", f"{pod.ipv4}/32", netns=inside)
    links.set_up(gate, "eth0", netns=inside)
    links.set_up(gate, pod.ifname, netns=node)
    links.add_neighbour(gate, "eth0", GATEWAY_IPV4, pod.node_mac, netns=inside)
    links.add_route(gate, f"{GATEWAY_IPV4}/32", device="eth0", netns=inside)
    links.add_route(gate, "default", device="eth0", via=GATEWAY_IPV4, netns=inside)
    links.add_neighbour(gate, pod.ifname, pod.ipv4, pod.mac, netns=node)
    links.add_route(gate, f"{pod.ipv4}/32", device=pod.ifname, netns=node)
    return Endpoint(
        id=pod.id,
        name=pod.role,
        ifname=pod.ifname,
        ifindex=links.get(pod.ifname, netns=node).index,
        mac=pod.mac,
        node_mac=pod.node_mac,
        ipv4=pod.ipv4,
        identity=pod.identity,
        labels=(f"app={pod.role}",),
    )


def _set_sysctls(gate: Gate, name: str, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        with suppress(NoSuchMapError):  # a kernel built without IPv6 has none of its settings
            netns.set_sysctl(gate, name, key, value)
