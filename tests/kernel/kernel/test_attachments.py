from __future__ import annotations

import ctypes
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import attachments, hooks, iproute, mapwrite, netns, pins, tc
from ctconsole.kernel.attachments import link_attachment
from ctconsole.kernel.counts import PROGRAM, ElementCounter
from ctconsole.kernel.hooks import Asker, Attachment, Hook, Target, known
from ctconsole.kernel.interfaces import xdp_attachments
from ctconsole.kernel.mapinfo import map_info
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.kernel.syscall import Cmd, LinkInfoStruct, ProgQueryAttr
from ctconsole.model.spec import MapSpec, MapType
from tests.support import struct_ops
from tests.support.bpf_insns import TC_ACT_OK, returning
from tests.support.hooks import (
    STRUCT_OPS,
    TCX_EGRESS,
    TCX_INGRESS,
    XDP,
    attach,
    attached,
    link,
    program,
)
from tests.support.namespaces import connected_pair, namespace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

FLOW_DISSECTOR, SK_LOOKUP = 17, 36
MESSAGE_VERDICT, VERDICT = 7, 38


def test_a_name_that_is_being_given_or_taken_away_is_no_namespace(gate: Gate) -> None:
    """Its file is there before the namespace is mounted on it, and after that was unmounted."""
    with namespace(gate) as name:
        [space] = [one for one in attachments.namespaces() if one.name == name]
        asker = Asker({ProgramType.SCHED_CLS})
        assert attachments.in_namespace(space, asker) == []
        subprocess.run(["umount", str(space.path)], check=True)
        assert space.path.is_file()
        assert name not in [one.name for one in attachments.namespaces()]
        assert attachments.in_namespace(space, asker) == []


def test_tc_filters_are_found_in_namespaces_with_and_without_a_name(gate: Gate) -> None:
    with connected_pair(gate) as (left, _):
        index = iproute.get("left0", netns=left).index
        fd = load_program(gate, returning(TC_ACT_OK), name="any")
        number = program_info(fd).id
        tc.ensure_clsact(gate, index, netns=left)
        tc.replace_filter(gate, index, tc.TcHook.EGRESS, fd, "any", netns=left)
        os.close(fd)
        assert attached(number) == [Attachment("tc", f"egress of left0 in {left}", number)]
        # Its name goes, a process stays in it.
        with netns.popen(left, ["sleep", "60"]) as process:
            netns.delete(gate, left)
            try:
                found = attached(number)
            finally:
                process.kill()
        where = f"egress of left0 in namespace of process {process.pid}"
        assert found == [Attachment("tc", where, number)]


def test_tcx_programs_are_found_without_a_link(gate: Gate) -> None:
    with connected_pair(gate) as (left, _), program(gate, ProgramType.SCHED_CLS) as (fd, number):
        index = iproute.get("left0", netns=left).index
        attach(gate, fd, TCX_INGRESS, index, space=left)
        attach(gate, fd, TCX_EGRESS, index, space=left)
        assert attached(number) == [
            Attachment("tcx", f"ingress of left0 in {left}", number),
            Attachment("tcx", f"egress of left0 in {left}", number),
        ]


def test_a_tcx_link_is_named_by_its_interface_and_listed_once(gate: Gate) -> None:
    with connected_pair(gate) as (left, _), program(gate, ProgramType.SCHED_CLS) as (fd, number):
        index = iproute.get("left0", netns=left).index
        with link(gate, fd, TCX_INGRESS, index, space=left):
            found = attached(number)
            by_link = [one for one in attachments.links() if one.prog_id == number]
        assert found == [Attachment("tcx", f"ingress of left0 in {left}", number)]
        assert by_link == [Attachment("tcx", f"ingress of interface {index}", number)]
        assert attached(number) == []


def test_a_link_that_lost_its_interface_reaches_nothing(gate: Gate) -> None:
    with connected_pair(gate) as (left, _), program(gate, ProgramType.SCHED_CLS) as (fd, number):
        index = iproute.get("left0", netns=left).index
        with link(gate, fd, TCX_INGRESS, index, space=left):
            iproute.delete(gate, "left0", netns=left)
            assert attached(number) == []


@pytest.mark.parametrize(("flag", "mode"), [("xdpgeneric", "generic"), ("xdpdrv", "driver")])
def test_xdp_programs_are_found_with_their_mode(
    gate: Gate, bpffs: Path, flag: str, mode: str
) -> None:
    with connected_pair(gate) as (left, _), program(gate, ProgramType.XDP) as (fd, number):
        pins.pin_fd(gate, fd, bpffs / "prog")
        # iproute2 mounts a bpffs on /sys/fs/bpf where none is: not in the machine's mounts.
        argv = ["unshare", "--mount", "ip", "link", "set", "left0"]
        with netns.inside(left):
            subprocess.run([*argv, flag, "pinned", str(bpffs / "prog")], check=True)
        assert attached(number) == [Attachment("xdp", f"{mode} of left0 in {left}", number)]


def test_an_xdp_link_is_listed_once(gate: Gate) -> None:
    with connected_pair(gate) as (left, _), program(gate, ProgramType.XDP) as (fd, number):
        index = iproute.get("left0", netns=left).index
        with link(gate, fd, XDP, index, space=left):
            found = attached(number)
        assert found == [Attachment("xdp", f"driver of left0 in {left}", number)]


def test_all_xdp_programs_of_an_interface_are_found() -> None:
    """As the kernel tells of hardware that runs one program while its driver runs another."""

    assert xdp_attachments({2: 4, 5: 5, 7: 6}, 7, "eth0") == [
        Attachment("xdp", "driver of eth0", 5),
        Attachment("xdp", "offloaded of eth0", 6),
    ]
    # Before Linux 4.19.
    assert xdp_attachments({4: 5}, 7, "eth0") == [Attachment("xdp", "eth0", 5)]
    assert xdp_attachments({}, 7, "eth0") == []


