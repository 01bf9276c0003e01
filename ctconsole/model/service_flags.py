"""The names of a service's flags (``pkg/loadbalancer/loadbalancer.go``, ``ServiceFlags``)."""

from __future__ import annotations

from enum import IntFlag
from functools import lru_cache
from typing import Final

from ctconsole.model.layout import Layout


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
    SOURCE_RANGE_DENY = 0x8000


_TYPES: Final = (
    (ServiceFlag.EXTERNAL_IPS, "ExternalIPs"),
    (ServiceFlag.NODE_PORT, "NodePort"),
    (ServiceFlag.LOAD_BALANCER, "LoadBalancer"),
    (ServiceFlag.HOST_PORT, "HostPort"),
    (ServiceFlag.LOCAL_REDIRECT, "LocalRedirect"),
)


@lru_cache(maxsize=256)
def flag_texts(flags: int, layout: Layout) -> tuple[str, ...]:
    """A service's type and properties as that version's tool words them.

    Args:
        flags: ``flags`` with ``flags2`` in the high byte.
        layout: 1.9 knows no flags from 0x200 on and says nothing of them.
    """
    kind = next((name for bit, name in _TYPES if flags & bit), "ClusterIP")
    texts = [kind]
    if flags & ServiceFlag.EXTERNAL_LOCAL:
        texts.append("Local")
    if layout is not Layout.V1_9:
        texts += _scopes(flags)
    if flags & ServiceFlag.AFFINITY:
        texts.append("sessionAffinity")
    if not flags & ServiceFlag.ROUTABLE:
        texts.append("non-routable")
    denying = flags & ServiceFlag.SOURCE_RANGE and flags & ServiceFlag.SOURCE_RANGE_DENY
    if flags & ServiceFlag.SOURCE_RANGE:
        texts.append("check source-range")
    if layout is not Layout.V1_9:
        texts += ["deny"] if denying else []
        texts += _later(flags, kind)
        texts += ["quarantined"] if flags & ServiceFlag.QUARANTINED and not denying else []
    return tuple(texts)


def _scopes(flags: int) -> list[str]:
    named = (
        (ServiceFlag.INTERNAL_LOCAL, "InternalLocal"),
        (ServiceFlag.TWO_SCOPES, "two-scopes"),
    )
    return [name for bit, name in named if flags & bit]


def _later(flags: int, kind: str) -> list[str]:
    loopback = "loopback" if kind == "HostPort" else "delegate-if-local"
    named = (
        (ServiceFlag.NAT_46X64, "46x64"),
        (ServiceFlag.L7_LOAD_BALANCER, "l7-load-balancer"),
        (ServiceFlag.LOOPBACK, loopback),
    )
    return [name for bit, name in named if flags & bit]
