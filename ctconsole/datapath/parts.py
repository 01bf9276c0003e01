"""The parts of an endpoint's programs, the program arrays that join them, and who calls whom.

Each generation of programs has a ``cilium_calls_%05d`` of its own, filled before anything calls
through it and then pinned over the one before. The kernel empties a program array when its last
pin and descriptor are gone, even while programs use it (``kernel/bpf/arraymap.c``): an array
therefore keeps its pin until no packet can be inside a program that calls through it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.errors import GoneError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import program_by_id
from ctconsole.model.catalogue import CALL_SIZE, PENDING
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.model.plane.endpoint import Endpoint

CALLS = {
    "tail_handle_ipv4": 7,
    "tail_handle_ipv6": 10,
    "tail_ipv4_policy": 11,
    "tail_ipv6_policy": 12,
}
"""``CILIUM_CALL_*``: the place of each part in its endpoint's array."""

POLICY_FUNCTION = "handle_policy"
"""The part in ``cilium_call_policy``, whose place is the endpoint's id."""

POLICY_CALL_MAP = "cilium_call_policy"

_STALE = ":stale"


def kernel_name(function: str) -> str:
    """The name a program is loaded under: the kernel keeps 15 characters of it."""
    return function.removeprefix("tail_")


def calls_name(endpoint: Endpoint) -> str:
    """The pin name of an endpoint's program array."""
    return f"cilium_calls_{endpoint.id:05d}"


@dataclass(frozen=True, slots=True)
class ProgramPart:
    """A loaded program that others call.

    Attributes:
        function: its C function.
        fd: its descriptor, owned by whoever loaded it.
        info: what the kernel says of it.
    """

    function: str
    fd: int
    info: ProgramInfo


@dataclass(frozen=True, slots=True)
class TailCall:
    """One filled place of a program array.

    Attributes:
        map: the array's pin name.
        index: the place.
        prog_id: kernel id of the program there.
        prog_name: its kernel name, empty if it vanished meanwhile.
    """

    map: str
    index: int
    prog_id: int
    prog_name: str


def new_calls(gate: Gate, endpoint: Endpoint) -> BpfMap:
    """An empty program array for one generation, pinned nowhere; the caller's to close."""
    return mapwrite.create(gate, MapSpec(calls_name(endpoint), MapType.PROG_ARRAY, 4, 4, CALL_SIZE))


def place(gate: Gate, array: BpfMap, index: int, fd: int) -> None:
    """Put a program in its place; calls under way meet the old one or the new one."""
    mapwrite.update(gate, array, struct.pack("=I", index), struct.pack("=I", fd))


def pin_pending(gate: Gate, array: BpfMap, pin: Path) -> None:
    """Pin a new generation's array beside the old one's pin.

    One still pending is of an exchange that was broken off, and programs may call through it:
    it keeps a pin until `pin_over`.
    """
    pending = _aside(pin, PENDING)
    if pending.exists():
        pins.rename(gate, pending, _aside(pin, _STALE))
    pins.pin(gate, array, pending)


def pin_over(gate: Gate, pin: Path) -> None:
    """Move the pending array to its place; the kernel empties those it replaces."""
    pins.rename(gate, _aside(pin, PENDING), pin)
    stale = _aside(pin, _STALE)
    if stale.exists():
        pins.unpin(gate, stale)


def remove(gate: Gate, endpoint: Endpoint, folder: Path) -> None:
    """Take an endpoint's parts out of both arrays; what is not there is no error."""
    try:
        with BpfMap.open(folder / POLICY_CALL_MAP) as array:
            mapwrite.delete(gate, array, struct.pack("=I", endpoint.id))
    except GoneError:
        pass
    pin = folder / calls_name(endpoint)
    for path in (_aside(pin, PENDING), _aside(pin, _STALE), pin):
        if path.exists():
            pins.unpin(gate, path)


def tail_calls(endpoint: Endpoint, folder: Path) -> list[TailCall]:
    """What the programs of an endpoint call, by array and place.

    Args:
        endpoint: whose.
        folder: where the arrays are pinned, ``tc/globals``.

    Returns:
        Nothing for an array that is not there.
    """
    found = list(_places(folder, POLICY_CALL_MAP, [endpoint.id]))
    found += _places(folder, calls_name(endpoint), range(CALL_SIZE))
    return found


def _places(folder: Path, name: str, indices: range | list[int]) -> Iterator[TailCall]:
    try:
        array = BpfMap.open(folder / name)
    except GoneError:
        return
    with array:
        for index in indices:
            value = array.lookup(struct.pack("=I", index))
            if value is None:
                continue
            number = int(struct.unpack("=I", value)[0])
            yield TailCall(name, index, number, _name_of(number))


def _name_of(number: int) -> str:
    try:
        return program_by_id(number).name
    except GoneError:
        return ""


def _aside(pin: Path, suffix: str) -> Path:
    return pin.with_name(pin.name + suffix)