def test_links_are_found() -> None:
    with ElementCounter() as counter:
        # Others load iterators of the same name at any time.
        number = program_info(counter._object.program_fd(PROGRAM)).id
        assert [one.kind for one in attachments.links() if one.prog_id == number] == ["iterator"]
    assert not [one for one in attachments.links() if one.prog_id == number]


def test_programs_of_a_network_namespace_are_found(gate: Gate) -> None:
    with (
        namespace(gate) as name,
        program(gate, ProgramType.FLOW_DISSECTOR) as (dissector, first),
        program(gate, ProgramType.SK_LOOKUP, SK_LOOKUP) as (lookup, second),
    ):
        target = os.open(netns.FOLDER / name, os.O_RDONLY)
        try:
            attach(gate, dissector, FLOW_DISSECTOR, 0, space=name)
            with link(gate, lookup, SK_LOOKUP, target):
                found = attached(second)
        finally:
            os.close(target)
        assert attached(first) == [Attachment("netns", f"flow dissector of {name}", first)]
        assert found == [Attachment("netns", f"sk lookup of {name}", second)]


@pytest.mark.parametrize(
    ("kind", "hook", "name"),
    [
        (ProgramType.SK_MSG, MESSAGE_VERDICT, "message verdict"),
        (ProgramType.SK_SKB, VERDICT, "verdict"),
    ],
)
@pytest.mark.parametrize("type_", [MapType.SOCKMAP, MapType.SOCKHASH])
def test_programs_of_a_map_of_sockets_are_found(
    gate: Gate, type_: MapType, kind: ProgramType, hook: int, name: str
) -> None:
    spec = MapSpec("sock_ops_map", type_, 4, 4, 4)
    with mapwrite.create(gate, spec) as live, program(gate, kind) as (fd, number):
        attach(gate, fd, hook, live.fd)
        where = f"{name} of map {live.info.id} sock_ops_map"
        assert attached(number) == [Attachment("sockmap", where, number)]


def test_a_registered_struct_ops_map_runs_its_programs(gate: Gate, tmp_path: Path) -> None:
    with struct_ops.loaded(gate, tmp_path) as control:
        number = map_info(control.maps[struct_ops.MAP]).id
        assert [attached(one) for one in control.programs] == [[], [], []]
        with control.stored():
            where = f"map {number} {struct_ops.MAP}"
            for one in control.programs:
                assert attached(one) == [Attachment("struct ops", where, one)]
        assert [attached(one) for one in control.programs] == [[], [], []]


def test_a_struct_ops_map_for_a_link_runs_nothing_before_it_has_one(
    gate: Gate, tmp_path: Path
) -> None:
    with struct_ops.loaded(gate, tmp_path, by_link=True) as control, control.stored():
        assert [attached(one) for one in control.programs] == [[], [], []]
        with link(gate, control.maps[struct_ops.MAP], STRUCT_OPS):
            found = [one.kind for number in control.programs for one in attached(number)]
        assert found == ["struct ops"] * 3
        assert [attached(one) for one in control.programs] == [[], [], []]


@pytest.mark.parametrize(
    ("kind", "target", "where"),
    [
        (11, (7, 46), "ingress of interface 7"),
        (11, (7, 47), "egress of interface 7"),
        (13, (7, 54), "primary of interface 7"),
        (13, (7, 55), "peer of interface 7"),
        (6, (7,), "interface 7"),
        (3, (5, 1, 10), f"connect4 of cgroup {5 | 1 << 32}"),
        (5, (4026531840, 36), "sk lookup of network namespace 4026531840"),
        (14, (77, 7), "message verdict of map 77"),
        (9, (77,), "map 77"),
        (99, (1, 2, 3), ""),
    ],
)
def test_a_link_says_where_it_is(kind: int, target: tuple[int, ...], where: str) -> None:
    info = LinkInfoStruct(type=kind, prog_id=9)
    info.target[: len(target)] = target
    found = link_attachment(info)
    assert found
    assert (found.where, found.prog_id) == (where, 9)


@pytest.mark.parametrize("kind", [3, 5, 6, 11, 13, 14])
def test_a_link_without_a_place_is_no_attachment(kind: int) -> None:
    assert link_attachment(LinkInfoStruct(type=kind, prog_id=9)) is None


def test_hooks_that_no_loaded_program_fits_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel that answers as one with netkit would."""
    asked: list[int] = []

    def prepared(_cmd: Cmd, attr: ProgQueryAttr) -> Callable[[], bool]:
        def answer() -> bool:
            asked.append(attr.attach_type)
            ctypes.c_uint32.from_address(attr.prog_ids).value = 9
            attr.prog_cnt = int(attr.attach_type == 55)
            return True

        return answer

    monkeypatch.setattr(hooks, "prepared", prepared)
    assert Asker({ProgramType.XDP}).at(Target.INTERFACE, 7, 7, "lxc0") == []
    assert asked == []
    found = Asker({ProgramType.SCHED_CLS}).at(Target.INTERFACE, 7, 7, "lxc0")
    assert asked == [46, 47, 54, 55]
    assert found == [Attachment("netkit", "peer of lxc0", 9)]
    assert found[0].place == ("netkit", 7, 55)


def test_the_kernel_says_which_hooks_it_knows() -> None:
    assert known(hooks.HOOKS[Target.INTERFACE][0])
    assert not known(Hook(0xFFFF, "later", "later", ProgramType.XDP))
