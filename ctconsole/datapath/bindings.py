"""Which pinned map each slot of the programs is filled with, by the node's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.datapath.code import MapSlot
from ctconsole.datapath.defines import DatapathConfig, uses_maglev

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.plane.endpoint import Endpoint


def map_names(config: DatapathConfig, endpoint: Endpoint) -> dict[MapSlot, str]:
    """The pin name of each map the programs of an endpoint want, by its slot.

    Always wanted: ``cilium_metrics``, ``cilium_events``, ``cilium_signals``, ``cilium_lxc``,
    ``cilium_ipcache``, ``cilium_call_policy`` and the endpoint's ``cilium_policy_%05d``. For
    each IP family that is on (``enable-ipv4``, ``enable-ipv6``): its two conntrack tables (the
    endpoint's own with ``conntrack-local``), ``cilium_lb*_services_v2``,
    ``cilium_lb*_backends`` and ``cilium_lb*_reverse_nat``. With
    ``enable-ipv4-fragment-tracking``: ``cilium_ipv4_frag_datagrams``. With
    ``enable-session-affinity``: ``cilium_lb_affinity_match`` and ``cilium_lb*_affinity``. With
    ``bpf-lb-algorithm=maglev``: ``cilium_lb*_maglev``.
    ``cilium_calls_%05d`` is not among them: the loader makes one for each generation.
    """
    names = {
        MapSlot.METRICS_MAP: "cilium_metrics",
        MapSlot.ENDPOINTS_MAP: "cilium_lxc",
        MapSlot.IPCACHE_MAP: "cilium_ipcache",
        MapSlot.POLICY_CALL_MAP: "cilium_call_policy",
        MapSlot.EVENTS_MAP: "cilium_events",
        MapSlot.SIGNAL_MAP: "cilium_signals",
        MapSlot.POLICY_MAP: f"cilium_policy_{endpoint.id:05d}",
    }
    if config.enable_ipv4 and config.enable_ipv4_fragment_tracking:
        names[MapSlot.IPV4_FRAG_DATAGRAMS_MAP] = "cilium_ipv4_frag_datagrams"
    if config.enable_session_affinity:
        names[MapSlot.LB_AFFINITY_MATCH_MAP] = "cilium_lb_affinity_match"
    for family, on in ((4, config.enable_ipv4), (6, config.enable_ipv6)):
        if on:
            names |= dict(_of_family(family, config, endpoint))
    return names


def _of_family(
    family: int, config: DatapathConfig, endpoint: Endpoint
) -> Iterator[tuple[MapSlot, str]]:
    table = f"{endpoint.id:05d}" if config.conntrack_local else "global"
    yield MapSlot[f"CT_MAP_TCP{family}"], f"cilium_ct{family}_{table}"
    yield MapSlot[f"CT_MAP_ANY{family}"], f"cilium_ct_any{family}_{table}"
    yield MapSlot[f"LB{family}_SERVICES_MAP_V2"], f"cilium_lb{family}_services_v2"
    yield MapSlot[f"LB{family}_BACKEND_MAP"], f"cilium_lb{family}_backends"
    yield MapSlot[f"LB{family}_REVERSE_NAT_MAP"], f"cilium_lb{family}_reverse_nat"
    if config.enable_session_affinity:
        yield MapSlot[f"LB{family}_AFFINITY_MAP"], f"cilium_lb{family}_affinity"
    if uses_maglev(config):
        yield MapSlot[f"LB{family}_MAGLEV_MAP"], f"cilium_lb{family}_maglev"
