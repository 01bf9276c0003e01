from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import DatapathError
from ctconsole.kernel import mapiter, mapwrite
from ctconsole.kernel.fingerprint import Fingerprints, open_fingerprints
from ctconsole.kernel.programs import all_programs
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

ENTRIES = 3000
CAPACITY = 200_000
"""More memory than one call of the iterator looks over."""


@pytest.fixture(scope="module")
def prints() -> Iterator[Fingerprints]:
    with Fingerprints() as opened:
        yield opened


@pytest.fixture(params=[0, 2], ids=["common", "distributed"])
def live(gate: Gate, request: pytest.FixtureRequest) -> Iterator[BpfMap]:
    spec = MapSpec("looked_over", MapType.LRU_HASH, 14, 56, CAPACITY, request.param)
    with mapwrite.create(gate, spec) as made:
        mapwrite.update_batch(gate, made, *entries())
        yield made


def entries() -> tuple[np.ndarray, np.ndarray]:
    keys = np.zeros((ENTRIES, 14), np.uint8)
    keys[:, :4] = np.arange(ENTRIES, dtype="<u4").view(np.uint8).reshape(ENTRIES, 4)
    return keys, np.zeros((ENTRIES, 56), np.uint8)


def test_reading_a_map_leaves_its_fingerprint(prints: Fingerprints, live: BpfMap) -> None:
    first = prints.of(live.info.id)
    assert first is not None
    assert len(live.read().keys) == live.count() == ENTRIES
    assert live.lookup(bytes(14)) == bytes(56)
    assert prints.of(live.info.id) == first


@pytest.mark.parametrize("row", [0, 1234, ENTRIES - 1])
def test_every_change_is_seen_wherever_it_lies(
    gate: Gate, prints: Fingerprints, live: BpfMap, row: int
) -> None:
    key = entries()[0][row].tobytes()
    told = [prints.of(live.info.id)]
    mapwrite.update(gate, live, key, bytes(55) + b"\1")
    told.append(prints.of(live.info.id))
    mapwrite.delete(gate, live, key)
    told.append(prints.of(live.info.id))
    # As it was in the beginning, but for the place the entry got.
    mapwrite.update(gate, live, key, bytes(56))
    told.append(prints.of(live.info.id))
    mapwrite.update(gate, live, b"\xff" * 14, bytes(56))
    told.append(prints.of(live.info.id))
    mapwrite.delete(gate, live, b"\xff" * 14)
    told.append(prints.of(live.info.id))
    assert len(set(told)) == len(told)


def test_there_is_none_of_other_maps(gate: Gate, prints: Fingerprints) -> None:
    for kind in (MapType.HASH, MapType.LRU_PERCPU_HASH, MapType.ARRAY):
        with mapwrite.create(gate, MapSpec("other", kind, 4, 8, 100)) as other:
            assert prints.of(other.info.id) is None
    assert prints.of(0) is None


def test_no_program_uses_the_map_for_it(prints: Fingerprints, live: BpfMap) -> None:
    prints.of(live.info.id)
    assert not [one for one in all_programs() if live.info.id in one.map_ids]


def test_a_kernel_that_refuses_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, **_more: object) -> None:
        raise DatapathError("iter_fingerprint.bpf.o does not load: invalid func bpf_loop")

    monkeypatch.setattr(mapiter, "BpfObject", refuse)
    assert open_fingerprints() is None
