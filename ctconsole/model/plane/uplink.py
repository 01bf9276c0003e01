"""The interface through which a node reaches what is not in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uplink:
    """Where pods' packets leave the node.

    Attributes:
        ifname: the interface, ``eth0``.
        ifindex: of ``ifname`` in the node's network namespace.
        ipv4: the address packets leave under, dotted.
        native_cidr: the network that pods reach under their own addresses, ``10.0.0.0/8``
            (``ipv4-native-routing-cidr``); empty for none.
    """

    ifname: str
    ifindex: int
    ipv4: str
    native_cidr: str = ""
