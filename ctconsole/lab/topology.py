"""The lab's network: a node with two pods, a second node and a host outside, each a namespace.

::

    node2    eth0 10.5.224.91 ──── 10.5.224.90 eth0  node  lxc00571 ──── eth0 10.5.5.5  server
    outside  eth0 203.0.113.9 ──── 203.0.113.90 ext0       lxc01955 ──── eth0 10.5.5.6  client

Each has an IPv6 address as well (``fd05:e0::5b``, ``fd05:5::5``, ...). The second node knows the
way to the pods, as nodes of a cluster do; the host outside knows the node only, so that it can
answer a pod only where the node puts its own address on what the pod sends.

The addresses are the article's where it gives some. A pod is wired as Cilium wires one: its
address is a /32, its only neighbour is the node, and every address is known beforehand, so that
no ARP packet is needed. Every veth is made inside the namespaces it connects.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, GoneError
from ctconsole.kernel import iproute, netns
from ctconsole.lab.names import namespace
from ctconsole.model.plane.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctconsole.kernel.gate import Gate

NODE, NODE2, SERVER, CLIENT, OUTSIDE = "node", "node2", "server", "client", "outside"

ROLES = (NODE, NODE2, SERVER, CLIENT, OUTSIDE)
"""The hosts every lab has; each is a namespace (`ctconsole.lab.names.namespace`)."""

NODE_IPV4, NODE_IPV6 = "10.5.224.90", "fd05:e0::5a"
NODE2_IPV4, NODE2_IPV6 = "10.5.224.91", "fd05:e0::5b"
GATEWAY_IPV4, GATEWAY_IPV6 = "10.5.5.1", "fd05:5::1"
POD_CIDR, POD_CIDR6 = "10.5.5.0/24", "fd05:5::/64"

UPLINK = "ext0"
"""The node's interface towards the world outside the cluster."""

UPLINK_IPV4, UPLINK_IPV6 = "203.0.113.90", "2001:db8:113::90"
OUTSIDE_IPV4, OUTSIDE_IPV6 = "203.0.113.9", "2001:db8:113::9"

NODE_MAC = "02:00:0a:05:e0:5a"
NODE2_MAC = "02:00:0a:05:e0:5b"
UPLINK_MAC = "02:00:cb:00:71:5a"
OUTSIDE_MAC = "02:00:cb:00:71:09"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod to be wired up; the addresses are all decided beforehand.

    Attributes:
        role: its host name and namespace.
        id: endpoint id.
        ipv4: its address.
        ipv6: its other address.
        mac: link address of its ``eth0``.
        node_mac: link address of the node's end.
        identity: security identity.
    """

    role: str
    id: int
    ipv4: str
    ipv6: str
    mac: str
    node_mac: str
    identity: int

    @classmethod
    def numbered(cls, role: str, endpoint_id: int, host: int, identity: int) -> Pod:
        """A pod with the addresses that follow from its ``host`` number, 2 to 254."""
        tail = f"0a:05:05:{host:02x}"
        return cls(
            role,
            endpoint_id,
            f"10.5.5.{host}",
            f"fd05:5::{host:x}",
            f"02:00:{tail}",
            f"02:01:{tail}",
            identity,
        )

    @property
    def ifname(self) -> str:
        """The node's end of the veth."""
        return f"lxc{self.id:05}"


PODS = (
    Pod.numbered(SERVER, 571, 5, 20571),
    Pod.numbered(CLIENT, 1955, 6, 21955),
)

SERVER_IPV4, SERVER_IPV6 = PODS[0].ipv4, PODS[0].ipv6

