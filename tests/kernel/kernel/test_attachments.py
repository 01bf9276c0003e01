from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import attachments, links, netns, tc
from ctconsole.kernel.attachments import Attachment
from ctconsole.kernel.counts import ElementCounter
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.kernel.syscall import LinkInfoStruct
from tests.support.bpf_insns import TC_ACT_OK, returning
from tests.support.namespaces import connected_pair, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of our own with nobody in it."""
    folder = attachments.cgroup_roots()[0] / unique("cgroup")
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


def test_tc_filters_are_found_in_namespaces_with_and_without_a_name(gate: Gate) -> None:
    with connected_pair(gate) as (left, _):
        index = links.get("left0", netns=left).index
        fd = load_program(gate, returning(TC_ACT_OK), name="any")
        number = program_info(fd).id
        tc.ensure_clsact(gate, index, netns=left)
        tc.replace_filter(gate, index, tc.Hook.EGRESS, fd, "any", netns=left)
        os.close(fd)
        found = [one for one in attachments.attachments() if one.prog_id == number]
        assert found == [Attachment("tc", f"egress of left0 in {left}", number)]
        # Its name goes, a process stays in it.
        with netns.popen(left, ["sleep", "60"]) as process:
            netns.delete(gate, left)
            try:
                found = [one for one in attachments.attachments() if one.prog_id == number]
            finally:
                process.kill()
        where = f"egress of left0 in namespace of process {process.pid}"
        assert found == [Attachment("tc", where, number)]


def test_links_are_found() -> None:
    before = set(attachments.links())
    with ElementCounter():
        (mine,) = [one for one in set(attachments.links()) - before if one.kind == "iterator"]
    assert mine not in set(attachments.links())


def test_programs_of_a_cgroup_are_found(gate: Gate, bpffs: Path, group: Path) -> None:
    fd = load_program(gate, returning(1), ProgramType.CGROUP_SKB, name="let_pass")
    number = program_info(fd).id
    gate.pin_fd(fd, bpffs / "prog")
    os.close(fd)
    assert attachments.cgroup(group) == []
    pinned = ("cgroup_inet_egress", "pinned", str(bpffs / "prog"))
    subprocess.run(["bpftool", "cgroup", "attach", str(group), *pinned], check=True)
    assert attachments.cgroup(group) == [Attachment("cgroup", f"egress of {group}", number)]


@pytest.mark.parametrize(
    ("kind", "target", "text"),
    [
        (11, (7, 46), "ingress of interface 7"),
        (11, (7, 47), "egress of interface 7"),
        (6, (7,), "of interface 7"),
        (3, (5, 1, 10), f"connect4 of cgroup {5 | 1 << 32}"),
        (9, (77,), "map 77"),
        (99, (1, 2, 3), ""),
    ],
)
def test_a_link_says_where_it_is(kind: int, target: tuple[int, ...], text: str) -> None:
    info = LinkInfoStruct(type=kind)
    info.target[: len(target)] = target
    assert attachments._target(info) == text
