"""The words in which `record_data` describes Cilium's maps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ctconsole.model.ct.layout import Layout


class RecordKind(StrEnum):
    """What a map holds; IPv4 and IPv6 maps of one purpose share a kind."""

    NAT = "nat"
    SERVICE = "service"
    BACKEND = "backend"
    REVERSE_NAT = "reverse nat"
    AFFINITY = "affinity"
    AFFINITY_MATCH = "affinity match"
    SOURCE_RANGE = "source range"
    POLICY = "policy"
    POLICY_STATS = "policy statistics"
    IPCACHE = "ipcache"
    ENDPOINT = "endpoint"
    METRICS = "metrics"
    TUNNEL = "tunnel"
    FRAGMENT = "fragment"


class Form(StrEnum):
    """How a cell of our own lists is written."""

    NUMBER = "number"
    ADDRESS = "address"
    EITHER_ADDRESS = "address of the family that the record names"
    PREFIX = "address and prefix length"
    COUNTER = "number, unknown where all its bits are set"
    PROTOCOL = "protocol"
    DIRECTION = "direction of a tuple"
    TRAFFIC = "direction of a policy"
    MAC = "six bytes"
    REASON = "reason of a metric"
    METRIC_DIRECTION = "direction of a metric"
    FILE = "source file"
    SERVICE_FLAGS = "names of a service's flags"
    OF_SLOT = "number of a service's slot, which slot 0 has not"
    AFFINITY = "seconds for which clients keep their backend, in slot 0"
    PROXY_PORT = "port of the proxy that takes a service's connections, in slot 0"
    ALGORITHM = "how a service picks its backends, in slot 0"
    DENY = "whether denied"
    AGE = "seconds since a moment of the node's clock"
    PREFIX_BITS = "bits of a policy key behind its fixed part"


@dataclass(frozen=True, slots=True)
class ListColumn:
    """One column of our own lists: its name, the field of key or value, and its form."""

    name: str
    field: str
    form: Form = Form.NUMBER


@dataclass(frozen=True, slots=True)
class RecordSpec:
    """One generation of one map.

    Attributes:
        kind: what it holds.
        since: the first layout in which the map looks like this.
        names: pattern of the pin's whole name.
        key: dtype of the key.
        value: dtype of the value (of one CPU for per-CPU maps).
        cells: columns of our own lists; a field is looked up in the key first.
        source: where the layout was read.
        per_cpu: whether there is a value for each possible CPU.
        course: earlier releases that got it in the course of their patches, so that the entries
            have to tell there.
    """

    kind: RecordKind
    since: Layout
    names: str
    key: np.dtype[np.void]
    value: np.dtype[np.void]
    cells: tuple[ListColumn, ...]
    source: str
    per_cpu: bool = False
    course: tuple[Layout, ...] = ()
