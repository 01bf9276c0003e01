"""What ``ctconsole map resize`` on a node answers in JSON, as far as it is looked at here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ctconsole.errors import ClusterError
from ctconsole.fleet.kube.errors import said
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RollingLook:
    """A node as its own plan has it.

    Attributes:
        map_name: of the pin.
        entries: what the map can hold now.
        wished: what it would, as the kernel rounds it.
        all_so: whether every map that changes with it is so already.
        held: entries in them.
        smallest: the size in which nothing is lost.
        dropped: living entries that would not fit.
        memory: bytes that old and new take together.
        needed: bytes beside what is there.
        free: bytes that can be had.
        seconds: about how long it takes.
        changed_by: who changes maps there just now; empty for nobody.
        cut_off: whether a resize was, and has to be ended.
        foreign: whether the agent is not ours, so that it has to restart.
    """

    map_name: str
    entries: int
    wished: int
    all_so: bool
    held: int = 0
    smallest: int = 0
    dropped: int = 0
    memory: int = 0
    needed: int = 0
    free: int = 0
    seconds: float = 0.0
    changed_by: str = ""
    cut_off: bool = False
    foreign: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the node is at the size, and nobody is at it."""
        return self.all_so and not self.changed_by and not self.cut_off

    @property
    def obstacle(self) -> str:
        """Why it cannot be resized without loss; empty where it can."""
        if self.changed_by:
            return self.changed_by
        if self.dropped:
            return (
                f"{count(self.dropped)} living entries would not fit; {count(self.smallest)} is "
                "the smallest size that keeps them all"
            )
        if self.needed > self.free:
            return f"it needs {size(self.needed)} and {size(self.free)} are free"
        return ""


@dataclass(frozen=True, slots=True)
class NodeResized:
    """What a resize on a node did.

    Attributes:
        carried: entries that were carried over.
        lost: entries not found again.
        seconds: it took.
    """

    carried: int
    lost: int
    seconds: float

    @property
    def told(self) -> str:
        """For people."""
        fate = f"{count(self.lost)} not found again" if self.lost else "none lost"
        return f"{count(self.carried)} entries carried in {self.seconds:.1f} s, {fate}"


def read_look(node: str, text: bytes) -> RollingLook:
    """A node's plan.

    Raises:
        ClusterError: it is none.
    """
    try:
        told = _document(text)
        maps = told["maps"]
        named = maps[0]
        need = int(told["memory_new"]) + int(told["memory_passes"])
        drops = [one["dropped"] for one in maps]
        return RollingLook(
            map_name=PurePosixPath(str(named["path"])).name,
            entries=int(named["max_entries"]),
            wished=int(named["new_max_entries"]),
            all_so=all(not one["differences"] for one in maps),
            held=sum(int(one["entries"]) for one in maps),
            smallest=max(int(one["smallest"]) for one in maps),
            dropped=sum(
                int(number) for one in drops for kind, number in one.items() if kind != "expired"
            ),
            memory=need + int(told["memory_old"]),
            needed=need,
            free=int(told["memory_free"]),
            seconds=float(told["seconds"]),
            changed_by=said(str(told.get("changed_by") or "")),
            cut_off=bool(told.get("cut_off")),
            foreign="settings" in told,
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(
            f"{node}: its answer is no plan of a resize",
            hint="Have the same version of ctconsole there",
        ) from error


def read_resized(node: str, text: bytes) -> NodeResized:
    """A node's report.

    Raises:
        ClusterError: it is none, or tells of a failure.
    """
    try:
        told = _document(text)
        failure = told["failure"]
        if failure:
            raise ClusterError(f"{node}: {said(str(failure))}")
        maps = told["maps"]
        return NodeResized(
            carried=sum(int(one["carried"]) for one in maps),
            lost=sum(
                int(one["verified"]["no_room"]) + int(one["verified"]["missing"])
                for one in maps
                if one["verified"]
            ),
            seconds=float(told["seconds"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(f"{node}: its answer is no report of a resize") from error


def _document(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(found)
    return found
