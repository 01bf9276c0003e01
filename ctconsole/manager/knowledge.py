"""What a node's maps tell about the connections in its conntrack tables (see `model.ct.risk`)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError, GoneError, NoMapError
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.rows import read_rows
from ctconsole.model.ct.knowledge import Knowledge, ServiceFacts
from ctconsole.model.ct.natpairs import NAT_VALUE_SIZES, translations
from ctconsole.model.plane.service_rows import service_facts
from ctconsole.model.records.table import RecordTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.model.ct.knowledge import Translations

FAMILIES = (4, 6)
NAT_MAPS: Final[Mapping[int, str]] = MappingProxyType(
    {14: "cilium_snat_v4_external", 38: "cilium_snat_v6_external"}
)
"""The NAT table that goes with the global conntrack tables, by the size of their keys."""


def read_knowledge(folder: Path) -> Knowledge:
    """Read the service maps pinned in ``tc/globals``; one that is missing or no map tells nothing.

    Whether policy is enforced cannot be told from maps: an agent writes rules into them that
    allow everything where no policy is.

    Raises:
        BpfError: a map cannot be read.
    """
    services: dict[int, ServiceFacts] = {}
    for family in FAMILIES:
        services |= _services(folder, family)
    return Knowledge(MappingProxyType(services))


def _services(folder: Path, family: int) -> Mapping[int, ServiceFacts]:
    try:
        with BpfMap.open(folder / f"cilium_lb{family}_services_v2") as live:
            dump = live.read()
            table = RecordTable.from_raw(live.info, dump.keys, dump.values)
    except (GoneError, NoMapError, FormatError):
        return {}
    try:
        maglev = frozenset(read_rows(folder / f"cilium_lb{family}_maglev"))
    except (GoneError, NoMapError):
        maglev = frozenset()
    return service_facts(table, maglev)


def read_translated(folder: Path) -> Mapping[int, Translations]:
    """Read the NAT tables pinned in ``tc/globals``; see `Knowledge.translated`.

    Raises:
        BpfError: a map cannot be read.
        FormatError: see `open_nat`.
    """
    found: dict[int, Translations] = {}
    for size in NAT_MAPS:
        nat = open_nat(folder, size)
        if nat is not None:
            with nat:
                found[size] = nat_translations(nat)
    return MappingProxyType(found)


def nat_translations(nat: BpfMap) -> Translations:
    """Read whose packets a NAT table translates."""
    dump = nat.read()
    return translations(dump.keys, dump.values)


def open_nat(folder: Path, key_size: int) -> BpfMap | None:
    """The NAT table for conntrack keys of this size; None where the node has none.

    Raises:
        FormatError: its entries are of other sizes than any release is known to have.
    """
    try:
        nat = BpfMap.open(folder / NAT_MAPS[key_size])
    except GoneError:
        return None
    info = nat.info
    if (info.key_size, info.value_size) != (key_size, NAT_VALUE_SIZES[key_size]):
        nat.close()
        raise FormatError(
            f"{info.label} has keys of {info.key_size} and values of {info.value_size} bytes: no "
            "NAT table of a known layout, so that nobody can say whose translations it holds"
        )
    return nat
