"""The one entry that is followed: across samples, maps, views and its own end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.followed import FollowedEntry
from ctconsole.model.ct.order import find_entry
from ctconsole.model.ct.related import related

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath

    from ctconsole.model.ct.field import Facts
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Sample


class Following:
    """Shared by all views. All but `arrived` is for the app's thread.

    Args:
        watch: called when another map, or none, has to be read for it (`pin`).

    Attributes:
        entry: what is followed; None: nothing is.
        around: it and the other entries of its connection, as they were seen last.
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch
        self.entry: FollowedEntry | None = None
        self.around: CtTable | None = None
        self._arrived: tuple[FollowedEntry, CtTable | str] | None = None

    @property
    def pin(self) -> PurePath | int | None:
        """The map that has to be read for it; None: none."""
        if self.entry is None:
            return None
        info = self.entry.last.info
        return info.pin or info.id

    def begin(self, table: CtTable, key: bytes) -> None:
        """Follow this entry of a table, which has it, in the place of the one before."""
        self.entry, self.around = FollowedEntry(table, key), cut_around(table, key)
        self._watch()

    def end(self) -> None:
        """Follow nothing."""
        self.entry = self.around = None
        self._watch()

    def arrived(self, found: CtTable | str) -> None:
        """Take its table, read because another is watched, or why it could not be read."""
        entry = self.entry
        if entry is not None:
            # The table is let go of: what is kept is the entry, and what belongs to it.
            part = found if isinstance(found, str) else cut_around(found, entry.key)
            self._arrived = entry, part

    def look(self, sample: Sample) -> None:
        """Take note of a new sample, and of what has arrived with it."""
        entry, arrived, self._arrived = self.entry, self._arrived, None
        if entry is None:
            return
        if sample.table is not None and sample.watched == self.pin:
            self._see(entry, cut_around(sample.table, entry.key))
        elif arrived is not None and arrived[0] is entry:
            if isinstance(arrived[1], str):
                entry.miss(arrived[1])
            else:
                self._see(entry, arrived[1])

    def _see(self, entry: FollowedEntry, part: CtTable) -> None:
        entry.look(part)
        if len(part):
            self.around = part

    def facts(self, key: bytes) -> Facts:
        """What happened to the entry of this key; nothing where it is not the one followed."""
        if self.entry is None or self.entry.key != key:
            return []
        return self.entry.facts


def cut_around(table: CtTable, key: bytes) -> CtTable:
    """The entry of a key alone with the others of its connection; empty where it is not there."""
    row = find_entry(table, key)
    if row is None:
        return table.take(slice(0, 0))
    return table.take(np.sort(np.append(related(table, row), row)))
