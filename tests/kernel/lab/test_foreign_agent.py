from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel.maps import BpfMap, all_programs
from ctconsole.lab.foreign_agent import ANY_MAP, TCP_MAP, TCP_MAX
from ctconsole.model.ct.layout import KEY4
from ctconsole.observe import discovery
from ctconsole.paths import GLOBALS
from tests.support.foreign import foreign_node, until

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.mark.parametrize("generation", ["1.9", "1.18"])
def test_it_is_found_and_asked_like_a_real_one(
    gate: Gate, bpffs: Path, tmp_path: Path, generation: str
) -> None:
    with foreign_node(gate, bpffs, tmp_path, generation) as node:
        node.agent.start()
        facts = discovery.discover(bpffs)
        assert facts.agent
        assert facts.agent.process.pid == node.agent.pid
        assert facts.version
        assert facts.version.value.startswith(generation)
        assert facts.layout
        assert facts.layout.value == generation
        assert facts.options[TCP_MAX] == "32768"
        node.agent.stop()
        assert discovery.discover(bpffs).agent is None


def test_its_programs_keep_entries_of_real_packets(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        node.datagrams(range(5000, 5010))
        with BpfMap.open(bpffs / GLOBALS / ANY_MAP) as live:
            assert until(lambda: live.count() >= 10)
            keys = live.read().keys.view(KEY4).reshape(-1)
        udp = keys[keys["nexthdr"] == 17]
        assert sorted(udp["dport"].tolist()) == list(range(5000, 5010))
        assert set(udp["sport"].tolist()) == {40000}
        assert {bytes(row) for row in udp["daddr"]} == {bytes([10, 77, 0, 2])}


@pytest.mark.parametrize(
    ("generation", "said"),
    [
        ("1.18", 'msg="Unpinning map with incompatible properties"'),
        ("1.9", 'msg="Max entries mismatch for BPF map"'),
    ],
)
def test_another_size_makes_another_map_and_the_programs_follow(
    gate: Gate, bpffs: Path, tmp_path: Path, generation: str, said: str
) -> None:
    with foreign_node(gate, bpffs, tmp_path, generation) as node:
        node.agent.start()
        before, other = node.map_info(), node.map_info(ANY_MAP)
        node.agent.configure(TCP_MAX, 8192)
        node.agent.restart()
        after = node.map_info()
        assert (before.max_entries, after.max_entries) == (32768, 8192)
        assert before.id != after.id
        assert node.map_info(ANY_MAP).id == other.id
        assert said in node.agent.log.read_text()
        assert f"{TCP_MAP}" in node.agent.log.read_text()
        assert until(lambda: not any(before.id in p.map_ids for p in all_programs()))
        assert sum(after.id in program.map_ids for program in all_programs()) == 2