# Every one of these belongs to the namespace it is set in.
_SYSCTLS = {
    "ipv4.conf.all.rp_filter": "0",
    "ipv4.conf.default.rp_filter": "0",
    # Traffic uses a source port for each connection, and soon again.
    "ipv4.ip_local_port_range": "1024 65535",
    "ipv4.tcp_tw_reuse": "1",
    "ipv4.ping_group_range": "0 2147483647",
    "core.somaxconn": "4096",
    # Addresses are all given: without these every interface makes one of its own, checks that
    # nobody has it and looks for routers, for as long as it is up.
    "ipv6.conf.default.addr_gen_mode": "1",
    "ipv6.conf.default.accept_dad": "0",
    "ipv6.conf.default.accept_ra": "0",
    "ipv6.conf.default.router_solicitations": "0",
}

_NODE_SYSCTLS = {
    "ipv4.ip_forward": "1",
    "ipv4.conf.all.send_redirects": "0",
    "ipv6.conf.all.forwarding": "1",
}


def claim(gate: Gate, lab: str) -> bool:
    """Make the node's namespace, whose name is the whole machine's; False where it is taken.

    Of two that want it at once one gets it, and the other has nothing to take down.

    Raises:
        DeniedError: without CAP_SYS_ADMIN or CAP_NET_ADMIN.
        BpfError: it cannot be made for another reason.
    """
    try:
        netns.create(gate, namespace(lab, NODE))
    except BpfError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    return True


def build(gate: Gate, lab: str) -> list[Endpoint]:
    """Make the other namespaces of a lab that was claimed, and wire all up.

    Returns:
        the pods as the datapath sees them.

    Raises:
        BpfError: a namespace of that name exists (EEXIST).
        DeniedError: without CAP_SYS_ADMIN or CAP_NET_ADMIN.
    """
    names = {role: namespace(lab, role) for role in ROLES}
    for role, name in names.items():
        if role != NODE:
            netns.create(gate, name)
        _set_sysctls(gate, name, _SYSCTLS)
    _set_sysctls(gate, names[NODE], _NODE_SYSCTLS)
    _wire_nodes(gate, names)
    _wire_outside(gate, names)
    for gateway in (f"{GATEWAY_IPV4}/32", f"{GATEWAY_IPV6}/128"):
        iproute.add_address(gate, "lo", gateway, netns=names[NODE])
    return [_wire_pod(gate, names[NODE], names[pod.role], pod) for pod in PODS]


def add_pod(gate: Gate, lab: str, pod: Pod) -> Endpoint:
    """Make one more pod on a lab's node.

    Raises:
        BpfError: its namespace or interface exists (EEXIST).
    """
    inside = namespace(lab, pod.role)
    netns.create(gate, inside)
    _set_sysctls(gate, inside, _SYSCTLS)
    return _wire_pod(gate, namespace(lab, NODE), inside, pod)


def remove_pod(gate: Gate, lab: str, role: str) -> None:
    """Remove a pod with both ends of its link; one that is not there is no error."""
    _destroy(gate, [namespace(lab, role)])


def destroy(gate: Gate, lab: str, more: Iterable[str] = ()) -> None:
    """Remove the namespaces; those that are not there are no error.

    Args:
        gate: the write gate.
        lab: the lab's name.
        more: pods added later, by their roles.

    The links go first: a namespace is freed later by the kernel, a link at once, and with it the
    filters and programs on it.
    """
    roles = dict.fromkeys((*ROLES, *more))
    _destroy(gate, [namespace(lab, role) for role in roles])


def _destroy(gate: Gate, names: Iterable[str]) -> None:
    present = [name for name in names if netns.exists(name)]
    for name in present:
        # A name whose maker was killed half-way is a plain file with no namespace behind it.
        with suppress(BpfError):
            for link in iproute.links(netns=name):
                if link.kind == "veth":
                    iproute.delete(gate, link.name, netns=name)
    for name in present:
        netns.delete(gate, name)


