"""What a program array holds, read where it lies and asked for place by place."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import DatapathError
from ctconsole.kernel import mapwrite, slots
from ctconsole.kernel.programs import load_program, program_info
from ctconsole.kernel.slots import MOST, ArrayLook, SlotReader, one_by_one
from ctconsole.model.spec import MapInfo, MapSpec, MapType
from tests.support.bpf_insns import returning
from tests.support.foreign import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

PLACES = 65_535


@pytest.fixture
def program(gate: Gate) -> Iterator[int]:
    opened = load_program(gate, returning(0), name="called")
    yield opened
    os.close(opened)


@pytest.fixture
def array(gate: Gate) -> Iterator[BpfMap]:
    with mapwrite.create(gate, MapSpec("calls", MapType.PROG_ARRAY, 4, 4, PLACES)) as made:
        yield made


def put(gate: Gate, array: BpfMap, place: int, program: int) -> None:
    mapwrite.update(
        gate, array, place.to_bytes(4, sys.byteorder), program.to_bytes(4, sys.byteorder)
    )


@pytest.mark.parametrize(
    "places",
    [
        (),
        (0,),
        (PLACES - 1,),
        (0, 63, 64, 65, 4095, 4096, PLACES - 1),
        # More than one answer has room for.
        tuple(range(3 * MOST + 7)),
    ],
    ids=lambda places: f"{len(places)} filled",
)
def test_both_ways_read_the_same(
    gate: Gate, array: BpfMap, program: int, places: tuple[int, ...]
) -> None:
    for place in places:
        put(gate, array, place, program)
    number = program_info(program).id
    with ArrayLook() as look:
        assert look.of(array.info.id) == tuple((place, number) for place in places)
    assert one_by_one(array.info.id) == tuple((place, number) for place in places)


def test_an_array_is_not_kept_by_a_look(gate: Gate, program: int) -> None:
    with ArrayLook() as look:
        with mapwrite.create(gate, MapSpec("calls", MapType.PROG_ARRAY, 4, 4, PLACES)) as made:
            put(gate, made, 5, program)
            number = made.info.id
            assert look.of(number) == ((5, program_info(program).id),)
        # The kernel frees it a moment after its last user.
        assert until(lambda: look.of(number) is None)


def test_only_arrays_of_programs_are_looked_at(gate: Gate) -> None:
    with (
        mapwrite.create(gate, MapSpec("plain", MapType.ARRAY, 4, 8, 16)) as plain,
        ArrayLook() as look,
    ):
        assert look.of(plain.info.id) is None


def test_where_the_kernel_refuses_every_place_is_asked_for(
    gate: Gate, array: BpfMap, program: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> ArrayLook:
        raise DatapathError("no iterators here")

    monkeypatch.setattr(slots, "ArrayLook", refused)
    put(gate, array, 9, program)
    with SlotReader() as reader:
        assert reader.read(array.info) == ((9, program_info(program).id),)


def test_an_array_that_has_gone_holds_nothing() -> None:
    with SlotReader() as reader:
        gone = MapInfo((1 << 31) - 7, "calls", MapType.PROG_ARRAY, 4, 4, PLACES)
        assert reader.read(gone) == ()


def test_a_large_array_is_not_asked_place_by_place(
    array: BpfMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(slots, "one_by_one", asked.append)
    with SlotReader() as reader:
        assert reader.read(array.info) == ()
    assert asked == []
