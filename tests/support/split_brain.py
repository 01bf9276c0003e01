"""A node whose pinned table nobody uses, as the console's fakes show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel.programs import ProgramInfo, ProgramType
from ctconsole.model.event import Level
from ctconsole.observe.inventory import User
from ctconsole.observe.usage import MapGeneration, MapUsage
from tests.support.fakes import CT4

if TYPE_CHECKING:
    from pathlib import PurePath

    from tests.support.fakes import FakeSource

OLDER = 549
"""Id of the map that lost its pin."""


def uses(source: FakeSource) -> tuple[MapUsage, ...]:
    """Who uses which map: the first table's programs use the one before it."""
    return tuple(_usage(source, pin) for pin in source.rows)


def _usage(source: FakeSource, pin: PurePath) -> MapUsage:
    info = source.rows[pin].info
    users = tuple(_user(number, name, info.id) for number, name in _programs(pin))
    if pin != CT4:
        return MapUsage(Path(pin), _generation(info.id, source, pin, users), (), Level.INFO, "")
    verdict = (
        f"Nobody uses the pinned cilium_ct4_global (map {info.id}), while 2 programs use map "
        f"{OLDER}, which is pinned nowhere. What the pin shows is not what the node does: its "
        "entries and fill mean nothing until the agent has regenerated its endpoints. List what "
        f"is in use with --map-id {OLDER}"
    )
    older = _generation(OLDER, source, pin, users)
    return MapUsage(
        Path(pin), _generation(info.id, source, pin, ()), (older,), Level.ERROR, verdict
    )


def _generation(
    number: int, source: FakeSource, pin: PurePath, users: tuple[User, ...]
) -> MapGeneration:
    info = source.rows[pin].info
    if number == info.id:
        return MapGeneration(info, pinned=True, users=users, why="pinned")
    lost = replace(info, id=number, pin=None)
    return MapGeneration(lost, pinned=False, users=users, why="same name and sizes")


def _programs(pin: PurePath) -> list[tuple[int, str]]:
    if "calls" in pin.name or pin.name.startswith("cilium_ct"):
        return [(322, "from_container"), (323, "to_container")]
    return [(322, "from_container")] if pin.name.startswith("cilium_lb4") else []


def _user(number: int, name: str, map_id: int) -> User:
    program = ProgramInfo(number, ProgramType.SCHED_CLS, name, "", (map_id,), 0, 0)
    way = "ingress" if name.startswith("from") else "egress"
    return User(program, (f"tcx {way} of lxc00010", f"tcx {way} of lxc00011"), "attached")
