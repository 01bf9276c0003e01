"""The names of a service's flags (``pkg/loadbalancer/loadbalancer.go``, ``ServiceFlags``)."""

from __future__ import annotations

from enum import IntFlag
from functools import lru_cache
from typing import Final

from ctconsole.model.ct.layout import Layout, since


class ServiceFlag(IntFlag):
    """``flags`` and, from 0x100 on, ``flags2`` of a service."""

    EXTERNAL_IPS = 0x1
    NODE_PORT = 0x2
    EXTERNAL_LOCAL = 0x4
    HOST_PORT = 0x8
    AFFINITY = 0x10
    LOAD_BALANCER = 0x20
    ROUTABLE = 0x40
    SOURCE_RANGE = 0x80
    LOCAL_REDIRECT = 0x100
    NAT_46X64 = 0x200
    L7_LOAD_BALANCER = 0x400
    LOOPBACK = 0x800
    INTERNAL_LOCAL = 0x1000
    TWO_SCOPES = 0x2000
    QUARANTINED = 0x4000
    SOURCE_RANGE_DENY = 0x4000
    """The same bit: quarantine is a backend slot's, the denied ranges are a frontend's."""
    FORWARDING_MODE_DSR = 0x8000


_TYPES: Final = (
    (ServiceFlag.EXTERNAL_IPS, "ExternalIPs"),
    (ServiceFlag.NODE_PORT, "NodePort"),
    (ServiceFlag.LOAD_BALANCER, "LoadBalancer"),
    (ServiceFlag.HOST_PORT, "HostPort"),
    (ServiceFlag.LOCAL_REDIRECT, "LocalRedirect"),
)


@lru_cache(maxsize=256)
def flag_texts(flags: int, layout: Layout) -> tuple[str, ...]:
    """A service's type and properties as that release's tool words them.

    Args:
        flags: ``flags`` with ``flags2`` in the high byte.
        layout: up to 1.11 they know no flags from 0x200 on and say nothing of them, 1.12 none
            from 0x800 on, 1.13 to 1.16 none from 0x4000 on.
    """
    kind = next((name for bit, name in _TYPES if flags & bit), "ClusterIP")
    later, newest = since(layout, Layout.V1_13), since(layout, Layout.V1_17)
    loopback = (
        "delegate-if-local" if since(layout, Layout.V1_18) and kind != "HostPort" else "loopback"
    )
    denies = bool(flags & ServiceFlag.SOURCE_RANGE)
    named = (
        (flags & ServiceFlag.EXTERNAL_LOCAL, "Local"),
        (later and flags & ServiceFlag.INTERNAL_LOCAL, "InternalLocal"),
        (later and flags & ServiceFlag.TWO_SCOPES, "two-scopes"),
        (flags & ServiceFlag.AFFINITY, "sessionAffinity"),
        (not flags & ServiceFlag.ROUTABLE, "non-routable"),
        (flags & ServiceFlag.SOURCE_RANGE, "check source-range"),
        (newest and denies and flags & ServiceFlag.SOURCE_RANGE_DENY, "deny"),
        (since(layout, Layout.V1_12) and flags & ServiceFlag.NAT_46X64, "46x64"),
        (since(layout, Layout.V1_12) and flags & ServiceFlag.L7_LOAD_BALANCER, "l7-load-balancer"),
        (later and flags & ServiceFlag.LOOPBACK, loopback),
        (newest and not denies and flags & ServiceFlag.QUARANTINED, "quarantined"),
        (newest and flags & ServiceFlag.FORWARDING_MODE_DSR, "dsr"),
    )
    return (kind, *(name for given, name in named if given))
