from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import cgroups
from ctconsole.kernel.cgroups import cgroup_roots, in_cgroups
from ctconsole.kernel.hooks import Asker, Attachment
from ctconsole.kernel.programs import ProgramType
from tests.support.hooks import attach, attached, link, program
from tests.support.namespaces import unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

EGRESS, DEVICE, CONNECT4 = 1, 6, 10


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of our own with one in it, and nobody in either."""
    folder = cgroup_roots()[0] / unique("cgroup")
    below = folder / "below"
    below.mkdir(parents=True)
    try:
        yield below
    finally:
        below.rmdir()
        folder.rmdir()


@pytest.fixture
def target(group: Path) -> Iterator[int]:
    fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        (ProgramType.CGROUP_SKB, EGRESS),
        (ProgramType.CGROUP_DEVICE, DEVICE),
        (ProgramType.CGROUP_SOCK_ADDR, CONNECT4),
    ],
)
def test_programs_of_any_cgroup_are_found_with_a_link_and_without(
    gate: Gate, group: Path, target: int, kind: ProgramType, hook: int
) -> None:
    name = {EGRESS: "egress", DEVICE: "device", CONNECT4: "connect4"}[hook]
    with (
        program(gate, kind, hook) as (first, linked),
        program(gate, kind, hook) as (second, linkless),
    ):
        with link(gate, first, hook, target):
            assert attached(linked) == [Attachment("cgroup", f"{name} of {group}", linked)]
        assert attached(linked) == []
        attach(gate, second, hook, target)
        assert attached(linkless) == [Attachment("cgroup", f"{name} of {group}", linkless)]


def test_a_program_is_listed_where_it_is_attached_not_where_it_is_in_effect(
    gate: Gate, group: Path
) -> None:
    parent = os.open(group.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with program(gate, ProgramType.CGROUP_SKB) as (fd, number):
            attach(gate, fd, EGRESS, parent)
            assert attached(number) == [Attachment("cgroup", f"egress of {group.parent}", number)]
    finally:
        os.close(parent)


def test_a_hierarchy_mounted_twice_is_looked_through_once(
    gate: Gate, group: Path, target: int
) -> None:
    asker = Asker({ProgramType.CGROUP_SKB})
    with program(gate, ProgramType.CGROUP_SKB) as (fd, number):
        attach(gate, fd, EGRESS, target)
        found = in_cgroups(asker, [group, group.parent, group])
    assert found == [Attachment("cgroup", f"egress of {group}", number)]


def test_a_cgroup_that_goes_meanwhile_is_passed_over(group: Path) -> None:
    seen: set[int] = set()
    walk = cgroups._cgroups(str(group.parent), seen)
    assert next(walk)[0] == str(group.parent)
    group.rmdir()
    assert list(walk) == []
    gone = group.parent / "gone"
    assert in_cgroups(Asker({ProgramType.CGROUP_SKB}), [gone]) == []
    group.mkdir()
