"""Links, addresses, routes and neighbours through rtnetlink.

Everywhere ``netns`` is the name of a namespace; None is the calling thread's own.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from ctconsole.errors import bpf_error
from ctconsole.kernel import netns as namespaces
from ctconsole.kernel.rtnl import talk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv6Address

    from pyroute2 import IPRoute
    from pyroute2.netlink import nlmsg

    from ctconsole.kernel.gate import Gate

_NUD_PERMANENT = 0x80
_RT_SCOPE_LINK = 253


@dataclass(frozen=True, slots=True)
class Link:
    """One interface.

    Attributes:
        index: its number in its namespace.
        name: its name.
        mac: link address, ``02:00:00:00:00:01``; empty where it has none.
        kind: ``veth``, ``dummy``, ...; empty for hardware and loopback.
        mtu: bytes.
        up: administratively up.
        peer_index: of a veth the other end's number, in that end's namespace; else 0.
    """

    index: int
    name: str
    mac: str
    kind: str
    mtu: int
    up: bool
    peer_index: int = 0


def links(*, netns: str | None = None) -> list[Link]:
    """Every interface, by index."""
    return talk(
        "RTM_GETLINK",
        netns or "",
        lambda route: [_link(message) for message in route.get_links()],
        netns=netns,
    )


def find(name: str, *, netns: str | None = None) -> Link | None:
    """The interface of this name, None where there is none."""
    return next((link for link in links(netns=netns) if link.name == name), None)


def get(name: str, *, netns: str | None = None) -> Link:
    """The interface of this name.

    Raises:
        BpfError: there is none (ENODEV).
    """
    link = find(name, netns=netns)
    if link is None:
        raise bpf_error(errno.ENODEV, "RTM_GETLINK", _at(name, netns))
    return link


def addresses(*, netns: str | None = None) -> list[IPv4Address | IPv6Address]:
    """Every address of every interface, each once."""
    found = talk(
        "RTM_GETADDR",
        netns or "",
        # A peer-to-peer interface has its own address in IFA_LOCAL; IPv6 has IFA_ADDRESS only.
        lambda route: [
            message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            for message in route.get_addr()
        ],
        netns=netns,
    )
    return [ip_address(text) for text in dict.fromkeys(found) if text]


def default_device(*, netns: str | None = None) -> str:
    """The interface of the IPv4 default route, empty where there is none."""
    numbers = talk(
        "RTM_GETROUTE",
        "default",
        lambda route: [
            message.get_attr("RTA_OIF")
            for message in route.get_default_routes(family=socket.AF_INET)
        ],
        netns=netns,
    )
    names = {link.index: link.name for link in links(netns=netns)} if numbers else {}
    return next((names[number] for number in numbers if number in names), "")


def ipv4_of(index: int, *, netns: str | None = None) -> str:
    """The first IPv4 address of an interface, dotted; empty where it has none."""
    found = talk(
        "RTM_GETADDR",
        str(index),
        lambda route: [
            message.get_attr("IFA_LOCAL")
            for message in route.get_addr(family=socket.AF_INET, index=index)
        ],
        netns=netns,
    )
    return next((str(text) for text in found if text), "")


def add_veth(
    _gate: Gate,
    name: str,
    peer: str,
    *,
    netns: str | None = None,
    peer_netns: str | None = None,
    mac: str | None = None,
    peer_mac: str | None = None,
    mtu: int | None = None,
) -> None:
    """Make a pair of veths, both down; each end is made in its namespace.

    Args:
        name: of the first end, in ``netns``.
        peer: of the second end, in ``peer_netns``; None puts it beside the first.
        netns: namespace of the first end.
        peer_netns: namespace of the second end.
        mac: link address of the first end; the kernel chooses otherwise.
        peer_mac: link address of the second end.
        mtu: bytes, of both ends.

    Raises:
        BpfError: a name is taken (EEXIST).
    """
    first = {"address": mac, "mtu": mtu}
    second = {"ifname": peer, "address": peer_mac, "mtu": mtu}
    fd = os.open(namespaces.FOLDER / peer_netns, os.O_RDONLY) if peer_netns else -1
    try:
        if fd >= 0:
            second["net_ns_fd"] = fd
        talk(
            "RTM_NEWLINK",
            f"{_at(name, netns)} and {_at(peer, peer_netns)}",
            lambda route: route.link(
                "add", ifname=name, kind="veth", peer=_given(second), **_given(first)
            ),
            netns=netns,
        )
    finally:
        if fd >= 0:
            os.close(fd)


def set_up(_gate: Gate, name: str, *, netns: str | None = None) -> None:
    """Bring an interface up."""
    _change(name, netns, state="up")


def delete(_gate: Gate, name: str, *, netns: str | None = None) -> bool:
    """Remove an interface, of a veth both ends; False where there was none."""
    link = find(name, netns=netns)
    if link is None:
        return False
    talk(
        "RTM_DELLINK",
        _at(name, netns),
        lambda route: route.link("del", index=link.index),
        netns=netns,
    )
    return True


def add_address(_gate: Gate, name: str, address: str, *, netns: str | None = None) -> None:
    """Give an interface an address with its prefix, e.g. ``10.0.0.1/24`` or ``fd00::1/64``.

    An IPv6 address is usable at once: duplicate address detection is left out.
    """
    interface = ip_interface(address)
    flags = {} if interface.version == 4 else {"flags": 0x02}  # noqa: PLR2004 - IFA_F_NODAD

    def work(route: IPRoute) -> None:
        route.addr(
            "add",
            index=_index(route, name, netns),
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            **flags,
        )

    talk("RTM_NEWADDR", f"{address} on {_at(name, netns)}", work, netns=netns)


def add_route(
    _gate: Gate,
    destination: str,
    *,
    via: str | None = None,
    device: str | None = None,
    source: str | None = None,
    netns: str | None = None,
) -> None:
    """Add a route, or change the one there is.

    Args:
        destination: a network such as ``10.0.0.0/24``, or ``default`` (IPv4 unless ``via`` is
            an IPv6 address).
        via: the next hop; without it the destination is on the link of ``device``.
        device: the interface to leave by.
        source: preferred source address.
        netns: namespace.
    """
    if destination == "default":
        destination = "::/0" if via and ":" in via else "0.0.0.0/0"
    network = ip_network(destination)

    def work(route: IPRoute) -> None:
        wish = {
            "dst": str(network),
            "family": socket.AF_INET6 if network.version == 6 else socket.AF_INET,  # noqa: PLR2004 - IP version
            "gateway": via,
            "oif": _index(route, device, netns) if device else None,
            "prefsrc": source,
            "scope": _RT_SCOPE_LINK if via is None and network.version == 4 else None,  # noqa: PLR2004 - IP version
        }
        route.route("replace", **_given(wish))

    talk("RTM_NEWROUTE", _at(destination, netns), work, netns=netns)


def add_neighbour(
    _gate: Gate, name: str, address: str, mac: str, *, netns: str | None = None
) -> None:
    """Fix the link address of a neighbour for good, so that nobody has to ask."""

    def work(route: IPRoute) -> None:
        route.neigh(
            "replace",
            dst=address,
            lladdr=mac,
            ifindex=_index(route, name, netns),
            state=_NUD_PERMANENT,
        )

    talk("RTM_NEWNEIGH", f"{address} on {_at(name, netns)}", work, netns=netns)


def _change(name: str, netns: str | None, **wish: str) -> None:
    talk(
        "RTM_SETLINK",
        _at(name, netns),
        lambda route: route.link("set", index=_index(route, name, netns), **wish),
        netns=netns,
    )


def _index(route: IPRoute, name: str, netns: str | None) -> int:
    found = route.link_lookup(ifname=name)
    if not found:
        raise bpf_error(errno.ENODEV, "RTM_GETLINK", _at(name, netns))
    return int(found[0])


def _link(message: nlmsg) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=message["state"] == "up",
        peer_index=message.get_attr("IFLA_LINK") or 0,
    )


def _given(wish: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in wish.items() if value is not None}


def _at(name: str, netns: str | None) -> str:
    return f"{name} in {netns}" if netns else name
