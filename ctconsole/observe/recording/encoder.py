"""Moments as frames: each by what differs from the one before, and now and then a whole one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.ct.changes import KeyedTable
from ctconsole.model.recording.frame import Frame, FrameKind, frame, frame_of
from ctconsole.model.recording.plain import plain
from ctconsole.model.recording.rows import RawRows, difference, whole
from ctconsole.observe.recording.moment import Packed, TableFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.recording.moment import NodeMoment
    from ctconsole.observe.source import MapRow

MOST_STEPS: Final = 300
"""Steps behind a whole moment at most: whoever seeks walks through them."""

_SHARE: Final = 1
"""So many times the bytes of a whole moment may follow in steps before the next whole one."""


class Encoder:
    """Makes frames of the moments of one node, in their order.

    It holds on to the tables of the newest moment, which whoever shows them holds as well.
    """

    def __init__(self) -> None:
        self._rows: dict[str, MapRow] = {}
        self._tables: dict[str, KeyedTable] = {}
        self._told: dict[str, object] = {}
        self._keyed: KeyedTable | None = None
        self._whole_bytes = 0
        self._step_bytes = 0
        self._steps = 0

    @property
    def due(self) -> bool:
        """Whether the next moment will stand by itself."""
        return (
            not self._whole_bytes
            or self._steps >= MOST_STEPS
            or self._step_bytes > _SHARE * self._whole_bytes
        )

    def encode(self, moment: NodeMoment, keyed: KeyedTable | None = None) -> Frame:
        """The next frame.

        Args:
            moment: what it is to tell of.
            keyed: one of its tables, where that has been hashed.
        """
        self._keyed = keyed
        try:
            return self._encoded(moment)
        except BaseException:
            # What was taken note of is in no frame: the next one stands by itself.
            self._whole_bytes = 0
            raise

    def _encoded(self, moment: NodeMoment) -> Frame:
        # A table that was not looked at before is told whole in any case: once, not twice.
        if self.due or not moment.tables.keys() <= self._tables.keys():
            self._rows, self._tables, self._told = {}, {}, {}
            made = self._frame(FrameKind.WHOLE, moment)
            self._whole_bytes, self._step_bytes, self._steps = made.bytes_in_file, 0, 0
        else:
            made = self._frame(FrameKind.STEP, moment)
            self._step_bytes += made.bytes_in_file
            self._steps += 1
        return made

    def _frame(self, kind: FrameKind, moment: NodeMoment) -> Frame:
        packed = Packed(self._content(moment))
        if packed.large:
            return frame_of(kind, moment.taken_at, packed)
        return frame(kind, moment.taken_at, b"".join(packed))

    def _content(self, moment: NodeMoment) -> dict[str, Any]:
        content: dict[str, Any] = {"tables": self._tables_of(moment.tables)}
        if moment.node is not None:
            content["node"] = self._node(moment)
        for name in ("usage", "calls", "error", "title", "agent", "facts"):
            value = getattr(moment, name)
            if self._told.get(name) != value:
                self._told[name] = value
                content[name] = plain(value)
        return content

    def _node(self, moment: NodeMoment) -> dict[str, Any]:
        node = moment.node
        assert node is not None  # noqa: S101 - the caller has looked
        rows = {row.key: row for row in node.rows}
        told = {
            "taken_at": node.taken_at,
            "cost_seconds": node.cost_seconds,
            "passed_over": list(node.passed_over),
            "cpus": node.cpus,
            "rows": [plain(row) for key, row in rows.items() if self._rows.get(key) != row],
            "gone": [key for key in self._rows if key not in rows],
        }
        self._rows = rows
        # Of a map that is gone the entries are not needed again.
        for key in self._tables.keys() - rows.keys():
            del self._tables[key]
        return told

    def _tables_of(self, tables: Mapping[str, CtTable]) -> list[dict[str, Any]]:
        return [self._table(key, table) for key, table in tables.items()]

    def _table(self, key: str, table: CtTable) -> dict[str, Any]:
        before = self._tables.get(key)
        if before is not None and before.table is table:
            return {"key": key}
        given = self._keyed
        keyed = given if given and given.table is table else KeyedTable(table, before)
        self._tables[key] = keyed
        told: dict[str, Any] = {"key": key, "facts": plain(TableFacts.of(table))}
        if self._told.get(f"knowledge {key}") != table.knowledge:
            self._told[f"knowledge {key}"] = table.knowledge
            told["knowledge"] = plain(table.knowledge)
        return told | _rows_of(before, keyed)


def _rows_of(before: KeyedTable | None, keyed: KeyedTable) -> dict[str, Any]:
    table = keyed.table
    if before is not None and before.table.keys.dtype == table.keys.dtype:
        old = before.table
        if old.keys is table.keys and old.values is table.values:
            return {}
        steps = difference(raw_rows(old), raw_rows(table), keyed.kept_since(before))
        if steps is not None:
            return {"steps": steps}
    return {"whole": whole(raw_rows(table))}


def raw_rows(table: CtTable) -> RawRows:
    """A table's entries as bytes, without copying them."""
    keys, values = (
        part.view("u1").reshape(len(part), part.dtype.itemsize)
        for part in (table.keys, table.values)
    )
    return RawRows(keys, values)
