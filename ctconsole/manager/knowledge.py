"""What a node's maps tell about the connections in its conntrack tables (see `model.risk`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import FormatError, NoSuchMapError
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.rows import read_rows
from ctconsole.model.lbrows import service_id_key
from ctconsole.model.records import RecordTable
from ctconsole.model.risk import Knowledge, ServiceFacts
from ctconsole.model.service_flags import ServiceFlag

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = (4, 6)


def read_knowledge(folder: Path) -> Knowledge:
    """Read the service maps pinned in ``tc/globals``; one that is missing tells nothing.

    Whether policy is enforced cannot be told from maps: an agent writes rules into them that
    allow everything where no policy is.

    Raises:
        BpfError: a map cannot be read.
    """
    services: dict[int, ServiceFacts] = {}
    for family in FAMILIES:
        services |= _services(folder, family)
    return Knowledge(services)


def _services(folder: Path, family: int) -> dict[int, ServiceFacts]:
    try:
        with BpfMap.open(folder / f"cilium_lb{family}_services_v2") as live:
            dump = live.read()
            table = RecordTable.from_raw(live.info, dump.keys, dump.values)
    except (NoSuchMapError, FormatError):
        return {}
    try:
        maglev = frozenset(read_rows(folder / f"cilium_lb{family}_maglev"))
    except NoSuchMapError:
        maglev = frozenset()
    fronts = np.flatnonzero(table.keys["backend_slot"] == 0)
    found = {}
    for front in table.values[fronts]:
        number = int(front["rev_nat_index"])
        sticky = bool(front["flags"] & ServiceFlag.AFFINITY) or service_id_key(number) in maglev
        found[number] = ServiceFacts(int(front["count"]), sticky)
    return found
