"""Masquerading: the programs at the interface through which pods leave the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.happening import happened
from ctconsole.kernel import iproute
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.plane.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate

    Record = Callable[[Iterable[Event]], None]


def find_uplink(config: AgentConfig) -> Uplink | None:
    """The interface that ``devices`` names, else the default route's; None without an address."""
    name = config.devices or iproute.default_device()
    link = iproute.find(name) if name else None
    address = iproute.ipv4_of(link.index) if link else ""
    if link is None or not address:
        return None
    return Uplink(link.name, link.index, address, config.ipv4_native_routing_cidr)


def masquerade(
    gate: Gate,
    config: AgentConfig,
    maps: Mapping[str, Path],
    record: Record,
    step: Callable[[], None] = lambda: None,
) -> Uplink | None:
    """Attach the uplink's programs, or remove them where masquerading is off.

    To be called in the node's network namespace, when every map is there.

    Args:
        gate: the write gate.
        config: ``enable-ipv4-masquerade``, ``ipv4-native-routing-cidr``, ``devices``.
        maps: pin paths by name.
        record: stores and logs events; a node without an uplink is one of them.
        step: called at least once a second while programs are compiled, and before they are
            attached; raises where that is not to happen any more.

    Returns:
        The uplink pods leave through, None where they are not translated.

    Raises:
        UsageError: conntrack tables are per endpoint.
        DatapathError: a program does not compile, load or attach.
    """
    from ctconsole.datapath import netdev

    uplink = find_uplink(config) if config.enable_ipv4 else None
    if not config.enable_ipv4_masquerade:
        record(netdev.detach_netdev(gate, uplink) if uplink else [])
        return None
    if uplink is None:
        record([_no_uplink(config.devices)])
        return None
    with netdev.load_netdev(gate, config, maps, uplink, meanwhile=step) as programs:
        step()
        record(netdev.attach_netdev(gate, uplink, programs))
    return uplink


def _no_uplink(devices: str) -> Event:
    return happened(
        EventKind.WARNING,
        "agent",
        devices or "default route",
        "No uplink with an IPv4 address found, pods leave untranslated",
        {"devices": devices},
        level=Level.WARNING,
    )
