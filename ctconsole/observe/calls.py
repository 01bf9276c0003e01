"""Who calls whom: the program arrays of a node, what is in them, and who calls through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.spec import MapType
from ctconsole.observe.usage import look_at, read_slots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.usage import Look, User


@dataclass(frozen=True, slots=True)
class Callee:
    """One filled place of a program array.

    Attributes:
        index: the place.
        prog_id: kernel id of the program there.
        prog_name: its kernel name (15 characters); empty if it vanished meanwhile.
    """

    index: int
    prog_id: int
    prog_name: str


@dataclass(frozen=True, slots=True)
class CallArray:
    """A pinned program array.

    Attributes:
        path: its pin.
        map: what the kernel says of it.
        callers: the programs that call through it.
        callees: its filled places, in order.
    """

    path: Path
    map: MapInfo
    callers: tuple[User, ...]
    callees: tuple[Callee, ...]


def tail_calls(
    root: Path,
    passed_over: Callable[[str], None] = lambda _: None,
    look: Look | None = None,
) -> list[CallArray]:
    """Look into every program array pinned below ``root``, in the order of their names.

    Args:
        root: a bpffs, or a folder on one.
        passed_over: told a sentence of each pin that could not be opened.
        look: one just taken, None to take one.

    Raises:
        NoSuchMapError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    seen = look or look_at(root, passed_over=passed_over)
    names = {program.id: program.name for program in seen.programs}
    return [
        CallArray(path, info, seen.users.get(info.id, ()), _callees(seen, info.id, names))
        for path, info in sorted(seen.pinned.items())
        if info.type is MapType.PROG_ARRAY
    ]


def _callees(seen: Look, number: int, names: dict[int, str]) -> tuple[Callee, ...]:
    """What an array holds."""
    slots = seen.slots[number] if number in seen.slots else read_slots(number)
    return tuple(Callee(index, prog_id, names.get(prog_id, "")) for index, prog_id in slots)
