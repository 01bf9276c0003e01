from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError, DatapathError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.programs import (
    ProgramType,
    all_programs,
    load_program,
    program_info,
    run_program,
)
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import EXIT, TC_ACT_SHOT, returning, using_map
from tests.support.programs import has_program

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

FRAME = bytes(64)


def test_a_program_tells_its_maps_and_is_listed(gate: Gate) -> None:
    with mapwrite.create(gate, MapSpec("used", MapType.HASH, 4, 4, 4)) as live:
        fd = load_program(gate, using_map(live.fd), name="uses_map")
        info = program_info(fd)
        assert (info.type, info.name, len(info.tag)) == (ProgramType.SCHED_CLS, "uses_map", 16)
        assert info.map_ids == (live.info.id,)
        assert info in all_programs()
        assert has_program(info.id)
        os.close(fd)


def test_a_program_runs_over_a_packet(gate: Gate) -> None:
    fd = load_program(gate, returning(TC_ACT_SHOT))
    verdict, packet, nanoseconds = run_program(fd, FRAME, repeat=10)
    assert (verdict, packet) == (TC_ACT_SHOT, FRAME)
    assert nanoseconds >= 0
    with pytest.raises(BpfError, match="BPF_PROG_TEST_RUN"):
        run_program(fd, b"short")
    os.close(fd)
    fd = load_program(gate, returning(-1))
    assert run_program(fd, FRAME)[0] == -1
    os.close(fd)


def test_a_refused_program_carries_the_verifiers_log(gate: Gate) -> None:
    with pytest.raises(DatapathError, match="refused the program no_return") as caught:
        load_program(gate, EXIT, name="no_return")
    assert "R0 !read_ok" in caught.value.log
