"""The write-ahead record of one resize: what is under way, so that whoever comes next can end it.

One file for each bpffs. It is written, with all that the next stage is going to touch, before
that stage begins, and removed when the last one has ended. A process that finds one and gets the
lock of the maps knows that its writer died: see `ctconsole.manager.resize.recovery`.

What the later stages will write is stored beside it before the first of them begins, so that a
disk that fills up meanwhile stops none of them halfway: each then takes its place by a rename.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import FormatError, MissingFeatureError
from ctconsole.kernel.files import sync_folder, write_whole
from ctconsole.manager.changing import device_name
from ctconsole.manager.resize.pace import Past
from ctconsole.paths import run_dir
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_FORM: Final = 1
"""Version of the file; one of another version is refused."""


class Stage(StrEnum):
    """How far a resize has come; each is journaled before it begins."""

    STAGE = "stage"
    """New maps are made and pinned beside the old ones, then seeded."""

    SWITCH = "switch"
    """The new maps take the pins and the programs are moved to them."""

    SETTLE = "settle"
    """No program uses the old maps; their counters are moved."""

    RELEASE = "release"
    """Everything is in the new maps; the old ones are let go of."""

    ROLL_BACK = "roll back"
    """The old maps take their pins again, and what the new ones took in is carried back."""


@dataclass(frozen=True, slots=True)
class Moving:
    """One map of a resize.

    Attributes:
        path: its pin.
        old_id: kernel id of the map that was there; ids are never used again before a reboot.
        new_id: of the one that takes its place, 0 until it is made.
        layout: of its entries, empty where they are no conntrack entries.
        cut: rank below which entries stay behind (see `ctconsole.kernel.passes`).
        now: the moment that ranks are counted from.
        known_id: of the map of what both hold in common of the counts; 0 where that is nothing.
    """

    path: str
    old_id: int
    new_id: int = 0
    layout: str = ""
    cut: int = 0
    now: int = 0
    known_id: int = 0


@dataclass(frozen=True, slots=True)
class Foreign:
    """The agent that is not ours and whose restart a resize waits for.

    Attributes:
        pid: its process before the restart, 0 where none ran.
        ticks: when that started, in clock ticks since boot.
        command: what restarts it, empty where somebody does it by hand.
        undo: what somebody has to do where the sizes of before are to come back, beside the
            files that were written.
    """

    pid: int
    ticks: int
    command: str = ""
    undo: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is journaled.

    Attributes:
        stage: the stage that is about to begin.
        boot: boot id of the machine: maps and pins do not outlive it.
        pid: process that resizes.
        maps: the maps.
        before: the agent's options as they were, for a roll back; None where one was not set.
        after: as they are to be.
        foreign: whose maps they are where that is an agent that is not ours; the options then
            are the paths of its files, and what is in them.
    """

    stage: Stage
    boot: str
    pid: int
    maps: tuple[Moving, ...]
    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    foreign: Foreign | None = None


class Journal:
    """The file of one bpffs.

    Args:
        path: the file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self, entries: Iterable[Entry]) -> None:
        """Store what later stages will `write`, which then takes no room on the disk.

        Raises:
            OSError: the disk has no room for them.
        """
        for entry in entries:
            write_whole(self._prepared(entry.stage), _text(entry))

    def write(self, entry: Entry) -> None:
        """Store an entry so that it outlives a crash of the machine.

        Raises:
            OSError: it could not be stored; the one before is as it was.
        """
        ready = self._prepared(entry.stage)
        if _is(ready, _text(entry)):
            ready.rename(self.path)
            sync_folder(self.path.parent)
        else:
            write_whole(self.path, _text(entry))

    def read(self) -> Entry | None:
        """The entry, None where no resize is under way.

        Raises:
            FormatError: the file is none of ours.
        """
        try:
            told = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self._refused(str(error)) from error
        try:
            return _entry(told)
        except (KeyError, TypeError, ValueError) as error:
            raise self._refused(f"{type(error).__name__} {error}") from error

    def clear(self) -> None:
        """Say that nothing is under way."""
        for stage in Stage:
            self._prepared(stage).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def _prepared(self, stage: Stage) -> Path:
        return self.path.with_name(f".{self.path.name}.{stage.name.lower()}")

    def _refused(self, why: str) -> FormatError:
        return FormatError(
            f"{self.path} is no journal of a resize that can be read: {why}; no map is changed "
            "as long as it is there. Look at the pins, then remove it by hand"
        )


def _text(entry: Entry) -> str:
    return json.dumps({"form": _FORM, **asdict(entry)}, indent=1)


def _is(path: Path, text: str) -> bool:
    """Whether this is what the file holds."""
    with suppress(OSError):
        return path.read_bytes() == text.encode()
    return False


def _entry(told: dict[str, Any]) -> Entry:
    """The entry that JSON tells; raises what a wrong shape raises."""
    if told["form"] != _FORM:
        raise ValueError(f"form {told['form']}, not {_FORM}")
    return Entry(
        stage=Stage(told["stage"]),
        boot=str(told["boot"]),
        pid=int(told["pid"]),
        maps=tuple(Moving(**one) for one in told["maps"]),
        before=dict(told["before"]),
        after=dict(told["after"]),
        foreign=Foreign(**told["foreign"]) if told.get("foreign") else None,
    )


def journal_of(folder: Path) -> Journal:
    """The journal of the bpffs that ``folder`` lies on, in the run folder.

    Raises:
        MissingFeatureError: the folder is not there.
        OSError: the run folder cannot be written.
    """
    path = run_dir() / "resizing" / f"{device_name(folder)}.json"
    make_folder(path.parent)
    return Journal(path)


def past_of(folder: Path) -> Past | None:
    """How long resizes took before, for whoever plans one; None where that cannot be known."""
    try:
        return Past(journal_of(folder).path)
    except (MissingFeatureError, OSError):
        return None
