"""One pin that is not what its name says is told and passed over; the others are shown."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.agent import gc
from ctconsole.agent.scrub import scrub
from ctconsole.cli.main import root as cli
from ctconsole.kernel import mapwrite, pins, probes
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program
from ctconsole.manager.knowledge import read_knowledge
from ctconsole.model.event import Level
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.node.pinned import PinnedTables, ReadAhead
from ctconsole.observe.alarms import alarms
from ctconsole.observe.live import LiveSource
from ctconsole.observe.pins import Pins
from ctconsole.observe.sampler import Sample
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import returning
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from ctconsole.kernel.gate import Gate

TCP4, ANY4, LOCAL = "cilium_ct4_global", "cilium_ct_any4_global", "cilium_ct4_00042"


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    """Two conntrack maps with ten entries each, and a map that the metrics are in."""
    for name in (TCP4, LOCAL):
        with mapwrite.create(gate, MapSpec(name, MapType.LRU_HASH, 14, 56, 64)) as live:
            pins.pin(gate, live, bpffs / GLOBALS / name)
            mapwrite.update_batch(gate, live, *ct4_rows(10, lifetime=1))
    return bpffs


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in args])


@pytest.mark.parametrize("verb", [("map", "list"), ("map", "users"), ("map", "calls")])
def test_a_loop_of_links_is_passed_over(node: Path, verb: tuple[str, str]) -> None:
    (node / GLOBALS / "loop").symlink_to("loop")
    result = run(*verb, "--bpf-root", node)
    assert result.exit_code == 0, result.output
    assert "Passed over" in result.stderr
    assert "loop: Too many levels of symbolic links" in result.stderr
    assert TCP4 in result.stdout or verb[1] == "calls"


def test_a_loop_of_links_blinds_neither_the_console_nor_the_watcher(node: Path) -> None:
    (node / GLOBALS / "loop").symlink_to("loop")
    source, watched = LiveSource(node), Pins(node)
    try:
        node_now = source.maps()
        assert {row.info.label for row in node_now.rows} == {TCP4, LOCAL}
        assert ["loop: Too many" in text for text in node_now.passed_over] == [True]
        [alarm] = alarms(Sample(node=node_now))
        assert (alarm.level, "loop: Too many" in alarm.text) == (Level.WARNING, True)
        (warning,), _ = watched.look()
        assert "loop: Too many levels of symbolic links" in warning.message
        assert {path.name for path in watched.infos} == {TCP4, LOCAL}
        assert watched.look() == ([], [])
    finally:
        source.close()
        watched.close()


@pytest.mark.parametrize("verb", [("ct", "list"), ("ct", "stats")])
def test_a_program_under_the_name_of_a_conntrack_map_is_passed_over(
    gate: Gate, node: Path, verb: tuple[str, str]
) -> None:
    pin_program(gate, node / GLOBALS / ANY4)
    result = run(*verb, "--bpf-root", node)
    assert result.exit_code == 0, result.output
    assert f"{ANY4}: Invalid argument. It is no map" in result.stderr
    assert TCP4 in result.stdout
    assert LOCAL in result.stdout


@pytest.mark.parametrize("verb", ["list", "users", "calls"])
def test_a_program_under_a_maps_name_is_told_by_the_lists_of_maps(
    gate: Gate, node: Path, verb: str
) -> None:
    pin_program(gate, node / GLOBALS / ANY4)
    result = run("map", verb, "--bpf-root", node)
    assert result.exit_code == 0, result.output
    assert result.stderr.count(f"{ANY4}: Invalid argument. It is no map") == 1


def test_a_program_under_a_maps_name_is_told_by_the_console_and_the_watcher(
    gate: Gate, node: Path
) -> None:
    pin_program(gate, node / GLOBALS / ANY4)
    pin_program(gate, node / GLOBALS / "cil_from_netdev")
    source, watched = LiveSource(node), Pins(node)
    try:
        node_now = source.maps()
        [alarm] = alarms(Sample(node=node_now))
        assert alarm.level is Level.WARNING
        assert f"{ANY4}: Invalid argument. It is no map" in alarm.text
        # A program under a name of its own is what a bpffs is for.
        assert len(node_now.passed_over) == 1
        (warning,), _ = watched.look()
        assert f"{ANY4}: Invalid argument. It is no map" in warning.message
    finally:
        source.close()
        watched.close()


@pytest.mark.parametrize("verb", [("ct", "list"), ("ct", "stats")])
def test_a_map_that_goes_between_listing_and_opening_is_passed_over(
    gate: Gate, node: Path, verb: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = PinnedTables._open

    def going(maps: PinnedTables, name: str) -> ReadAhead:
        if name == LOCAL:
            pins.unpin(gate, node / GLOBALS / LOCAL)
        return opened(maps, name)

    monkeypatch.setattr(PinnedTables, "_open", going)
    result = run(*verb, "--bpf-root", node)
    assert result.exit_code == 0, result.output
    assert f"{LOCAL}: No such file" in result.stderr
    assert TCP4 in result.stdout


def test_where_no_map_can_be_opened_the_verb_fails(gate: Gate, bpffs: Path) -> None:
    program = load_program(gate, returning(0))
    pins.pin_fd(gate, program, bpffs / TCP4)
    os.close(program)
    pins.make_folder(gate, bpffs / GLOBALS)
    pins.rename(gate, bpffs / TCP4, bpffs / GLOBALS / TCP4)
    result = run("ct", "list", "--bpf-root", bpffs)
    assert result.exit_code != 0


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("endpoint", "cilium_lxc"),
        ("metrics", "cilium_metrics"),
        ("policy", "cilium_policy_v2_00042"),
    ],
)
def test_an_empty_map_of_an_unknown_size_is_shown_as_such(
    gate: Gate, bpffs: Path, verb: str, name: str
) -> None:
    with mapwrite.create(gate, MapSpec(name[:15], MapType.HASH, 4, 999, 4)) as live:
        pins.pin(gate, live, bpffs / GLOBALS / name)
    result = run(verb, "list", "--bpf-root", bpffs)
    assert result.exit_code == 0, result.output
    assert "shown as hexadecimal" in result.stderr


def test_other_maps_are_listed_beside_a_program_under_a_maps_name(gate: Gate, bpffs: Path) -> None:
    for name in ("cilium_policy_v2_00001", "cilium_policy_v2_00003"):
        with mapwrite.create(gate, MapSpec(name[:15], MapType.HASH, 4, 999, 4)) as live:
            pins.pin(gate, live, bpffs / GLOBALS / name)
    program = load_program(gate, returning(0))
    pins.pin_fd(gate, program, bpffs / GLOBALS / "cilium_policy_v2_00002")
    os.close(program)
    result = run("policy", "list", "--bpf-root", bpffs)
    assert result.exit_code == 0, result.output
    assert "00002: Invalid argument. It is no map" in result.stderr
    assert "cilium_policy_v2_00003" in result.stderr + result.stdout


def pin_program(gate: Gate, path: Path) -> None:
    program = load_program(gate, returning(0))
    pins.pin_fd(gate, program, path)
    os.close(program)


def test_the_doctor_names_a_pin_that_leads_nowhere(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "find_bpffs", lambda: [node])
    (node / GLOBALS / "loop").symlink_to("loop")
    result = run("doctor")
    (line,) = [line for line in result.stdout.splitlines() if "pinned maps" in line]
    assert line.startswith("miss")
    assert "loop: Too many levels of symbolic links" in line


def test_the_doctor_names_a_program_under_a_maps_name(
    gate: Gate, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "find_bpffs", lambda: [node])
    pin_program(gate, node / GLOBALS / ANY4)
    (line,) = [line for line in run("doctor").stdout.splitlines() if "pinned maps" in line]
    assert line.startswith("miss")
    assert f"{ANY4}: Invalid argument. It is no map" in line


@pytest.mark.parametrize("name", [ANY4, "cilium_snat_v4_external"])
def test_the_garbage_collection_goes_past_what_is_no_map(gate: Gate, node: Path, name: str) -> None:
    pin_program(gate, node / GLOBALS / name)
    paths = [node / GLOBALS / name, node / GLOBALS / TCP4]
    report = gc.collect(gate, paths)
    assert report.deleted == 10
    event = report.event(10.0)
    assert event.level is Level.WARNING
    assert f"{name}: Invalid argument. It is no map" in str(event.fields["passed_over"])


def test_a_scrub_goes_past_what_is_no_map(gate: Gate, node: Path) -> None:
    pin_program(gate, node / GLOBALS / ANY4)
    paths = [node / GLOBALS / ANY4, node / GLOBALS / TCP4]
    with BpfMap.open(paths[1]) as live:
        address = ip_address(live.read().keys[0][:4].tobytes())
        assert scrub(gate, paths, [address]) > 0


@pytest.mark.parametrize("name", ["cilium_lb4_services_v2", "cilium_lb4_maglev"])
def test_a_program_under_a_service_maps_name_tells_nothing(
    gate: Gate, node: Path, name: str
) -> None:
    pin_program(gate, node / GLOBALS / name)
    services = MapSpec("cilium_lb4_serv", MapType.HASH, 12, 12, 16)
    if name != "cilium_lb4_services_v2":
        with mapwrite.create(gate, services) as live:
            pins.pin(gate, live, node / GLOBALS / "cilium_lb4_services_v2")
    assert not read_knowledge(node / GLOBALS).services
