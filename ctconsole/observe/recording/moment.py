"""What a node was like at one moment, as far as it was looked at, and its plain form."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ctconsole.errors import FormatError
from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.catalogue import Group
from ctconsole.model.ct.knowledge import Knowledge, PolicyFacts, ServiceFacts, Translations
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import Walk
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.names import Names, Prefix
from ctconsole.model.nodecard import AgentCard, KnownFact
from ctconsole.model.recording.plain import Types
from ctconsole.model.recording.rows import ByColumn
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.model.whose import Whose
from ctconsole.observe.calls import CallArray, Callee
from ctconsole.observe.inventory import User
from ctconsole.observe.source import MapRow, NodeSnapshot
from ctconsole.observe.usage import MapGeneration, MapUsage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.model.ct.table import CtTable

VERSION: Final = 1
"""Of the format. What a newer one adds is passed over; one that changes has another number."""

_BIN_32, _ARRAY_32, _MAP_32 = 0xC6, 0xDD, 0xDF
"""MessagePack's first bytes of long values."""

_NO_TABLES: Mapping[str, CtTable] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NodeMoment:
    """One sample.

    Attributes:
        taken_at: seconds since the Unix epoch.
        node: the maps; None where they could not be read.
        tables: conntrack tables by `MapRow.key`, each as it was read last (`CtTable.taken_at`).
        usage: which programs use which generation of each map.
        calls: what is in each program array.
        error: what could not be read, in words.
        title: one line naming the node, its agent and how long that was up.
        agent: its agent; None where nothing is known of one.
        facts: what is known of the node.
    """

    taken_at: float
    node: NodeSnapshot | None = None
    tables: Mapping[str, CtTable] = field(default_factory=lambda: _NO_TABLES)
    usage: tuple[MapUsage, ...] = ()
    calls: tuple[CallArray, ...] = ()
    error: str = ""
    title: str = ""
    agent: AgentCard | None = None
    facts: tuple[KnownFact, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """What a recording says of itself before its first moment.

    Attributes:
        version: `VERSION`.
        title: the node, as the console names it.
        program: which release of this program wrote it.
        started: seconds since the Unix epoch.
        interval: seconds between two moments.
        hidden: whether addresses were replaced.
    """

    version: int
    title: str
    program: str
    started: float
    interval: float
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class TableFacts:
    """All of a `CtTable` but its entries and what is known beside them."""

    info: MapInfo
    layout: Layout
    now: int
    taken_at: float
    walk: Walk
    hertz: int
    at_least: bool
    whose: Whose
    counted: bool

    @classmethod
    def of(cls, table: CtTable) -> TableFacts:
        """Those of a table."""
        return cls(**{one.name: getattr(table, one.name) for one in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        """To be put into a table."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event and its id."""

    id: int
    event: Event


TYPES: Final = Types(
    (
        AgentCard,
        CallArray,
        Callee,
        Event,
        EventKind,
        Group,
        Head,
        Knowledge,
        KnownFact,
        Layout,
        Level,
        MapGeneration,
        MapInfo,
        MapRow,
        MapType,
        MapUsage,
        Names,
        NodeSnapshot,
        Numbered,
        PolicyFacts,
        Prefix,
        ProgramInfo,
        ProgramType,
        ServiceFacts,
        TableFacts,
        Translations,
        User,
        Walk,
        Whose,
    )
)
"""All that a recording may hold."""


def pack(told: object) -> bytes:
    """A plain value as bytes (MessagePack)."""
    return msgspec.msgpack.encode(told)


class Packed:
    """A plain value in which tables may stand as `ByColumn`, as bytes (MessagePack).

    It comes in pieces, so that the whole of it need not be there at once; may be gone through
    again.

    Args:
        told: the value.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told

    @property
    def large(self) -> bool:
        """Whether a table stands in it."""
        return _large(self._told)

    def __iter__(self) -> Iterator[bytes]:
        return _pieces(self._told)


def _large(told: object) -> bool:
    if isinstance(told, ByColumn):
        return True
    parts = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    return any(_large(part) for part in parts)


def _pieces(told: object) -> Iterator[bytes]:
    """What `pack` makes of it; what is large in parts."""
    if not _large(told):
        yield pack(told)
    elif isinstance(told, ByColumn):
        yield struct.pack(">BI", _BIN_32, told.nbytes)
        yield from told.pieces()
    elif isinstance(told, dict):
        yield struct.pack(">BI", _MAP_32, len(told))
        for name, value in told.items():
            yield pack(name)
            yield from _pieces(value)
    elif isinstance(told, list):
        yield struct.pack(">BI", _ARRAY_32, len(told))
        for value in told:
            yield from _pieces(value)


def unpack(content: bytes) -> dict[str, Any]:
    """Undo `pack`; what is recorded is a mapping by names.

    Raises:
        FormatError: the bytes are none.
    """
    try:
        return msgspec.msgpack.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise FormatError(f"A frame of the recording holds something else: {error}") from error