def _wire_nodes(gate: Gate, names: Mapping[str, str]) -> None:
    node, node2 = names[NODE], names[NODE2]
    iproute.add_veth(
        gate, "eth0", "eth0", netns=node, peer_netns=node2, mac=NODE_MAC, peer_mac=NODE2_MAC
    )
    for name, addresses in (
        (node, (f"{NODE_IPV4}/24", f"{NODE_IPV6}/64")),
        (node2, (f"{NODE2_IPV4}/24", f"{NODE2_IPV6}/64")),
    ):
        _configure(gate, name, "eth0", addresses)
    for address in (NODE2_IPV4, NODE2_IPV6):
        iproute.add_neighbour(gate, "eth0", address, NODE2_MAC, netns=node)
    for address in (NODE_IPV4, NODE_IPV6):
        iproute.add_neighbour(gate, "eth0", address, NODE_MAC, netns=node2)
    iproute.add_route(gate, POD_CIDR, device="eth0", via=NODE_IPV4, netns=node2)
    iproute.add_route(gate, POD_CIDR6, device="eth0", via=NODE_IPV6, netns=node2)


def _wire_outside(gate: Gate, names: Mapping[str, str]) -> None:
    node, outside = names[NODE], names[OUTSIDE]
    iproute.add_veth(
        gate, UPLINK, "eth0", netns=node, peer_netns=outside, mac=UPLINK_MAC, peer_mac=OUTSIDE_MAC
    )
    _configure(gate, node, UPLINK, (f"{UPLINK_IPV4}/24", f"{UPLINK_IPV6}/64"))
    _configure(gate, outside, "eth0", (f"{OUTSIDE_IPV4}/24", f"{OUTSIDE_IPV6}/64"))
    for address in (OUTSIDE_IPV4, OUTSIDE_IPV6):
        iproute.add_neighbour(gate, UPLINK, address, OUTSIDE_MAC, netns=node)
        iproute.add_route(gate, "default", device=UPLINK, via=address, netns=node)
    for address in (UPLINK_IPV4, UPLINK_IPV6):
        iproute.add_neighbour(gate, "eth0", address, UPLINK_MAC, netns=outside)


def _configure(gate: Gate, name: str, interface: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        iproute.add_address(gate, interface, address, netns=name)
    iproute.set_up(gate, interface, netns=name)


def _wire_pod(gate: Gate, node: str, inside: str, pod: Pod) -> Endpoint:
    iproute.add_veth(
        gate,
        pod.ifname,
        "eth0",
        netns=node,
        peer_netns=inside,
        mac=pod.node_mac,
        peer_mac=pod.mac,
    )
    _configure(gate, inside, "eth0", (f"{pod.ipv4}/32", f"{pod.ipv6}/128"))
    iproute.set_up(gate, pod.ifname, netns=node)
    for gateway, bits in ((GATEWAY_IPV4, 32), (GATEWAY_IPV6, 128)):
        iproute.add_neighbour(gate, "eth0", gateway, pod.node_mac, netns=inside)
        iproute.add_route(gate, f"{gateway}/{bits}", device="eth0", netns=inside)
        iproute.add_route(gate, "default", device="eth0", via=gateway, netns=inside)
    for address, bits in ((pod.ipv4, 32), (pod.ipv6, 128)):
        iproute.add_neighbour(gate, pod.ifname, address, pod.mac, netns=node)
        iproute.add_route(gate, f"{address}/{bits}", device=pod.ifname, netns=node)
    return Endpoint(
        id=pod.id,
        name=pod.role,
        ifname=pod.ifname,
        ifindex=iproute.get(pod.ifname, netns=node).index,
        mac=pod.mac,
        node_mac=pod.node_mac,
        ipv4=pod.ipv4,
        ipv6=pod.ipv6,
        identity=pod.identity,
        labels=(f"app={pod.role}",),
    )


def _set_sysctls(gate: Gate, name: str, values: Mapping[str, str]) -> None:
    for key, value in values.items():
        with suppress(GoneError):  # a kernel built without IPv6 has none of its settings
            netns.set_sysctl(gate, name, key, value)
