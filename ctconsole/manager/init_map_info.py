"""``ctmap.InitMapInfo``: the attributes of every kind of conntrack map, from the configuration.

Cilium keeps them in a package variable, ``mapInfo``; here they are a value
(``pkg/maps/ctmap/ctmap.go`` 1.9, the article's section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.model.catalogue import find
from ctconsole.model.ct.layout import KEY4, KEY6, Layout, value_dtype
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.config import AgentConfig

MAP_NUM_ENTRIES_LOCAL = 64000
"""``mapNumEntriesLocal``: capacity of an endpoint's own conntrack map."""

Records: TypeAlias = "npt.NDArray[Any]"
Parser: TypeAlias = Callable[
    ["npt.NDArray[np.uint8]", "npt.NDArray[np.uint8]"], "tuple[Records, Records]"
]


class MapKind(Enum):
    """``mapType``: IP family, transport, and whether all endpoints share the map.

    The value is (IP version, "TCP" or "ANY", global).
    """

    IPV4_TCP_LOCAL = (4, "TCP", False)
    IPV6_TCP_LOCAL = (6, "TCP", False)
    IPV4_TCP_GLOBAL = (4, "TCP", True)
    IPV6_TCP_GLOBAL = (6, "TCP", True)
    IPV4_ANY_LOCAL = (4, "ANY", False)
    IPV6_ANY_LOCAL = (6, "ANY", False)
    IPV4_ANY_GLOBAL = (4, "ANY", True)
    IPV6_ANY_GLOBAL = (6, "ANY", True)

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.value[0]

    @property
    def transport(self) -> str:
        """``TCP`` or ``ANY``."""
        return self.value[1]

    @property
    def is_global(self) -> bool:
        """Whether all endpoints share the map."""
        return self.value[2]

    def pin_name(self, endpoint_id: int | None = None) -> str:
        """Cilium's name: ``cilium_ct4_global``, ``cilium_ct_any6_00571``, ..."""
        stem = f"cilium_ct{'_any' if self.transport == 'ANY' else ''}{self.family}"
        return f"{stem}_global" if self.is_global else f"{stem}_{endpoint_id or 0:05d}"


@dataclass(frozen=True, slots=True)
class MapAttributes:
    """``mapAttributes``: what one kind of conntrack map looks like.

    Attributes:
        bpf_define: the name the C code knows the map by, ``CT_MAP_TCP4``.
        key_type: numpy record of a key.
        value_type: numpy record of an entry, the same for all kinds.
        max_entries: capacity.
        parser: turns the rows of a bulk read, u1[n, key size] and u1[n, value size], into
            records of the two types without copying.
        nat_map: the NAT map whose entries go with this map's; None for maps of one endpoint,
            because translation needs global tables, and without NodePort.
    """

    bpf_define: str
    key_type: np.dtype[np.void]
    value_type: np.dtype[np.void]
    max_entries: int
    parser: Parser
    nat_map: MapSpec | None

    def spec(self, name: str) -> MapSpec:
        """The wish for a map of this kind."""
        return MapSpec(
            name,
            MapType.LRU_HASH,
            self.key_type.itemsize,
            self.value_type.itemsize,
            self.max_entries,
        )


def init_map_info(config: AgentConfig) -> dict[MapKind, MapAttributes]:
    """``InitMapInfo(tcpMaxEntries, anyMaxEntries, v4, v6, nodeport)``: all eight kinds.

    Kinds of an IP family that is off are in the table as well, as in Cilium; `init_maps` does
    not create them, and they have no NAT map.
    """
    nat_maps = nat_global_maps(config)
    value_type = value_dtype(Layout.V1_9)
    limits = {"TCP": config.bpf_ct_global_tcp_max, "ANY": config.bpf_ct_global_any_max}
    map_info = {}
    for kind in MapKind:
        key_type = KEY4 if kind.family == 4 else KEY6  # noqa: PLR2004 - IP version
        map_info[kind] = MapAttributes(
            bpf_define=f"CT_MAP_{kind.transport}{kind.family}",
            key_type=key_type,
            value_type=value_type,
            max_entries=limits[kind.transport] if kind.is_global else MAP_NUM_ENTRIES_LOCAL,
            parser=_parser(key_type, value_type),
            nat_map=nat_maps.get(kind.family) if kind.is_global else None,
        )
    return map_info


def nat_global_maps(config: AgentConfig) -> dict[int, MapSpec]:
    """``nat.GlobalMaps(v4, v6, nodeport)``: NAT maps by IP version.

    NodePort needs both families', masquerading that of IPv4.
    """
    node_port = config.enable_node_port
    wanted = {
        4: config.enable_ipv4 and (node_port or config.enable_ipv4_masquerade),
        6: config.enable_ipv6 and node_port,
    }
    return {
        family: catalogue_spec(f"cilium_snat_v{family}_external", max_entries=config.nat_max)
        for family, on in wanted.items()
        if on
    }


def catalogue_spec(
    entry_name: str,
    *,
    name: str | None = None,
    max_entries: int | None = None,
    inner: MapSpec | None = None,
) -> MapSpec:
    """The wish for one of Cilium 1.9's maps as the catalogue has it.

    Args:
        entry_name: its name in the catalogue.
        name: its pin's name where the catalogue's is a pattern.
        max_entries: capacity, where the catalogue's default is not meant.
        inner: what the maps inside it look like.
    """
    entry = find(entry_name)
    maximum = entry.max_entries if max_entries is None else max_entries
    if entry.key_size is None or entry.value_size is None or maximum is None:
        raise KeyError(entry_name)
    return MapSpec(
        name or entry_name, entry.type, entry.key_size, entry.value_size, maximum, inner=inner
    )


def _parser(key_type: np.dtype[np.void], value_type: np.dtype[np.void]) -> Parser:
    def parse(
        keys: npt.NDArray[np.uint8], values: npt.NDArray[np.uint8]
    ) -> tuple[Records, Records]:
        return (
            np.ascontiguousarray(keys).view(key_type).reshape(-1),
            np.ascontiguousarray(values).view(value_type).reshape(-1),
        )

    return parse
