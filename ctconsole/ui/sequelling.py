"""Watches what becomes of the entries of all maps of a change, and tells it by itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from textual.worker import get_current_worker

from ctconsole.model.ct.sequel import EntriesBefore, Sequel
from ctconsole.model.units import duration
from ctconsole.ui.console import console_of
from ctconsole.ui.newest import Newest
from ctconsole.ui.screens.sequel import SequelOf, SequelScreen
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import PurePath

    import numpy as np
    import numpy.typing as npt
    from textual.app import App

    from ctconsole.model.ct.sequel import Sequels
    from ctconsole.model.ct.table import CtTable
    from ctconsole.observe.sampler import Look, Sample
    from ctconsole.observe.source import MapRow

LOOKED_AT: Final = 60.0
"""Seconds for which it is watched."""

KEPT: Final = 600.0
"""Seconds for which it is told."""

PATIENCE: Final = 5.0
"""Seconds that a change waits until it is known what was in every map of it."""

_COUNTED: Final = "counted alone"
"""Of maps whose entries have no lifetime and no flags: how many there are is all that is seen."""


Mask: TypeAlias = "Callable[[CtTable], npt.NDArray[np.bool_] | None]"


@dataclass
class _OneMap:
    """One map of the change.

    Attributes:
        row: it, as it was before.
        before: its entries then; None where they were not read, or cannot be compared.
        why: why not.
        seen: when it was compared last, and what was found.
    """

    row: MapRow
    before: EntriesBefore | None = None
    why: str = ""
    seen: tuple[float, Sequels] | None = None

    @property
    def settled(self) -> bool:
        """Whether it is known what was in it, or why not."""
        return self.before is not None or bool(self.why)


class Sequelling:
    """A `ctconsole.ui.console.WatchesChange`.

    The map that the dialogue is about is read for the screen anyway, and compared in a worker. The
    others of the change are read behind it, and compared where they are read, so that none of their
    tables is kept but what was in them before.

    Args:
        app: works off the comparing.
        now: the wall clock, seconds since the Unix epoch.
        watch: called when other maps, or none, have to be read for it (`pin`, `looks`).
        show: brings the screen up to date.
    """

    def __init__(
        self,
        app: App[None],
        now: Callable[[], float],
        watch: Callable[[], None],
        show: Callable[[], None],
    ) -> None:
        self._app, self._now, self._watch, self._show = app, now, watch, show
        self._work = Newest["CtTable"](self._begin_comparing)
        self._row: MapRow | None = None
        self._what = ""
        self._maps: tuple[_OneMap, ...] = ()
        self._read = threading.Event()
        self._sample: Sample | None = None
        self._changed_at: float | None = None
        self._over = False

    @property
    def pin(self) -> PurePath | int | None:
        """The map that has to be read whole for it; None: none."""
        return None if self._row is None or self._over else self._row.info.pin

    @property
    def looks(self) -> tuple[tuple[PurePath | int, Look], ...]:
        """The other maps to be read, and what is to be done with each."""
        if self._over:
            return ()
        return tuple(
            (one.row.info.pin, partial(self._look_at, one))
            for one in self._maps
            if one.row.info.pin not in {None, self.pin} and one.row.is_conntrack
            if one.row.info.pin is not None
        )

    def expect(self, row: MapRow | None) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if row is not None and row.is_conntrack:
            self._row, self._over = row, False
            self._maps, self._changed_at = (), None
            self._watch()

    def changing(self, what: str, pins: Iterable[PurePath], sample: Sample, rows: Mask) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._row is None:
            return
        self._what, self._over, self._changed_at = what, False, None
        found = [_OneMap(row) for pin in pins if (row := _row_of(sample, pin)) is not None]
        found = found or [_OneMap(self._row)]
        for one in found:
            if one.row.key == self._row.key:
                self._remember(one, sample, rows)
            elif not one.row.is_conntrack:
                one.why = _COUNTED
        self._maps = tuple(found)
        self._read = threading.Event()
        self._tell_whether_read()
        if not self._read.is_set():
            self._watch()
            console_of(self._app).hurry()

    def _remember(self, one: _OneMap, sample: Sample, rows: Mask) -> None:
        """Keep what may be lost of the map that the dialogue is about."""
        read = sample.table if sample.watched == self.pin else None
        lost = rows(read) if read is not None else None
        if read is None or lost is None:
            one.why = "what came back is not known: the table was not read before"
        else:
            one.before = EntriesBefore(read.take(lost))

    def _tell_whether_read(self) -> None:
        if all(one.settled for one in self._maps):
            self._read.set()

    def read_before(self) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        self._read.wait(PATIENCE)
        for one in self._maps:
            if not one.settled:
                one.why = "what came back is not known: the table could not be read in time"

    def _look_at(self, one: _OneMap, found: CtTable | str) -> None:
        """Take a table that was read behind the screen; in the sampler's thread."""
        changed = self._changed_at
        if changed is None:
            if isinstance(found, str):
                one.why = one.why or f"what came back is not known: {found}"
            elif not one.settled:
                one.before = EntriesBefore(found)
            self._tell_whether_read()
        elif not isinstance(found, str) and one.before is not None and found.taken_at >= changed:
            one.seen = (found.taken_at, one.before.sequels(found))

    def changed(self) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._maps:
            self._changed_at = self._now()
            self._show()

    def left(self) -> None:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None:
            self._row, self._maps = None, ()
            self._watch()

    def look(self, sample: Sample) -> None:
        """Compare a new sample with what was there before."""
        self._sample = sample
        if self._changed_at is None or self._over:
            return
        table, main = sample.table, self._main
        if self._now() - self._changed_at > LOOKED_AT:
            self._over = True
            self._watch()
            self._show()
        elif (
            main is not None
            and main.before is not None
            and table is not None
            and sample.watched == self.pin
            and table.taken_at >= self._changed_at
        ):
            self._work.ask(table)

    @property
    def _main(self) -> _OneMap | None:
        """The map that is read for the screen, where the change is about it."""
        key = self._row.key if self._row is not None else None
        return next((one for one in self._maps if one.row.key == key), None)

    def _begin_comparing(self) -> None:
        self._app.run_worker(
            self._compare, name="_compare", thread=True, group="sequel", exit_on_error=False
        )

    def _compare(self) -> None:
        main, table = self._main, self._work.wanted
        seen = None
        if main is not None and main.before is not None and table is not None:
            seen = (table.taken_at, main.before.sequels(table))
        if not get_current_worker().is_cancelled:
            self._app.call_from_thread(self._compared, main, seen)

    def _compared(self, one: _OneMap | None, seen: tuple[float, Sequels] | None) -> None:
        self._work.ended()
        if one is not None and one is self._main and seen is not None:
            one.seen = seen
            self._show()

    @property
    def told(self) -> str:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None or not self._maps:
            return ""
        passed = self._now() - self._changed_at
        if passed > KEPT:
            return ""
        after = min(passed, LOOKED_AT)
        left = "" if self._over else f", {duration(max(1, round(LOOKED_AT - after)))} to go"
        head = f"{clean(self._what)}, {duration(max(1, round(after)))} after{left}: "
        listing = console_of(self._app).keyed(" · {map.sequel} lists them")
        listed = listing if any(one.seen for one in self._maps) else ""
        if len(self._maps) == 1:
            return f"{head}{self._of(self._maps[0])}{listed}"
        each = "; ".join(f"{clean(one.row.name)}: {self._of(one)}" for one in self._maps)
        return f"{head}{self._together()}{each}{listed}"

    def _together(self) -> str:
        """Of several maps, how it went as a whole, as far as they were compared."""
        seen = [one.seen[1] for one in self._maps if one.seen is not None]
        if not seen:
            return f"{len(self._maps)} maps: "
        back = sum(one.counts[Sequel.BACK] for one in seen)
        expected, broke = (sum(getattr(one, it) for one in seen) for it in ("expected", "broke"))
        return f"{len(self._maps)} maps, {back:,} of {expected:,} are there, {broke:,} broke: "

    def _of(self, one: _OneMap) -> str:
        """What is seen of one map."""
        if one.seen is not None:
            return one.seen[1].sentence
        if one.before is not None:
            return "not read since" if self._over else "reading …"
        if one.why != _COUNTED:
            return one.why or "reading …"
        row = _row_of(self._sample, one.row.info.pin) if self._sample is not None else None
        was, now = one.row.entries, row.entries if row is not None else None
        if was is None or now is None:
            return "its entries are not counted"
        return f"{was:,} entries before, {now:,} now, not compared one by one"

    def list(self) -> str:
        """See `ctconsole.ui.console.WatchesChange`."""
        if self._changed_at is None:
            return "nothing was changed from here yet"
        found = [
            SequelOf(one.row.name, one.before.table, one.seen[1])
            for one in self._maps
            if one.before is not None and one.seen is not None
        ]
        if not found:
            return self.told
        self._app.push_screen(SequelScreen(self.told, found))
        return ""


def _row_of(sample: Sample, pin: PurePath | None) -> MapRow | None:
    return sample.node.row(str(pin)) if sample.node is not None and pin is not None else None
