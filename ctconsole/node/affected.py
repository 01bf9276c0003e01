"""The entries of the tables that a resize is planned for, read whole to be listed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.kernel.maps import BpfMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.manager.resize.plan import MapPlan
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import CtTable


def planned_tables(maps: Sequence[MapPlan], reading: Reading) -> Iterator[tuple[CtTable, int]]:
    """Each conntrack table of a plan as it is now, and how many entries have no room in the new.

    Args:
        maps: what becomes of each map.
        reading: how entries are read and judged.

    Raises:
        CtconsoleError: a map is gone or cannot be read.
    """
    for one in maps:
        if one.layout is not None:
            with BpfMap.open(one.path) as live:
                table = live.read_conntrack(replace(reading, layout=one.layout)).table()
            yield table, sum(one.dropped.values())
