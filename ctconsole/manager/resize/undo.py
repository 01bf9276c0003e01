"""What an undo needs to know of a resize: the sizes there were, and until when they can come back.

One file for each bpffs, beside the journal of its resizes. An undo is a resize to the sizes
before, and so can be undone as well.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import FormatError, UsageError
from ctconsole.kernel.clock import boot_id
from ctconsole.kernel.files import write_whole
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.model.units import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.manager.resize.sides import Side

UNDO_SECONDS: Final = 3600
"""For so long after a resize the sizes before it can be restored by a word.

Time enough to see what a size does to a node. Later the table has other entries, and what fits
is to be judged anew by whoever names a size.
"""

_FORM: Final = 1
"""Version of the file; what another version wrote is not known here."""


@dataclass(frozen=True, slots=True)
class Before:
    """What one map of a resize was.

    Attributes:
        path: its pin.
        id: kernel id of the map that the resize made.
        max_entries: the capacity before.
        flags: its ``map_flags`` before.
    """

    path: str
    id: int
    max_entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Undoable:
    """A resize that went well.

    Attributes:
        boot: boot id of the machine: maps do not outlive it.
        until: seconds since the epoch, when it is too late.
        maps: what changed together, the map that was named first.
    """

    boot: str
    until: float
    maps: tuple[Before, ...]

    @property
    def until_when(self) -> str:
        """``14:05``, the machine's own time."""
        return time.strftime("%H:%M", time.localtime(self.until))

    def has(self, pin: Path) -> bool:
        """Whether it changed the map pinned there."""
        return str(pin) in {one.path for one in self.maps}


def undoable(sides: Sequence[Side]) -> Undoable:
    """What undoes a resize that is over now."""
    maps = tuple(
        Before(
            str(side.path.absolute()),
            side.new.info.id,
            side.old.info.max_entries,
            side.old.info.flags,
        )
        for side in sides
    )
    return Undoable(boot_id(), time.time() + UNDO_SECONDS, maps)


class Undos:
    """The file of one bpffs.

    Args:
        journal: the file of its journal.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(f"{journal.stem}.undo.json")

    def keep(self, done: Undoable) -> None:
        """Store a resize so that it outlives this process and a crash of the machine.

        Whatever was known of its maps before goes.

        Raises:
            OSError: it could not be stored.
        """
        try:
            known = self._read()
        except FormatError:
            # It is no use to anybody, and to nobody's harm that it goes.
            known = ()
        others = [
            one
            for one in known
            if one.boot == done.boot and not any(one.has(Path(new.path)) for new in done.maps)
        ]
        told = {"form": _FORM, "resizes": [asdict(one) for one in (*others, done)]}
        write_whole(self.path, json.dumps(told, indent=1))

    def of(self, pin: Path) -> Undoable:
        """The resize that can be undone of the map pinned there.

        Raises:
            UsageError: none is known, it is over, or a map has been changed since.
            FormatError: the file cannot be read.
        """
        here = boot_id()
        found = next(
            (one for one in self._read() if one.boot == here and one.has(pin.absolute())), None
        )
        if found is None:
            raise UsageError(
                f"{pin.name} was not resized of late: there is nothing to undo",
                hint=f"A resize can be undone for {duration(UNDO_SECONDS)}",
            )
        before = next(one for one in found.maps if one.path == str(pin.absolute()))
        hint = f"ctconsole map resize {pin.name} {before.max_entries} gives it the size before"
        if time.time() >= found.until:
            raise UsageError(
                f"The resize of {pin.name} could be undone until {found.until_when}, which is over",
                hint=hint,
            )
        for one in found.maps:
            now = pinned_id(Path(one.path))
            if now != one.id:
                what = f"map {now} is pinned there" if now else "nothing is pinned there"
                raise UsageError(
                    f"{Path(one.path).name} was changed since it was resized: {what}, and the "
                    f"resize made map {one.id}",
                    hint=hint,
                )
        return found

    def _read(self) -> tuple[Undoable, ...]:
        try:
            told = json.loads(self.path.read_bytes())
            if told["form"] != _FORM:
                return ()
            return tuple(map(_undoable, told["resizes"]))
        except FileNotFoundError:
            return ()
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f"{self.path} does not tell which resizes can be undone: "
                f"{type(error).__name__} {error}. Remove it; the next resize makes it anew"
            ) from error


def _undoable(told: dict[str, Any]) -> Undoable:
    """The resize that JSON tells; raises what a wrong shape raises."""
    return Undoable(
        str(told["boot"]), float(told["until"]), tuple(Before(**one) for one in told["maps"])
    )
