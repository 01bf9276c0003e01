"""What text of a node says of its maps without their entries: sizes, numbers of entries, fill.

``cilium status --verbose`` has the sizes and the clock, ``cilium map list`` what the agent's caches
hold, ``cilium metrics list`` and what Prometheus reads how full maps are.

Sources: ``api/v1/models``, ``pkg/client/client.go``, ``cilium-dbg/cmd/map_list.go`` and
``pkg/metrics`` of Cilium 1.9 to 1.18, and what their tools printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.readers.lines import unprefixed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_NAMED: Final = 1 << 17
"""Maps that are kept: one for each of the most endpoints there can be, and some."""

_STATUS: Final = re.compile(
    r"^(?:.{0,400}[> \t])?(?:Clock Source for BPF|BPF Maps):[ \t]", re.MULTILINE
)
_STATUS_LINE: Final = re.compile(
    r"\s*(?:KVStore|Kubernetes|Kubernetes APIs|KubeProxyReplacement|Host firewall|SRv6|Cilium|"
    r"CNI Chaining|CNI Config file|NodeMonitor|Cilium health daemon|IPAM|IPv[46] BIG TCP|"
    r"BandwidthManager|Clock Source for BPF|BPF Maps):[ \t]{1,40}\S"
)
_CLOCK: Final = re.compile(r"Clock Source for BPF:\s+(ktime|jiffies)(?:\s+\[(\d{1,5}) Hz\])?")
_VERSION: Final = re.compile(r"Cilium:\s+\w+\s+(\d+\.\d+\.\d+\S*)")
_SIZE: Final = re.compile(r"\s+(\S.{0,60}?)\s{2,}(\d{1,10})\s*$")
_LISTED: Final = re.compile(r"Name[ \t]+Num entries[ \t]+Num errors[ \t]+Cache enabled")
_LISTED_ROW: Final = re.compile(
    r"\s*(cilium_\w{1,100})\s+(\d{1,10})\s+(\d{1,10})\s+(true|false)\s*$"
)
_PRESSURE: Final = re.compile(
    r"cilium_bpf_map_pressure(?:\{|\s+)map_name=\"([\w*-]{1,100})\"(?:,[^}\n]{0,200})?\}?\s+"
    r"([0-9.eE+-]{1,24})"
)
_METRICS: Final = re.compile(
    r"^(?:.{0,400}[> \t])?cilium_[a-z_]{3,80}(?:\{| {2,})[a-z_]+=\"", re.MULTILINE
)

_BY_TITLE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "TCP connection tracking": ("cilium_ct4_global", "cilium_ct6_global"),
        "Non-TCP connection tracking": ("cilium_ct_any4_global", "cilium_ct_any6_global"),
        "NAT": ("cilium_snat_v4_external", "cilium_snat_v6_external"),
        "Auth": ("cilium_auth_map",),
        "Endpoints": ("cilium_lxc",),
        "IP cache": ("cilium_ipcache", "cilium_ipcache_v2"),
        "IPv4 fragmentation": ("cilium_ipv4_frag_datagrams",),
        "IPv4 service": ("cilium_lb4_services_v2",),
        "IPv6 service": ("cilium_lb6_services_v2",),
        "IPv4 service backend": ("cilium_lb4_backends_v3", "cilium_lb4_backends_v2"),
        "IPv6 service backend": ("cilium_lb6_backends_v3", "cilium_lb6_backends_v2"),
        "IPv4 service reverse NAT": ("cilium_lb4_reverse_nat",),
        "IPv6 service reverse NAT": ("cilium_lb6_reverse_nat",),
        "Neighbor table": ("cilium_nodeport_neigh4", "cilium_nodeport_neigh6"),
        "Session affinity": ("cilium_lb_affinity_match",),
        "Sock reverse NAT": ("cilium_lb4_reverse_sk", "cilium_lb6_reverse_sk"),
        "Tunnel": ("cilium_tunnel_map",),
    }
)
"""The maps that a line of the status gives the size of."""


@dataclass(frozen=True, slots=True)
class ListedMap:
    """A map as the agent lists it.

    Attributes:
        entries: in the agent's cache; None where it keeps none, which it then prints as 0.
        errors: entries that could not be written.
    """

    entries: int | None
    errors: int


@dataclass(frozen=True)
class NodeText:
    """What texts of a node say.

    Attributes:
        version: the agent's.
        clock: what entries are stamped with.
        sizes: the most entries of maps, by name.
        titles: the most entries of maps of which only a title is known.
        listed: what the agent lists, by name.
        pressure: entries of the most there can be, by name.
    """

    version: str | None = None
    clock: ClockSource | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    titles: Mapping[str, int] = field(default_factory=dict)
    listed: Mapping[str, ListedMap] = field(default_factory=dict)
    pressure: Mapping[str, float] = field(default_factory=dict)

    def joined(self, other: NodeText) -> NodeText:
        """What both say; the other one has the last word."""
        return NodeText(
            other.version or self.version,
            other.clock or self.clock,
            {**self.sizes, **other.sizes},
            {**self.titles, **other.titles},
            {**self.listed, **other.listed},
            {**self.pressure, **other.pressure},
        )

    @property
    def named(self) -> list[str]:
        """The maps that are there by what is said, in no particular order; sizes do not tell."""
        return [*self.listed, *(name for name in self.pressure if name not in self.listed)]


NO_TEXT: Final = NodeText()


def named_by(title: str) -> set[str]:
    """The maps that a line of the status gives the size of."""
    return set(_BY_TITLE.get(title, ()))


def is_status(head: str) -> bool:
    """Whether a text is an agent's status with its maps' sizes or its clock."""
    return _STATUS.search(head) is not None


def of_status(text: str) -> bool:
    """Whether a line can only be one of an agent's status."""
    return _STATUS_LINE.match(text) is not None


