"""What is known of programs and maps, how seldom the hooks are looked at, and what is in doubt."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import bpf_error
from ctconsole.kernel import attachments as looks
from ctconsole.kernel import iproute, mapwrite, pins, tc
from ctconsole.kernel.maps import BpfMap, all_map_ids
from ctconsole.kernel.programs import all_program_ids, load_program, program_info
from ctconsole.lab.foreign_agent import TCP_MAP
from ctconsole.lab.foreign_program import holding
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe import inventory
from ctconsole.observe.calls import tail_calls
from ctconsole.observe.inventory import NOT_KNOWN, Inventory
from ctconsole.observe.splitwatch import SplitWatch
from ctconsole.observe.usage import map_usage
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import TC_ACT_OK, returning, using_map
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ctconsole.kernel.attachments import Attachments, Namespace
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.hooks import Asker, Attachment
    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.model.event import Event
    from ctconsole.model.spec import MapInfo


@dataclass
class Machine:
    """Which ids there are, whatever others load meanwhile, and how often hooks were looked at."""

    programs: list[int]
    looks: int = 0


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(all_program_ids())
    maps, bound, look = all_map_ids(), list(looks.link_ids()), looks.attachments

    def counted(programs: Iterable[ProgramInfo], maps: Iterable[MapInfo]) -> Attachments:
        found.looks += 1
        return look(programs, maps)

    monkeypatch.setattr(inventory, "all_program_ids", lambda: found.programs)
    monkeypatch.setattr(inventory, "all_map_ids", lambda: maps)
    monkeypatch.setattr(looks, "link_ids", lambda: bound)
    monkeypatch.setattr(looks, "attachments", counted)
    return found


def test_one_look_serves_both_questions(bpffs: Path, machine: Machine) -> None:
    known = Inventory()
    for _ in range(3):
        map_usage(bpffs, inventory=known)
        tail_calls(bpffs, inventory=known)
    assert machine.looks == 1


def test_the_hooks_are_looked_at_again_when_programs_come_and_when_a_look_is_old(
    gate: Gate, machine: Machine
) -> None:
    now = [0.0]
    known = Inventory(clock=lambda: now[0])
    known.look(frozenset())
    program = load_program(gate, returning(TC_ACT_OK), name="late")
    number = program_info(program).id
    machine.programs = [*machine.programs, number]
    assert known.look(frozenset()).names[number] == "late"
    assert machine.looks == 2
    now[0] += inventory.STALE
    known.look(frozenset())
    assert machine.looks == 3
    os.close(program)


def test_what_is_known_is_not_read_again(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    with mapwrite.create(gate, MapSpec("m", MapType.HASH, 4, 4, 4)) as live:
        known = Inventory()
        before = known.maps()[live.info.id]
        read: list[int] = []
        monkeypatch.setattr(inventory, "map_of", read.append)
        assert known.maps()[live.info.id] is before
        assert live.info.id not in read


def test_a_pin_that_was_replaced_is_another_map(gate: Gate, bpffs: Path) -> None:
    known, spec = Inventory(), MapSpec("m", MapType.HASH, 4, 4, 4)
    with mapwrite.create(gate, spec) as first, mapwrite.create(gate, spec) as second:
        pins.pin(gate, first, bpffs / "m")
        assert first.info.id in known.pinned_anywhere()
        pins.pin(gate, second, bpffs / "n")
        pins.rename(gate, bpffs / "n", bpffs / "m")
        found = known.pinned_anywhere()
    assert (first.info.id in found, second.info.id in found) == (False, True)


@pytest.fixture
def split(gate: Gate, bpffs: Path) -> Iterator[tuple[str, Path]]:
    """A program uses the pinned map; another, attached elsewhere, the one pinned before."""
    path = bpffs / GLOBALS / TCP_MAP
    spec = MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 4096)
    with (
        connected_pair(gate) as (left, right),
        mapwrite.create(gate, spec) as old,
        mapwrite.create(gate, spec) as new,
        mapwrite.create(gate, MapSpec("kept", MapType.HASH, 4, 4, 4)) as kept,
    ):
        pins.pin(gate, new, path)
        pins.pin(gate, kept, path.parent / "kept")
        _attach(gate, left, "left0", holding(new.fd, kept.fd))
        _attach(gate, right, "right0", holding(old.fd, kept.fd))
        yield left, path


def _attach(gate: Gate, space: str, name: str, insns: bytes) -> None:
    index = iproute.get(name, netns=space).index
    program = load_program(gate, insns, name="holding")
    tc.ensure_clsact(gate, index, netns=space)
    tc.replace_filter(gate, index, tc.TcHook.INGRESS, program, "holding", netns=space)
    os.close(program)


def refusing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one namespace be too busy to answer."""
    ask = looks.in_namespace

    def busy(space: Namespace, asker: Asker) -> list[Attachment]:
        if space.name == name:
            raise bpf_error(errno.EBUSY, "RTM_GETTFILTER", "left0")
        return ask(space, asker)

    monkeypatch.setattr(looks, "in_namespace", busy)


