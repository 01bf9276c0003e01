from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.history import History
from ctconsole.kernel import iproute, mapwrite, netns, pins, tc
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.lab.foreign_agent import ANY_MAP, TCP_MAP
from ctconsole.lab.foreign_program import holding
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.spec import MapInfo, MapSpec, MapType
from ctconsole.observe import inventory
from ctconsole.observe.usage import (
    Former,
    MapUsage,
    former_maps,
    in_use,
    map_usage,
    older_in_use,
)
from ctconsole.paths import GLOBALS
from tests.support import struct_ops
from tests.support.bpf_insns import using_map
from tests.support.foreign import ForeignNode, foreign_node
from tests.support.hooks import TCX_INGRESS, attach, link, program
from tests.support.namespaces import connected_pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture
def node(gate: Gate, bpffs: Path, tmp_path: Path) -> Iterator[ForeignNode]:
    with foreign_node(gate, bpffs, tmp_path) as built:
        built.agent.start()
        yield built


def replace_pin(gate: Gate, path: Path, max_entries: int = 1024) -> MapInfo:
    """What an agent does that dies before its programs follow."""
    pins.unpin(gate, path)
    with mapwrite.create(gate, MapSpec(path.name, MapType.LRU_HASH, 14, 56, max_entries)) as live:
        pins.pin(gate, live, path)
        return live.info


def usage(root: Path, name: str = TCP_MAP, history: Path | None = None) -> MapUsage:
    (found,) = [one for one in map_usage(root, history) if one.path.name == name]
    return found


def test_a_node_in_order_has_users_and_no_alarm(node: ForeignNode) -> None:
    for found in map_usage(node.agent.bpf_root):
        assert found.level is Level.INFO
        assert found.verdict == ""
        assert found.others == ()
        assert [user.how for user in found.pinned.users] == ["attached", "attached"]
        assert {user.where for user in found.pinned.users} == {
            (f"tc ingress of left0 in {node.left}",),
            (f"tc egress of left0 in {node.left}",),
        }


def test_a_pin_nobody_uses_while_programs_use_its_old_map_is_an_alarm(
    node: ForeignNode, gate: Gate
) -> None:
    root = node.agent.bpf_root
    old = node.map_info()
    new = replace_pin(gate, root / GLOBALS / TCP_MAP)
    found = usage(root)
    assert found.split
    assert found.pinned.map.id == new.id
    assert found.pinned.users == ()
    assert [generation.map.id for generation in found.others] == [old.id]
    assert len(found.others[0].live_users) == 2
    assert f"--map-id {old.id}" in found.verdict
    assert not usage(root, ANY_MAP).split
    assert found.since == (root / GLOBALS / TCP_MAP).lstat().st_mtime
    told = re.fullmatch(
        rf"older map {old.id}, replaced \d\d:\d\d:\d\d, in use by 2 programs \((.+)\)",
        in_use(found),
    )
    assert told
    assert set(told[1].split(", ")) == {u.program.name for u in found.others[0].users}
    assert in_use(usage(root, ANY_MAP)) == ""


@pytest.mark.parametrize("by_link", [False, True])
def test_a_tcx_program_on_an_old_map_is_an_alarm(gate: Gate, bpffs: Path, *, by_link: bool) -> None:
    path = bpffs / GLOBALS / TCP_MAP
    with (
        connected_pair(gate) as (left, _),
        mapwrite.create(gate, MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 4096)) as old,
        mapwrite.create(gate, MapSpec(ANY_MAP, MapType.LRU_HASH, 14, 56, 4096)) as kept,
        program(gate, ProgramType.SCHED_CLS, insns=holding(old.fd, kept.fd)) as (fd, _),
        ExitStack() as stack,
    ):
        pins.pin(gate, old, path)
        pins.pin(gate, kept, path.parent / ANY_MAP)
        index = iproute.get("left0", netns=left).index
        if by_link:
            stack.enter_context(link(gate, fd, TCX_INGRESS, index, space=left))
        else:
            attach(gate, fd, TCX_INGRESS, index, space=left)
        assert not usage(bpffs).split
        new = replace_pin(gate, path)
        found = usage(bpffs)
        assert found.split
        assert (found.pinned.map.id, found.pinned.users) == (new.id, ())
        (other,) = found.others
        assert other.map.id == old.info.id
        assert [user.where for user in other.live_users] == [(f"tcx ingress of left0 in {left}",)]


