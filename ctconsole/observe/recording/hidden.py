"""Moments and events without addresses and names, for recordings that are handed to others."""

from __future__ import annotations

import os
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.event import EventKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.model.ct.hiding import Hiding
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.event import Event
    from ctconsole.observe.recording.moment import NodeMoment

_OF_MAPS: Final = frozenset(
    {
        *(kind for kind in EventKind if kind.value.startswith("map-")),
        EventKind.GC_PASS,
        EventKind.ENTRIES_DELETED,
        EventKind.ENTRIES_RETURNED,
        EventKind.SPLIT_BRAIN,
        EventKind.AGENT_START,
        EventKind.AGENT_READY,
        EventKind.AGENT_STOP,
    }
)
"""Events that are about maps and the agent; others may name pods, services and peers."""


class HidingMoments:
    """Hides what one recording is told, moment after moment.

    Args:
        hiding: replaces addresses.
    """

    def __init__(self, hiding: Hiding) -> None:
        self._hiding = hiding
        self._shown: dict[str, tuple[CtTable, CtTable]] = {}

    def title(self, title: str) -> str:
        """A title without the node's name."""
        name = os.uname().nodename
        return self._hiding.text(title.replace(name, self._hiding.name(name)))

    def moment(self, moment: NodeMoment) -> NodeMoment:
        """A moment with other addresses in its tables and words."""
        tables = {key: self._table(key, table) for key, table in moment.tables.items()}
        for gone in self._shown.keys() - tables.keys():
            del self._shown[gone]
        return replace(
            moment,
            tables=MappingProxyType(tables),
            error=self._hiding.text(moment.error),
            title=self.title(moment.title),
        )

    def events(self, events: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
        """Events without names; of those that are not about maps only what is a number."""
        return [(number, self._event(event)) for number, event in events]

    def _event(self, event: Event) -> Event:
        text = self._hiding.text
        if event.kind in _OF_MAPS:
            fields = {
                name: text(value) if isinstance(value, str) else value
                for name, value in event.fields.items()
            }
            message = text(event.message)
            return replace(event, message=message, subject=text(event.subject), fields=fields)
        numbers = {
            name: value
            for name, value in event.fields.items()
            if value is None or isinstance(value, int | float)
        }
        return replace(event, message=event.kind.value, subject="", fields=numbers)

    def _table(self, key: str, table: CtTable) -> CtTable:
        """A table hidden; one at rest shares the arrays of the moment before, hidden or not."""
        before = self._shown.get(key)
        if before and before[0].keys is table.keys and before[0].values is table.values:
            shown = before[1]
            hidden = replace(table, keys=shown.keys, values=shown.values, knowledge=NOTHING_KNOWN)
        else:
            hidden = self._hiding.table(table)
        self._shown[key] = table, hidden
        return hidden
