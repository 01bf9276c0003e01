from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.datapath import bcc, loader
from ctconsole.datapath.code import MapSlot, Program
from ctconsole.errors import DatapathError, GoneError
from ctconsole.kernel import pins
from ctconsole.kernel.maps import BpfMap
from tests.support.packets import ACK, SYN, tcp, udp
from tests.support.wire import POD, SPECS, Wire, pin_maps, wire

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

PEER, SELF = ("10.5.224.91", 40356), ("10.5.5.5", 80)


def ids(maps: dict[str, Path]) -> set[int]:
    found = set()
    for path in maps.values():
        with BpfMap.open(path) as live:
            found.add(live.info.id)
    return found


def test_programs_use_exactly_the_maps_pinned_when_they_were_loaded(
    gate: Gate, bpffs: Path
) -> None:
    maps = pin_maps(gate, bpffs)
    wanted = set(loader.map_names(AgentConfig(), POD).values())
    with loader.load(gate, AgentConfig(), maps, POD) as programs:
        used = {number for part in programs.parts for number in part.info.map_ids}
        for program in programs.programs:
            used |= set(program.info.map_ids)
        assert used - {programs.calls.info.id} == ids(
            {name: path for name, path in maps.items() if name in wanted}
        )
        pins.unpin(gate, maps["cilium_ct4_global"])
        pin_maps(gate, bpffs, SPECS[:1])
        assert len(set(programs.part("tail_handle_ipv4").info.map_ids) - ids(maps)) == 1


def test_a_map_without_a_path_is_named(gate: Gate, bpffs: Path) -> None:
    maps = pin_maps(gate, bpffs)
    del maps["cilium_metrics"]
    with pytest.raises(DatapathError, match="want cilium_metrics, of which no path is given"):
        loader.load(gate, AgentConfig(), maps, POD)


def test_a_path_without_a_map_is_named(gate: Gate, bpffs: Path) -> None:
    maps = pin_maps(gate, bpffs) | {"cilium_metrics": bpffs / "nowhere"}
    with pytest.raises(GoneError, match="nowhere"):
        loader.load(gate, AgentConfig(), maps, POD)


def test_endpoints_of_one_configuration_share_one_compilation(
    gate: Gate, bpffs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = pin_maps(gate, bpffs)
    loader.load(gate, AgentConfig(), maps, POD).close()
    monkeypatch.delattr(bcc, "_compiled")
    loader.load(gate, AgentConfig(), maps, replace(POD, id=11, identity=7)).close()


def test_timeouts_are_the_configured_ones(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig().with_options(
        {
            "bpf-ct-timeout-regular-tcp": "3000",
            "bpf-ct-timeout-regular-any": "400",
            "bpf-ct-timeout-regular-tcp-syn": "50",
        }
    )
    with wire(gate, bpffs, config=config) as pod:
        pod.out(tcp(SELF, PEER, SYN))
        assert 48 <= pod.lives() <= 50
        pod.into(tcp(PEER, SELF, ACK))
        assert 2998 <= pod.lives() <= 3000
        pod.out(udp(SELF, PEER))
        assert 398 <= pod.lives("ct_any4") <= 400


def test_each_endpoint_has_its_own_identity(gate: Gate, bpffs: Path) -> None:
    with wire(gate, bpffs, endpoint=replace(POD, identity=0xFFFF_FFFE)) as pod:
        pod.out(tcp(SELF, PEER, SYN))
        assert pod.entry()["src_sec_id"] == 0xFFFF_FFFE


@pytest.mark.parametrize(
    ("mark", "identity"),
    [(0, 2), (0x1170_0F01, 0x1_1170), (0x1170_0200, 2)],
    ids=["none", "an identity", "another meaning"],
)
def test_an_arriving_packet_is_of_the_identity_marked_on_it(
    pod: Wire, mark: int, identity: int
) -> None:
    pod.into(tcp(PEER, SELF, SYN), mark=mark)
    assert pod.entry()["src_sec_id"] == identity


def test_tables_of_an_endpoint_s_own_are_wanted_when_conntrack_is_local() -> None:
    config = AgentConfig().with_options({"conntrack-local": "true"})
    names = loader.map_names(config, POD)
    assert names[MapSlot.CT_MAP_TCP4] == "cilium_ct4_00010"
    assert names[MapSlot.CT_MAP_ANY4] == "cilium_ct_any4_00010"


def test_closing_lets_go_of_the_descriptors(pod: Wire) -> None:
    fds = [part.fd for part in pod.programs.parts]
    fds += [program.fd for program in pod.programs.programs]
    fds.append(pod.programs.calls.fd)
    pod.programs.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_refused_program_says_what_the_verifier_found(gate: Gate) -> None:
    # A chain of moves before it, to be cut away, then an exit without a return value.
    moves = bytes.fromhex("b7010000 00000000") * 40
    program = Program("broken", moves + bytes.fromhex("95000000 00000000"))
    with pytest.raises(DatapathError, match="for endpoint 10") as caught:
        loader._load(gate, program, program.bind({}, {}), POD)
    lines = caught.value.log.splitlines()
    assert "R0 !read_ok" in lines[-1]
    assert lines[0].endswith("lines before")
    assert len(lines) == 21


def test_a_pod_with_tables_of_its_own_uses_them(gate: Gate, bpffs: Path) -> None:
    config = AgentConfig().with_options({"conntrack-local": "true"})
    own = tuple(
        replace(spec, name=spec.name.replace("global", "00010"))
        for spec in SPECS
        if spec.name.startswith("cilium_ct")
    )
    with wire(gate, bpffs, config=config, specs=SPECS + own) as pod:
        assert pod.out(tcp(SELF, PEER, SYN))
        assert pod.into(udp(PEER, SELF))
        for name, entries in (("ct4_00010", 1), ("ct_any4_00010", 3), ("ct4_global", 0)):
            with BpfMap.open(pod.maps[f"cilium_{name}"]) as live:
                assert live.count() == entries