def test_a_namespace_that_cannot_be_asked_is_told_and_raises_no_alarm(
    bpffs: Path, split: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    left, path = split
    (sound,) = [one for one in map_usage(bpffs) if one.path == path]
    assert (sound.level, sound.in_doubt) == (Level.WARNING, False)
    refusing(left, monkeypatch)
    (found,) = [one for one in map_usage(bpffs) if one.path == path]
    assert [user.how for user in found.pinned.users] == [NOT_KNOWN]
    assert not found.split
    assert "is not known" in found.verdict
    assert f"{left}: RTM_GETTFILTER left0: Device or resource busy" in found.verdict


def test_an_alarm_is_not_over_because_nobody_could_look(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bpffs / GLOBALS / TCP_MAP
    spec = MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 4096)
    with (
        connected_pair(gate) as (left, _),
        mapwrite.create(gate, spec) as old,
        mapwrite.create(gate, spec) as new,
        mapwrite.create(gate, MapSpec("kept", MapType.HASH, 4, 4, 4)) as kept,
    ):
        pins.pin(gate, new, path)
        pins.pin(gate, kept, path.parent / "kept")
        _attach(gate, left, "left0", holding(old.fd, kept.fd))
        watch, pinned = SplitWatch(bpffs), {path: new.info}
        (alarm,) = watch.step(pinned)
        assert alarm.kind is EventKind.SPLIT_BRAIN
        assert alarm.fields["used_id"] == old.info.id
        refusing(left, monkeypatch)
        watch._next = 0.0
        watch._inventory = Inventory()
        assert watch.step(pinned) == []
        monkeypatch.undo()
        iproute.delete(gate, "left0", netns=left)
        over: list[Event] = []
        deadline = time.monotonic() + 20
        # The kernel lets go of the program a moment after its interface.
        while not over and time.monotonic() < deadline:
            watch._next = 0.0
            over = watch.step(pinned)
        assert "No program uses an older cilium_ct4_global any more" in over[0].message


def test_a_program_array_of_the_node_is_followed(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, MapSpec("calls", MapType.PROG_ARRAY, 4, 4, 8)) as array:
        pins.pin(gate, array, bpffs / GLOBALS / "calls")
        program = load_program(gate, using_map(array.fd), name="caller")
    (found,) = tail_calls(bpffs)
    assert [user.program.name for user in found.callers] == ["caller"]
    os.close(program)


def test_links_of_the_bpffs_are_no_pins(gate: Gate, bpffs: Path) -> None:
    (bpffs / "loop").symlink_to("loop")
    with mapwrite.create(gate, MapSpec("m", MapType.HASH, 4, 4, 4)) as live:
        pins.pin(gate, live, bpffs / "m")
        number = live.info.id
    assert number in Inventory().pinned_anywhere()
    with BpfMap.open(bpffs / "m") as live:
        assert live.info.id == number
