"""Who calls whom, read from real program arrays."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.programs import load_program, program_info
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.calls import Callee, tail_calls
from tests.support.bpf_insns import returning, using_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

NAME = "cilium_calls_00001"


@pytest.fixture
def ids(gate: Gate, bpffs: Path) -> Iterator[tuple[int, int]]:
    """An array with one place filled; ids of its caller and its callee."""
    with mapwrite.create(gate, MapSpec(NAME, MapType.PROG_ARRAY, 4, 4, 25)) as array:
        pins.pin(gate, array, bpffs / NAME)
        callee = load_program(gate, returning(0), name="callee")
        caller = load_program(gate, using_map(array.fd), name="caller")
        mapwrite.update(
            gate, array, (7).to_bytes(4, sys.byteorder), callee.to_bytes(4, sys.byteorder)
        )
        yield program_info(caller).id, program_info(callee).id
        os.close(caller)
        os.close(callee)


def test_callers_and_callees_of_an_array_are_found(bpffs: Path, ids: tuple[int, int]) -> None:
    (found,) = tail_calls(bpffs)
    assert found.path == bpffs / NAME
    assert [user.program.id for user in found.callers] == [ids[0]]
    assert found.callees == (Callee(7, ids[1], "callee"),)


def test_the_verb_prints_them(bpffs: Path, ids: tuple[int, int]) -> None:
    argv = ["map", "calls", "--bpf-root", str(bpffs)]
    text = CliRunner().invoke(cli, argv, standalone_mode=False).stdout
    assert "caller" in text
    assert f"to      7 {ids[1]:>7}  callee" in text
    (row,) = json.loads(CliRunner().invoke(cli, [*argv, NAME, "--json"]).stdout)
    assert row["calls"] == [{"index": 7, "id": ids[1], "name": "callee"}]


def test_an_array_that_is_not_there_is_named(bpffs: Path) -> None:
    argv = ["map", "calls", "nothing", "--bpf-root", str(bpffs)]
    error = CliRunner().invoke(cli, argv, standalone_mode=False).exception
    assert isinstance(error, UsageError)
    assert "No program array called nothing" in str(error)
