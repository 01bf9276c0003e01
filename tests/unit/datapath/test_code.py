from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import pytest

from ctconsole import paths
from ctconsole.datapath.code import EndpointSlot, MapSlot, Program, SlotKind
from ctconsole.errors import DatapathError

if TYPE_CHECKING:
    from enum import IntEnum

EXIT = bytes.fromhex("9500000000000000")


def load_imm64(register: int, kind: int, value: int) -> bytes:
    return struct.pack("<BBhi", 0x18, kind << 4 | register, 0, value) + bytes(8)


def test_slots_are_filled_and_the_rest_is_left_alone() -> None:
    code = (
        load_imm64(1, SlotKind.MAP, MapSlot.METRICS_MAP),
        load_imm64(9, SlotKind.ENDPOINT, EndpointSlot.EP_IDENTITY),
        load_imm64(3, 0, MapSlot.METRICS_MAP),
        EXIT,
    )
    program = Program("p", b"".join(code))
    bound = program.bind({MapSlot.METRICS_MAP: 77}, {EndpointSlot.EP_IDENTITY: 0xFFFF_FFFF})
    assert bound == b"".join(
        (load_imm64(1, SlotKind.MAP, 77), load_imm64(9, 0, -1), load_imm64(3, 0, 3), EXIT)
    )
    assert program.map_slots() == {MapSlot.METRICS_MAP}


def test_a_slot_nobody_fills_is_named() -> None:
    program = Program("p", load_imm64(1, SlotKind.MAP, MapSlot.CT_MAP_TCP4) + EXIT)
    with pytest.raises(DatapathError, match="p wants CT_MAP_TCP4"):
        program.bind({}, {})


def test_a_slot_of_another_version_is_refused() -> None:
    program = Program("p", load_imm64(1, SlotKind.MAP, 99) + EXIT)
    with pytest.raises(DatapathError, match="slot 99, which no MapSlot is"):
        program.map_slots()


@pytest.mark.parametrize(("name", "kind"), [("map_slot", MapSlot), ("endpoint_slot", EndpointSlot)])
def test_slots_are_those_of_the_abi_header(name: str, kind: type[IntEnum]) -> None:
    header = (paths.bpf_sources() / "ctconsole_abi.h").read_text()
    found = re.search(rf"enum {name} {{(.*?)}};", header, re.DOTALL)
    assert found
    members = re.findall(r"(\w+) = (\d+)", found.group(1))
    assert {key: int(value) for key, value in members} == {each.name: each for each in kind}


def test_slot_kinds_are_those_of_the_abi_header() -> None:
    header = (paths.bpf_sources() / "ctconsole_abi.h").read_text()
    members = re.findall(r"SLOT_KIND_(\w+)\s+(\d+)", header)
    assert {key: int(value) for key, value in members} == {each.name: each for each in SlotKind}