def test_a_congestion_control_on_an_old_map_is_an_alarm(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    path = bpffs / GLOBALS / TCP_MAP
    with struct_ops.loaded(gate, tmp_path) as control:
        pins.make_folder(gate, path.parent)
        pins.pin_fd(gate, control.maps["cilium_ct4_global"], path)
        pins.pin_fd(gate, control.maps["held"], path.parent / "held")
        replace_pin(gate, path)
        assert not usage(bpffs).split
        with control.stored():
            found = usage(bpffs)
        assert found.split
        (user,) = found.others[0].live_users
        assert user.program.name == "ssthresh"
        assert user.where[0].startswith("struct ops map ")


def test_while_programs_change_hands_it_is_only_a_warning(node: ForeignNode, gate: Gate) -> None:
    root = node.agent.bpf_root
    old = node.map_info()
    replace_pin(gate, root / GLOBALS / TCP_MAP)
    with BpfMap.open(root / GLOBALS / TCP_MAP) as live:
        fd = load_program(gate, using_map(live.fd), name="moved")
    index = iproute.get("left0", netns=node.left).index
    tc.replace_filter(gate, index, tc.TcHook.EGRESS, fd, "moved", netns=node.left)
    os.close(fd)
    found = usage(root)
    assert found.level is Level.WARNING
    assert "1 programs use the pinned map" in found.verdict
    assert in_use(found).startswith(f"1 program; older map {old.id}, replaced ")
    assert "in use by 1 program (" in in_use(found)
    assert [generation.map.id for generation in found.others] == [old.id]


def test_maps_of_the_same_name_elsewhere_are_not_taken_for_ours(
    node: ForeignNode, gate: Gate, bpffs: Path
) -> None:
    with connected_pair(gate) as (left, _):
        spec = MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 32768)
        with mapwrite.create(gate, spec) as other:
            fd = load_program(gate, using_map(other.fd), name="stranger")
        index = iproute.get("left0", netns=left).index
        tc.ensure_clsact(gate, index, netns=left)
        tc.replace_filter(gate, index, tc.TcHook.INGRESS, fd, "stranger", netns=left)
        os.close(fd)
        found = usage(bpffs)
        assert (found.level, found.others) == (Level.INFO, ())
    assert node.agent.pid


def test_the_history_knows_a_map_no_shared_map_gives_away(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    path = bpffs / GLOBALS / TCP_MAP
    with connected_pair(gate) as (left, _):
        with mapwrite.create(gate, MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 4096)) as old:
            pins.pin(gate, old, path)
            fd = load_program(gate, using_map(old.fd), name="alone")
        index = iproute.get("left0", netns=left).index
        tc.ensure_clsact(gate, index, netns=left)
        tc.replace_filter(gate, index, tc.TcHook.INGRESS, fd, "alone", netns=left)
        os.close(fd)
        new = replace_pin(gate, path)
        assert not usage(bpffs).split
        moment = os.stat("/proc/self").st_mtime  # noqa: PTH116 - a time of this boot
        fields = {"old_id": old.info.id, "new_id": new.id}
        with History(tmp_path / "history.db") as history:
            event = Event(
                moment, EventKind.MAP_RECREATED, "observe", str(path), "", Level.INFO, fields
            )
            before_boot = Event(
                1.0, EventKind.MAP_RECREATED, "observe", str(path), "", fields={"old_id": 1}
            )
            history.append([event, before_boot])
        assert former_maps(tmp_path / "history.db") == {old.info.id: Former(TCP_MAP, moment)}
        found = usage(bpffs, history=tmp_path / "history.db")
        assert found.split
        assert found.since == moment


