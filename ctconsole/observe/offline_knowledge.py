"""What the dumps of a node tell beside its conntrack tables (see `model.ct.risk`)."""

from __future__ import annotations

import re
from collections import defaultdict
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.manager.knowledge import NAT_MAPS
from ctconsole.model.ct.knowledge import Knowledge, ServiceFacts
from ctconsole.model.ct.layout import KEYS, TUPLE_F_IN, TUPLE_F_OUT
from ctconsole.model.ct.natpairs import NAT_VALUE_SIZES, put_target, translations
from ctconsole.model.plane.service_rows import service_facts
from ctconsole.model.readers.agentjson import policy_facts
from ctconsole.model.readers.ct_shapes import protocol_numbers
from ctconsole.model.records.spec import RecordKind
from ctconsole.observe.gathered import place_of
from ctconsole.observe.offline_nodes import folder_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.printed_rows import Row
    from ctconsole.observe.offline import Offline
    from ctconsole.observe.offline_nodes import NodeFiles

_SERVICES: Final = re.compile(r"cilium_lb([46])_services_v2")
_SIZE6: Final = max(NAT_VALUE_SIZES)
_MAGLEV: Final = re.compile(r"cilium_lb([46])_maglev")


def knowledge_by_node(offline: Offline) -> dict[str, Knowledge]:
    """What the files tell of each node that is in them (see `Raw.node`)."""
    nodes = {one.node: offline.node_of(one) for one in offline.maps}
    return {node: knowledge_of(offline, node, told) for node, told in nodes.items()}


def knowledge_of(offline: Offline, folder: str, node: NodeFiles) -> Knowledge:
    """What the maps of one node tell; a map that is missing or damaged tells nothing.

    Args:
        offline: all that was found.
        folder: that stands for the node.
        node: what else is known of it; its agent tells which endpoints have policy.
    """
    maps = [one for one in offline.maps if one.node == folder]
    services: dict[int, ServiceFacts] = {}
    translated: dict[int, Translations] = {}
    maglev: dict[str, set[bytes]] = defaultdict(set)
    fronts: list[tuple[str, Raw]] = []
    for one in maps:
        label = one.info.label
        if found := _MAGLEV.fullmatch(label):
            maglev[found[1]] |= {key.tobytes() for key in one.keys}
        elif found := _SERVICES.fullmatch(label):
            fronts.append((found[1], one))
        elif label == NAT_MAPS.get(one.info.key_size) and _is_nat(one):
            translated[one.info.key_size] = translations(one.keys, one.values)
    # A dump of the very map tells better than a text.
    translated = {**_printed(offline, folder), **translated}
    for family, one in fronts:
        try:
            table = one.records()
        except FormatError:
            continue
        services |= service_facts(table, maglev[family])
    return Knowledge(
        MappingProxyType(services),
        policy_facts(node.told.endpoints),
        translated=MappingProxyType(translated) if translated else None,
    )


def _printed(offline: Offline, folder: str) -> dict[int, Translations]:
    """The translations of the lists that the node's tool printed, by the size of a key."""
    rows = [
        row
        for one in offline.printed
        if one.kind is RecordKind.NAT
        and folder in {str(place_of(one.source, one.whose)), str(folder_of(one.source))}
        for row in one.rows
    ]
    found = {}
    for size, width in NAT_VALUE_SIZES.items():
        family = [row for row in rows if (":" in str(row["source"])) == (size == _SIZE6)]
        keys = np.zeros(len(family), KEYS[size])
        values = np.zeros((len(family), width), np.uint8)
        good = [
            _put(keys[place : place + 1], values[place], row) for place, row in enumerate(family)
        ]
        if any(good):
            whole = keys.view(np.uint8).reshape(len(family), size)
            found[size] = translations(whole[good], values[good])
    return found


def _put(key: npt.NDArray[Any], value: npt.NDArray[np.uint8], row: Row) -> bool:
    """One printed translation as the bytes that the tool printed it from.

    Returns:
        Whether its addresses and ports are such.
    """
    protocol = str(row["protocol"])
    number = protocol_numbers().get(protocol) or (int(protocol) if protocol.isdecimal() else 0)
    try:
        key["saddr"] = np.frombuffer(ip_address(str(row["source"])).packed, np.uint8)
        key["daddr"] = np.frombuffer(ip_address(str(row["destination"])).packed, np.uint8)
        key["sport"], key["dport"] = row["source_port"], row["destination_port"]
        key["nexthdr"] = number
        key["flags"] = TUPLE_F_IN if row["direction"] == "in" else TUPLE_F_OUT
        put_target(value, ip_address(str(row["to_address"])).packed, int(str(row["to_port"])))
    except (ValueError, OverflowError):
        return False
    return True


def _is_nat(one: Raw) -> bool:
    """Whether the values are as long as those of a NAT table of their family."""
    return one.values.shape[1:] == (NAT_VALUE_SIZES[one.info.key_size],)
