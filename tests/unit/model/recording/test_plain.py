from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ctconsole.errors import FormatError
from ctconsole.model.recording.plain import Types, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Part:
    name: str
    pin: PurePath | None = None


@dataclass(frozen=True, eq=False)
class Thing:
    colour: Colour
    parts: tuple[Part, ...]
    pair: tuple[int, str]
    weight: float
    raw: bytes
    known: Mapping[int, Part]
    some: frozenset[bytes]
    rows: npt.NDArray[Any]
    later: int = 7
    more: tuple[str, ...] = field(default=())


TYPES = Types((Colour, Part, Thing))
THING = Thing(
    Colour.RED,
    (Part("a"), Part("b", PurePath("/x"))),
    (1, "one"),
    2.5,
    b"\0\xff",
    MappingProxyType({3: Part("c")}),
    frozenset({b"y"}),
    np.arange(6, dtype=np.uint32).reshape(2, 3),
)


def test_a_value_comes_back_as_it_was() -> None:
    told = plain(THING)
    found = TYPES.value(Thing, told)
    assert (found.rows == THING.rows).all()
    assert found.parts == THING.parts
    assert found.known[3] == Part("c")
    assert (found.colour, found.pair, found.some) == (Colour.RED, (1, "one"), THING.some)
    assert plain(found) == told


def test_what_an_older_file_does_not_tell_is_what_it_is_without() -> None:
    told = plain(THING)
    del told["later"]
    assert TYPES.value(Thing, told).later == 7


def test_what_a_newer_file_tells_besides_is_passed_over() -> None:
    assert TYPES.value(Part, {"name": "a", "shape": "round"}) == Part("a")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("colour", "blue"),
        ("colour", 3.0),
        ("parts", "ab"),
        ("parts", [{"pin": None}]),
        ("parts", [{"name": "a", "pin": 5}]),
        ("pair", [1]),
        ("pair", [True, "one"]),
        ("weight", "heavy"),
        ("raw", "text"),
        ("known", [[1]]),
        ("known", {"1": 2}),
        ("some", [1]),
        ("rows", {"dtype": "O", "shape": [1], "data": b"12345678"}),
        ("rows", {"dtype": "<u4", "shape": [2, 3], "data": b"1234"}),
        ("rows", {"dtype": "<u4", "shape": [-1], "data": b"1234"}),
        ("rows", {"dtype": "<M8[s]", "shape": [1], "data": b"12345678"}),
        ("rows", []),
    ],
)
def test_a_part_of_another_kind_is_told_by_its_place(part: str, value: object) -> None:
    with pytest.raises(FormatError, match=rf"Thing\.{part}"):
        TYPES.value(Thing, plain(THING) | {part: value})


def test_what_has_no_plain_form_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError, match="object has no plain form"):
        plain(object())