def is_map_list(head: str) -> bool:
    """Whether a text is the list of an agent's maps."""
    return _LISTED.search(head) is not None


def is_metrics(head: str) -> bool:
    """Whether a text has an agent's metrics."""
    return _METRICS.search(head) is not None


def read_status(text: str) -> NodeText:
    """An agent's status."""
    clock = _CLOCK.search(text)
    version = _VERSION.search(text)
    sizes: dict[str, int] = {}
    titles: dict[str, int] = {}
    _, found, below = text.partition("BPF Maps:")
    for line in _below(below) if found else ():
        size = _SIZE.match(line)
        if size is None or len(titles) >= MOST_NAMED:
            continue
        names = _BY_TITLE.get(size[1], ())
        sizes.update(dict.fromkeys(names, int(size[2])))
        titles[size[1]] = int(size[2])
    return NodeText(
        version[1] if version else None,
        ClockSource(clock[1], int(clock[2] or 0)) if clock else None,
        sizes,
        titles,
    )


def _below(text: str) -> Iterator[str]:
    """The indented lines of a block, up to the next one."""
    for line in text.splitlines()[1:]:
        bare = unprefixed(line)
        if bare and not bare[0].isspace():
            return
        yield bare


def read_map_list(text: str) -> NodeText:
    """The agent's list of its maps."""
    listed: dict[str, ListedMap] = {}
    for line in text.splitlines():
        found = _LISTED_ROW.match(unprefixed(line))
        if found and len(listed) < MOST_NAMED:
            entries = int(found[2]) if found[4] == "true" else None
            listed[found[1]] = ListedMap(entries, int(found[3]))
    return NodeText(listed=listed)


def read_metrics(text: str) -> NodeText:
    """The agent's metrics, as Prometheus reads them or as the tool lists them."""
    pressure: dict[str, float] = {}
    for name, value in _PRESSURE.findall(text):
        try:
            share = float(value)
        except ValueError:
            continue
        if len(pressure) < MOST_NAMED and 0 <= share < MOST_NAMED:
            pressure[name if name.startswith("cilium_") else f"cilium_{name}"] = share
    return NodeText(pressure=pressure)
