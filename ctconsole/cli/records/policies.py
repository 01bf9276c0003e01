"""Policy maps and the map their rules are counted in, brought together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.model.records.policy_counters import counted, is_counted
from ctconsole.model.records.spec import RecordKind
from ctconsole.model.records.table import RecordTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.errors import FormatError
    from ctconsole.node.records import Decoded


def with_counters(found: Sequence[Decoded]) -> list[Decoded]:
    """Policy maps with the packets and bytes of their rules.

    The statistics of a node that has policy maps are told with these, and left out; where a node
    has none, a message says so.
    """
    statistics = {
        raw.node: table
        for raw, table in found
        if isinstance(table, RecordTable) and table.kind is RecordKind.POLICY_STATS
    }
    uncounted = {
        raw.node
        for raw, table in found
        if isinstance(table, RecordTable)
        and table.kind is RecordKind.POLICY
        and not is_counted(table)
    }
    for node in sorted(uncounted - statistics.keys()):
        where = f" in {node}" if node else ""
        message(f"There is no cilium_policystats{where}, so packets and bytes are not known")
    return [
        (raw, _counted(table, statistics.get(raw.node)))
        for raw, table in found
        if raw.node not in uncounted or table is not statistics.get(raw.node)
    ]


def _counted(
    table: RecordTable | FormatError, statistics: RecordTable | None
) -> RecordTable | FormatError:
    if (
        not isinstance(table, RecordTable)
        or table.kind is not RecordKind.POLICY
        or is_counted(table)
    ):
        return table
    return counted(table, statistics)
