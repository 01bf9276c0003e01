"""Four moments of a node with one table, and the file they make."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.model.names import Names
from ctconsole.observe.recording.moment import VERSION, Head, NodeMoment
from ctconsole.observe.recording.writer import RecordingWriter
from tests.support.ct_tables import Entry, ct_table
from tests.support.fakes import CARD, FACTS, FakeSource, story

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.source import NodeSnapshot

HEAD = Head(VERSION, "node-1", "0.1.0", 1000.0, 2.0)
MOST = 1 << 24
"""Bytes of a file: more than any of them takes."""


def maps(entries: int, taken_at: float) -> NodeSnapshot:
    """One map with so many entries."""
    found = FakeSource().maps()
    row = replace(found.rows[0], entries=entries)
    return replace(found, rows=(row,), taken_at=taken_at)


KEY = maps(0, 0.0).rows[0].key


def moment(number: int, *entries: Entry) -> NodeMoment:
    """The moment of this number, two seconds after the one before."""
    taken_at = 1000.0 + 2 * number
    table = ct_table(*entries, taken_at=taken_at, now=10_000 + 2 * number)
    return NodeMoment(
        taken_at,
        maps(len(entries), taken_at),
        MappingProxyType({KEY: table}),
        title=f"up {number}",
        agent=replace(CARD, cpu=number / 10),
        facts=FACTS,
    )


MOMENTS = (
    moment(0, Entry("10.0.1.1:1"), Entry("10.0.1.1:2")),
    moment(1, Entry("10.0.1.1:1", packets=9), Entry("10.0.1.1:2"), Entry("10.0.1.1:3")),
    moment(2, Entry("10.0.1.1:3")),
    moment(3),
)


def record(path: Path, moments: Iterable[NodeMoment] = MOMENTS, *, most: int = MOST) -> None:
    """Write a recording of these moments, and what happened in the second of them."""
    with RecordingWriter(path, HEAD, most) as writer:
        writer.name(Names(services=MappingProxyType({1: "web"})), 1000.0)
        for number, one in enumerate(moments):
            assert writer.add(one, story()[:2] if number == 1 else ())


def entries(table: CtTable) -> tuple[bytes, bytes]:
    """All bytes of a table."""
    return table.keys.tobytes(), table.values.tobytes()
