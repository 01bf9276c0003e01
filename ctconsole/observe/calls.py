"""Who calls whom: the program arrays of a node, what is in them, and who calls through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import NoSuchMapError
from ctconsole.kernel.attachments import attachments
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import BpfMap, all_maps, all_programs
from ctconsole.model.spec import MapType
from ctconsole.observe.usage import find_users

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.usage import User


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


def tail_calls(root: Path, passed_over: Callable[[str], None] = lambda _: None) -> list[CallArray]:
    """Look into every program array pinned below ``root``, in the order of their names.

    Raises:
        NoSuchMapError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    pinned = pinned_maps(root, passed_over)
    arrays = {path: one for path, one in pinned.items() if one.type is MapType.PROG_ARRAY}
    programs = all_programs()
    names = {program.id: program.name for program in programs}
    maps = {info.id: info for info in all_maps()}
    users = find_users(programs, attachments(programs, maps.values()), maps)
    return [
        CallArray(path, info, users.get(info.id, ()), _callees(info.id, names))
        for path, info in sorted(arrays.items())
    ]


def _callees(number: int, names: dict[int, str]) -> tuple[Callee, ...]:
    """What an array holds; nothing where it vanished since it was listed."""
    try:
        with BpfMap.from_id(number) as live:
            dump = live.read()
    except NoSuchMapError:
        return ()
    places = dump.keys.copy().view("=u4").ravel().tolist()
    numbers = dump.values.copy().view("=u4").ravel().tolist()
    return tuple(
        Callee(index, prog_id, names.get(prog_id, ""))
        for index, prog_id in sorted(zip(places, numbers, strict=True))
        if prog_id
    )
