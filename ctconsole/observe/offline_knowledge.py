"""What the dumps of a node tell beside its conntrack tables (see `model.ct.risk`)."""

from __future__ import annotations

import re
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError
from ctconsole.manager.knowledge import NAT_MAPS
from ctconsole.model.ct.knowledge import Knowledge, ServiceFacts
from ctconsole.model.ct.natpairs import NAT_VALUE_SIZES, translations
from ctconsole.model.plane.service_rows import service_facts
from ctconsole.model.readers.agentjson import policy_facts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.raw import Raw
    from ctconsole.observe.offline import Offline
    from ctconsole.observe.offline_nodes import NodeFiles

_SERVICES: Final = re.compile(r"cilium_lb([46])_services_v2")
_MAGLEV: Final = re.compile(r"cilium_lb([46])_maglev")


def knowledge_by_node(offline: Offline) -> dict[str, Knowledge]:
    """What the files tell of each node that is in them (see `Raw.node`)."""
    nodes: dict[str, list[Raw]] = defaultdict(list)
    for one in offline.maps:
        nodes[one.node].append(one)
    return {node: knowledge_of(found, offline.node_of(found[0])) for node, found in nodes.items()}


def knowledge_of(maps: Iterable[Raw], node: NodeFiles) -> Knowledge:
    """What the maps of one node tell; a map that is missing or damaged tells nothing.

    Args:
        maps: the maps.
        node: what else is known of it; its agent tells which endpoints have policy.
    """
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


def _is_nat(one: Raw) -> bool:
    """Whether the values are as long as those of a NAT table of their family."""
    return one.values.shape[1:] == (NAT_VALUE_SIZES[one.info.key_size],)
