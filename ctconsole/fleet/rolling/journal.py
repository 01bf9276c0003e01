"""What a rolling resize has done so far, on the disk before each step.

It says what was begun, never what came of it: that is asked of the node. A second process on the
same file is refused by a lock that the kernel lets go of when its holder dies.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import BusyError, CtconsoleError, FormatError
from ctconsole.handles import Closing
from ctconsole.kernel import locks
from ctconsole.kernel.files import write_whole
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FORM: Final = 1
"""Version of the file; what another version wrote is not known here."""

_LARGEST: Final = 16 << 20
"""Bytes; that of a thousand nodes has some three hundred thousand."""


class NodeState(StrEnum):
    """How far a node is."""

    TODO = "to do"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undo begun"
    UNDONE = "undone"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class NodeStep:
    """One node of a run.

    Attributes:
        name: its own.
        state: how far it is.
        before: entries its map could hold before; 0 where that was not asked yet.
        note: why, or what came of it.
    """

    name: str
    state: NodeState
    before: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunNotes:
    """A run, as its journal has it.

    Attributes:
        cluster: where its API is.
        selector: of the nodes.
        map_name: of the pin.
        entries: what the map is to hold.
        identity: who held the Lease.
        nodes: in the order in which they are resized.
        option: of the ConfigMap; empty where it is not changed.
        option_before: what it was; None where it was not there.
        option_written: whether it was changed, or may have been.
        over: whether nothing is left to be done.
    """

    cluster: str
    selector: str
    map_name: str
    entries: int
    identity: str
    nodes: tuple[NodeStep, ...]
    option: str = ""
    option_before: str | None = None
    option_written: bool = False
    over: bool = False

    def having(self, *states: NodeState) -> list[NodeStep]:
        """The nodes that are so far."""
        return [one for one in self.nodes if one.state in states]

    def of(self, name: str) -> NodeStep:
        """One of them."""
        return next(one for one in self.nodes if one.name == name)

    def with_node(self, changed: NodeStep) -> RunNotes:
        """The same with one node as it is now."""
        return replace(
            self, nodes=tuple(changed if one.name == changed.name else one for one in self.nodes)
        )

    @property
    def told(self) -> str:
        """``2 done, 1 to do``."""
        counted = {state: len(self.having(state)) for state in NodeState}
        return ", ".join(f"{number} {state}" for state, number in counted.items() if number)


@dataclass(slots=True)
class RollingJournal(Closing):
    """The file, and the lock on it, held until `close`.

    Attributes:
        path: the file; 0600.

    Raises:
        BusyError: another process is at it.
        CtconsoleError: the file cannot be written there.
    """

    path: Path
    _lock: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            make_folder(self.path.parent)
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            taken = locks.take(self._lock)
        except OSError as error:
            self.close()
            raise CtconsoleError(
                f"The journal {self.path} cannot be written: {error.strerror}",
                hint="Name another with --journal",
            ) from error
        if not taken:
            holder = locks.holder(lock)
            self.close()
            raise BusyError(
                f"Process {holder or 'that has just ended'} is at the run of {self.path}",
                hint="Try again when that is over",
            )

    def read(self) -> RunNotes | None:
        """The run; None where none was begun.

        Raises:
            FormatError: the file is none of ours.
        """
        try:
            with self.path.open("rb") as file:
                told = json.loads(file.read(_LARGEST))
            return _run(told)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise FormatError(
                f"{self.path} is no journal of a rolling resize that can be read: "
                f"{type(error).__name__} {error}. Look at it, then remove it by hand"
            ) from error

    def write(self, run: RunNotes) -> None:
        """Store a run so that it outlives a crash of this machine.

        Raises:
            CtconsoleError: it could not be; what was there is as it was.
        """
        try:
            write_whole(self.path, json.dumps({"form": _FORM, **asdict(run)}, indent=1))
        except OSError as error:
            raise CtconsoleError(
                f"The journal {self.path} cannot be written: {error.strerror}",
                hint="Nothing more is begun; make room, and resume with --resume",
            ) from error

    def close(self) -> None:
        """Let go of it; may be called again."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1


def _run(told: Mapping[str, Any]) -> RunNotes:
    """The run that JSON tells; raises what a wrong shape raises."""
    if told["form"] != _FORM:
        raise ValueError(f"form {told['form']}, not {_FORM}")
    nodes = tuple(
        NodeStep(str(one["name"]), NodeState(one["state"]), int(one["before"]), str(one["note"]))
        for one in told["nodes"]
    )
    before = told["option_before"]
    return RunNotes(
        cluster=str(told["cluster"]),
        selector=str(told["selector"]),
        map_name=str(told["map_name"]),
        entries=int(told["entries"]),
        identity=str(told["identity"]),
        nodes=nodes,
        option=str(told["option"]),
        option_before=None if before is None else str(before),
        option_written=bool(told["option_written"]),
        over=bool(told["over"]),
    )