def test_the_history_is_asked_only_where_programs_use_maps_that_are_not_pinned_here(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin, asked = bpffs / TCP_MAP, []
    with mapwrite.create(gate, MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 1024)) as live:
        pins.pin(gate, live, pin)
        user = load_program(gate, using_map(live.fd), name="user")
    try:
        # The only program of this machine: other datapaths live on it.
        monkeypatch.setattr(inventory, "all_program_ids", lambda: [program_info(user).id])
        assert older_in_use(bpffs, lambda: asked.append("in order")) == []
        replace_pin(gate, pin)
        older_in_use(bpffs, lambda: asked.append("replaced"))
    finally:
        os.close(user)
    assert asked == ["replaced"]


def test_of_a_history_that_cannot_be_looked_for_nothing_is_known(tmp_path: Path) -> None:
    assert former_maps(tmp_path / ("history" * 50)) == {}


def test_programs_reached_by_tail_calls_count_as_users(gate: Gate, bpffs: Path) -> None:
    with (
        connected_pair(gate) as (left, _),
        mapwrite.create(gate, MapSpec("cilium_calls", MapType.PROG_ARRAY, 4, 4, 4)) as calls,
        mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 4)) as used,
    ):
        pins.pin(gate, calls, bpffs / "cilium_calls_00001")
        pins.pin(gate, used, bpffs / "x")
        called = load_program(gate, using_map(used.fd), name="called")
        caller = load_program(gate, using_map(calls.fd), name="caller")
        mapwrite.update(
            gate, calls, (1).to_bytes(4, sys.byteorder), called.to_bytes(4, sys.byteorder)
        )
        index = iproute.get("left0", netns=left).index
        tc.ensure_clsact(gate, index, netns=left)
        tc.replace_filter(gate, index, tc.TcHook.INGRESS, caller, "caller", netns=left)
        os.close(caller)
        os.close(called)
        (user,) = usage(bpffs, "x").pinned.users
        assert (user.how, user.where) == ("tail call", (f"tc ingress of left0 in {left}",))


def test_xdp_programs_and_loaded_ones_are_told_apart(gate: Gate, bpffs: Path) -> None:
    with (
        connected_pair(gate) as (left, _),
        mapwrite.create(gate, MapSpec("x", MapType.HASH, 4, 4, 4)) as used,
    ):
        pins.pin(gate, used, bpffs / "x")
        idle = load_program(gate, using_map(used.fd), name="idle")
        fd = load_program(gate, using_map(used.fd, 2), ProgramType.XDP, name="drop_less")
        pins.pin_fd(gate, fd, bpffs / "prog")
        number = program_info(fd).id
        # iproute2 mounts a bpffs on /sys/fs/bpf where none is: not in the machine's mounts.
        argv = ["unshare", "--mount", "ip", "link", "set", "left0"]
        argv += ["xdpgeneric", "pinned", str(bpffs / "prog")]
        with netns.inside(left):
            subprocess.run(argv, check=True)
        os.close(fd)
        found = {user.program.name: user for user in usage(bpffs, "x").pinned.users}
        os.close(idle)
        assert found["idle"].how == "loaded"
        assert not found["idle"].live
        assert found["drop_less"].program.id == number
        assert found["drop_less"].where == (f"xdp generic of left0 in {left}",)


def test_the_verb_shows_both_generations_and_answers_no(node: ForeignNode, gate: Gate) -> None:
    root = node.agent.bpf_root
    old = node.map_info()
    new = replace_pin(gate, root / GLOBALS / TCP_MAP)

    def ctconsole(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ctconsole", *argv, "--bpf-root", str(root)],
            capture_output=True,
            text=True,
            check=False,
        )

    done = ctconsole("map", "users", TCP_MAP, "--json")
    assert done.returncode == 1
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert [one["pinned"]["id"] for one in found] == [new.id]
    assert [other["id"] for other in found[0]["others"]] == [old.id]
    assert len(found[0]["others"][0]["users"]) == 2
    text = ctconsole("map", "users", TCP_MAP)
    assert "used by no program" in text.stdout
    assert text.stderr.startswith("ALARM: Nobody uses the pinned cilium_ct4_global")
    assert ctconsole("map", "users", ANY_MAP).returncode == 0
    assert ctconsole("map", "users", "nonsense").returncode == 2
