"""Taking a recording: every conntrack table of a node again and again, into a file."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.loops import sentence
from ctconsole.observe.recording.moment import NodeMoment
from ctconsole.observe.survey import REST

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.event import Event
    from ctconsole.observe.recording.hidden import HidingMoments
    from ctconsole.observe.recording.writer import RecordingWriter
    from ctconsole.observe.source import NodeSnapshot, Source

_EVENTS_AT_ONCE: Final = 5000
_SELDOM: Final = 10.0
"""Seconds between two looks at programs, which are dear."""


class Taker:
    """Samples a source into a recording; for one thread, which also owns the source.

    Args:
        source: asked for everything.
        writer: where it goes; not closed here.
        clock: wall clock, seconds since the Unix epoch.
        since: the id of the newest event that is not to be recorded.
        hiding: hides what goes into it; None records what there is.
    """

    def __init__(
        self,
        source: Source,
        writer: RecordingWriter,
        *,
        clock: Callable[[], float] = time.time,
        since: int = 0,
        hiding: HidingMoments | None = None,
    ) -> None:
        self._source = source
        self._writer = writer
        self._clock = clock
        self._last_event = since
        self._before = NodeMoment(0.0)
        self._hiding = hiding
        self._programs_due = 0.0

    def take(self) -> bool:
        """Add a moment; False where the file would grow too large.

        Raises:
            OSError: the file cannot be written.
        """
        now, errors = self._clock(), list[str]()
        node, usage, calls = self._before.node, self._before.usage, self._before.calls
        tables: dict[str, CtTable] = {}
        events: list[tuple[int, Event]] = []
        try:
            node = self._source.maps()
            tables = self._tables(node, errors)
            events = list(self._source.events(self._last_event, _EVENTS_AT_ONCE))
            if now >= self._programs_due:
                began = time.monotonic()
                usage, calls = tuple(self._source.usage()), tuple(self._source.calls())
                self._programs_due = now + max(_SELDOM, REST * (time.monotonic() - began))
        except CtconsoleError as error:
            errors.append(sentence(error))
        moment = NodeMoment(
            now,
            node,
            MappingProxyType(tables),
            usage,
            calls,
            errors[0] if errors else "",
            self._source.title,
            self._source.agent(),
            self._source.facts_known(),
        )
        if not self._add(moment, events):
            return False
        self._before = moment
        if events:
            self._last_event = events[-1][0]
        return True

    def _add(self, moment: NodeMoment, events: list[tuple[int, Event]]) -> bool:
        if self._hiding is not None:
            moment, events = self._hiding.moment(moment), self._hiding.events(events)
        return self._writer.add(moment, events)

    def _tables(self, node: NodeSnapshot, errors: list[str]) -> dict[str, CtTable]:
        tables = {}
        for row in node.rows:
            if not row.is_conntrack:
                continue
            where = row.info.pin or row.info.id
            try:
                tables[row.key] = self._source.table(where, self._before.tables.get(row.key))
            except CtconsoleError as error:
                # Gone since it was listed, or nothing that can be read.
                errors.append(sentence(error))
        return tables
