"""One entry through the samples: what happened to it, also after its end."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.layout import TcpFlag
from ctconsole.model.ct.order import find_entry
from ctconsole.model.ct.related import in_a_line
from ctconsole.model.ct.words import STATES, flag_words, texts
from ctconsole.model.units import duration, short_count, short_size

if TYPE_CHECKING:
    from ctconsole.model.ct.field import Facts
    from ctconsole.model.ct.table import CtTable

KEPT: Final = 500
"""Lines of what happened; older ones go."""

_STATES: Final = texts(STATES)


class FollowedEntry:
    """Is shown every sample of its table; see `look`.

    Args:
        table: the table in which it is.
        key: its raw key.

    Attributes:
        key: as given.
        last: the table of its one row as it was seen last.
        there: whether the newest sample has it.
    """

    def __init__(self, table: CtTable, key: bytes) -> None:
        row = find_entry(table, key)
        if row is None:
            raise KeyError(key)
        self.key = key
        self.last = self._first = table.take(slice(row, row + 1))
        self.there = True
        self._table_id, self._at, self._gone_at = table.info.id, table.taken_at, 0.0
        self._pace = self._missed = ""
        self._told: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self._tell(f"followed from here on: {_STATES[int(self.last.state[0])]}")

    @property
    def line(self) -> str:
        """Which connection it is."""
        return in_a_line(self.last)

    def look(self, table: CtTable) -> None:
        """Take note of a newer sample; one of another map, or an older one, is no news."""
        if table.info.label != self.last.info.label or table.taken_at <= self._at:
            return
        seconds, self._at = table.taken_at - self._at, table.taken_at
        if self._missed:
            self._missed = ""
            self._tell("its table is read again")
        moved = table.info.id != self._table_id
        if moved:
            self._tell(
                f"the map was re-created: {table.info.id} is in the place of {self._table_id}"
            )
            self._table_id = table.info.id
        row = find_entry(table, self.key)
        if row is not None:
            self._found(table.take(slice(row, row + 1)), seconds)
        elif self.there:
            self.there, self._gone_at, self._pace = False, table.taken_at, ""
            self._tell(self._why_gone(table, moved=moved))

    def miss(self, why: str) -> None:
        """Take note that its table could not be read; told once, until it can be again."""
        if why != self._missed:
            self._missed = why
            self._tell(f"not seen from here on: {why}")

    def _why_gone(self, table: CtTable, *, moved: bool) -> str:
        if moved:
            return "gone with the map"
        if not (table.has_clock and self.last.has_clock):
            return "gone; whether its lifetime was over is not known"
        left = int(self.last.values["lifetime"][0]) - table.now
        if left <= 0:
            return "gone: its lifetime was over"
        return f"gone although {duration(left)} were left: deleted or thrown out"

    def _found(self, one: CtTable, seconds: float) -> None:
        was = self.last
        if not self.there:
            self._tell(f"back after {duration(round(self._at - self._gone_at))}: {_state(one)}")
        elif int(one.packets[0]) < int(was.packets[0]):
            self._tell(f"counters began anew: another connection of the same ends, {_state(one)}")
        else:
            self._tell_changes(was, one)
            packets = (int(one.packets[0]) - int(was.packets[0])) / seconds
            size = max(0, int(one.bytes[0]) - int(was.bytes[0])) / seconds
            self._pace = f"{short_count(round(packets))} packets/s, {short_size(round(size))}/s"
        self.last, self.there = one, True

    def _tell_changes(self, was: CtTable, one: CtTable) -> None:
        if _state(was) != _state(one):
            self._tell(f"{_state(was)} -> {_state(one)}")
        for way in ("rx", "tx"):
            old, new = (int(each.values[f"{way}_flags_seen"][0]) for each in (was, one))
            fresh = [flag.name or "" for flag in TcpFlag if new & ~old & flag]
            if fresh and not one.service[0]:
                self._tell(f"seen for the first time {way}: {' '.join(fresh)}")
        if was.values["flags"][0] != one.values["flags"][0]:
            self._tell(f"flags are {flag_words(int(one.values['flags'][0]))} now")
        if int(was.backend[0]) != int(one.backend[0]):
            self._tell(f"backend {int(was.backend[0])} -> {int(one.backend[0])}")

    def _tell(self, text: str) -> None:
        self._told.appendleft((self._at, text))

    @property
    def facts(self) -> Facts:
        """What happened, the newest first."""
        grown = int(self.last.bytes[0]) - int(self._first.bytes[0])
        pace = [("pace", self._pace)] if self._pace and self.last.counted else []
        if grown >= 0 and self.last.counted:
            pace.append(("since followed", short_size(grown)))
        lines = [(time.strftime("%H:%M:%S", time.localtime(at)), text) for at, text in self._told]
        return [*pace, *lines]


def _state(one: CtTable) -> str:
    return _STATES[int(one.state[0])]
