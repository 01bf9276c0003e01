"""A pod as the datapath sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: the host side of a pod's veth and the pod's addresses.

    Attributes:
        id: Cilium's endpoint id, 1 to 65535; part of the names of per-endpoint maps.
        name: the pod's name, for people.
        ifname: the host-side interface, e.g. ``lxc00010``.
        ifindex: of ``ifname`` in the node's network namespace.
        mac: the pod's own link address, ``02:..``.
        node_mac: link address of ``ifname``.
        ipv4: the pod's address, dotted; empty without IPv4.
        ipv6: the pod's address; empty without IPv6.
        identity: security identity (SourceSecurityID of its entries).
        labels: ``key=value`` strings the identity stands for.
        enforce_ingress: whether only what the policy map allows may reach the pod; a change
            takes effect when its programs are loaded again.
        enforce_egress: the same for what the pod sends.
    """

    id: int
    name: str
    ifname: str
    ifindex: int
    mac: str
    node_mac: str
    ipv4: str = ""
    ipv6: str = ""
    identity: int = 0
    labels: tuple[str, ...] = ()
    enforce_ingress: bool = False
    enforce_egress: bool = False
