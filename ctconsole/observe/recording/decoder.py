"""Frames as moments: a whole one, and the steps that follow it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ctconsole.errors import FormatError
from ctconsole.model.ct.knowledge import NOTHING_KNOWN, Knowledge
from ctconsole.model.ct.table import CtTable
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.model.recording.frame import FrameKind
from ctconsole.model.recording.rows import RawRows, applied, of_whole
from ctconsole.observe.calls import CallArray
from ctconsole.observe.recording.encoder import raw_rows
from ctconsole.observe.recording.moment import TYPES, NodeMoment, TableFacts, unpack
from ctconsole.observe.source import MapRow, NodeSnapshot
from ctconsole.observe.usage import MapUsage

if TYPE_CHECKING:
    from ctconsole.model.recording.frame import Frame


class Decoder:
    """Follows the frames of a recording, beginning with a whole moment."""

    def __init__(self) -> None:
        self._moment: NodeMoment | None = None

    def decode(self, frame: Frame) -> NodeMoment:
        """The moment a frame tells of.

        Args:
            frame: a whole moment, or the step that follows the frame before.

        Raises:
            FormatError: it holds something else, or does not fit what was before.
        """
        told = unpack(frame.content())
        if frame.kind is FrameKind.WHOLE:
            before = NodeMoment(0.0)
        elif self._moment is None:
            raise FormatError("A recorded step has no moment before it")
        else:
            before = self._moment
        self._moment = _moment(frame.time, told, before)
        return self._moment


def _moment(taken_at: float, told: dict[str, Any], before: NodeMoment) -> NodeMoment:
    node, tables = before.node, dict(before.tables)
    if "node" in told:
        node = _node(told["node"], before.node)
    for one in _list(told.get("tables", []), "tables"):
        key = one.get("key") if isinstance(one, dict) else None
        if not isinstance(key, str):
            raise FormatError("A recorded table has no name")
        tables[key] = _table(key, one, tables.get(key))
    if node is not None:
        present = {row.key for row in node.rows}
        tables = {key: table for key, table in tables.items() if key in present}
    return NodeMoment(
        taken_at,
        node,
        MappingProxyType(tables),
        TYPES.value(tuple[MapUsage, ...], told["usage"], "usage")
        if "usage" in told
        else before.usage,
        TYPES.value(tuple[CallArray, ...], told["calls"], "calls")
        if "calls" in told
        else before.calls,
        TYPES.value(str, told.get("error", before.error), "error"),
        TYPES.value(str, told.get("title", before.title), "title"),
        TYPES.value(AgentCard | None, told["agent"], "agent") if "agent" in told else before.agent,  # type: ignore[arg-type] # an annotation, as the fields have them
        TYPES.value(tuple[KnownFact, ...], told["facts"], "facts")
        if "facts" in told
        else before.facts,
    )


def _node(told: object, before: NodeSnapshot | None) -> NodeSnapshot:
    if not isinstance(told, dict):
        raise FormatError("The maps of a recorded moment are none")
    rows = {row.key: row for row in before.rows} if before else {}
    for gone in _list(told.get("gone", []), "gone maps"):
        rows.pop(str(gone), None)
    for row in TYPES.value(tuple[MapRow, ...], told.get("rows", []), "maps"):
        rows[row.key] = row
    snapshot = TYPES.value(NodeSnapshot, told | {"rows": []}, "node")
    return replace(snapshot, rows=tuple(rows.values()))


def _table(key: str, told: dict[str, Any], before: CtTable | None) -> CtTable:
    if "facts" not in told:
        if before is None:
            raise FormatError(f"Of the recorded table {key} nothing is told")
        return before
    facts = TYPES.value(TableFacts, told["facts"], key)
    knowledge = before.knowledge if before else NOTHING_KNOWN
    if "knowledge" in told:
        knowledge = TYPES.value(Knowledge, told["knowledge"], f"what is known of {key}")
    if (
        before is not None
        and before.layout is facts.layout
        and not {"whole", "steps"} & told.keys()
    ):
        # The same arrays, by which whoever looks sees that no entry has changed.
        return replace(before, **facts.as_dict(), knowledge=knowledge)
    rows = _rows(key, told, before)
    table = CtTable.from_raw(facts.info, facts.layout, rows.keys, rows.values, knowledge=knowledge)
    return replace(table, **facts.as_dict())


def _rows(key: str, told: dict[str, Any], before: CtTable | None) -> RawRows:
    if "whole" in told:
        return of_whole(told["whole"])
    if before is None:
        raise FormatError(f"The recorded table {key} has steps and no beginning")
    return applied(raw_rows(before), told["steps"]) if "steps" in told else raw_rows(before)


def _list(told: object, what: str) -> list[Any]:
    if not isinstance(told, list):
        raise FormatError(f"The {what} of a recorded moment are no list")
    return told
