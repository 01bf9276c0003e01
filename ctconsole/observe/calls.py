"""Who calls whom: the program arrays of a node, what is in them, and who calls through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.slots import SlotReader
from ctconsole.model.spec import MapType
from ctconsole.observe.inventory import Inventory
from ctconsole.observe.usage import former_maps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.inventory import Programs, User


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
    *,
    history: Path | None = None,
    inventory: Inventory | None = None,
) -> list[CallArray]:
    """Look into every program array pinned below ``root``, in the order of their names.

    Args:
        root: a bpffs, or a folder on one.
        passed_over: told a sentence of each pin that could not be opened.
        history: see `ctconsole.observe.usage.map_usage`, whose look it shares.
        inventory: what is known from the looks before; a new one where there were none.

    Raises:
        GoneError: ``root`` is not there.
        DeniedError: programs or maps may not be listed.
    """
    pinned = pinned_maps(root, passed_over)
    inventory = inventory or Inventory()
    inventory.meet(pinned)
    ours = frozenset(info.id for info in pinned.values())
    seen = inventory.look(ours | former_maps(history).keys())
    arrays = {path: one for path, one in pinned.items() if one.type is MapType.PROG_ARRAY}
    with SlotReader() as reader:
        return [
            CallArray(path, info, seen.users.get(info.id, ()), _callees(info, seen, reader))
            for path, info in sorted(arrays.items())
        ]


def _callees(info: MapInfo, seen: Programs, reader: SlotReader) -> tuple[Callee, ...]:
    """What an array holds."""
    slots = seen.slots[info.id] if info.id in seen.slots else reader.read(info)
    return tuple(Callee(index, prog_id, seen.names.get(prog_id, "")) for index, prog_id in slots)
