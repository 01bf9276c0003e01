"""A hash map read in ranges on several cores gives what one walk gives, in its order."""

from __future__ import annotations

import ctypes
import errno
import threading
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import mapwrite, syscall, walk
from ctconsole.kernel.ranges import Ranges
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.kernel.syscall import BatchAttr, Cmd

    Part: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

ROOM = 4096


def table(gate: Gate, entries: int, kind: MapType = MapType.LRU_HASH) -> BpfMap:
    live = mapwrite.create(gate, MapSpec("ranges", kind, 4, 8, ROOM))
    keys = np.arange(entries, dtype="<u4").view(np.uint8).reshape(-1, 4)
    if entries:
        mapwrite.update_batch(gate, live, keys, np.repeat(keys, 2, axis=1))
    return live


def rows(parts: Iterable[Part]) -> tuple[list[bytes], list[bytes]]:
    found: tuple[list[bytes], list[bytes]] = [], []
    for keys, values in parts:
        found[0].extend(key.tobytes() for key in keys)
        found[1].extend(value.tobytes() for value in values)
    return found


@pytest.mark.parametrize("kind", [MapType.LRU_HASH, MapType.HASH])
@pytest.mark.parametrize("entries", [0, 1, 2, 7, 300, 3000])
@pytest.mark.parametrize("room", [1, 2, 16, 100, 1000, 65536])
def test_ranges_bring_what_one_walk_brings(
    gate: Gate, kind: MapType, entries: int, room: int
) -> None:
    with table(gate, entries, kind) as live:
        assert rows(live.read_parts(room)) == rows(live.read_chunks())


@pytest.mark.parametrize("density", [0.001, 0.01, 1, 50])
def test_a_wrong_guess_of_the_density_changes_nothing(gate: Gate, density: float) -> None:
    """Whether ranges hold far more than was expected, or nothing at all."""
    for entries in (3, 500):
        with table(gate, entries) as live:
            parts = Ranges(live.fd, live.info, live.subject, density, 64).read(0)
            assert rows(parts) == rows(live.read_chunks())


def test_what_came_before_a_failure_is_handed_over(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with table(gate, 3000) as live:
        whole = rows(live.read_chunks())[0]
        real = syscall.call

        def refused_in_the_second_half(cmd: Cmd, attr: BatchAttr) -> int:
            at = attr.in_batch
            bucket = walk.BUCKET.unpack(ctypes.string_at(at, 4))[0] if at else 0
            return -errno.EBUSY if bucket > ROOM // 2 else real(cmd, attr)

        monkeypatch.setattr(walk, "call", refused_in_the_second_half)
        found: list[bytes] = []
        with pytest.raises(BpfError, match="BPF_MAP_LOOKUP_BATCH"):
            found.extend(key.tobytes() for keys, _ in live.read_parts(100) for key in keys)
        assert 1000 < len(found) < 2000
        assert found == whole[: len(found)]


def test_whoever_stops_taking_parts_stops_the_reading(gate: Gate) -> None:
    before = threading.active_count()
    with table(gate, 3000) as live:
        parts = cast("Generator[Part]", live.read_parts(10))
        for _ in range(20):
            next(parts)
        assert threading.active_count() > before
        parts.close()
        assert threading.active_count() == before
