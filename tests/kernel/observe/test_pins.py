from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError
from ctconsole.kernel import mapwrite
from ctconsole.kernel import pins as kernel_pins
from ctconsole.model.event import EventKind, Level
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe import pins
from ctconsole.observe.pins import Pins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate

NAME = "cilium_ct4_global"
SPEC = MapSpec(NAME, MapType.LRU_HASH, 14, 56, 1024)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def pin_another(gate: Gate, path: Path, entries: int) -> None:
    """Put a new map with so many entries in the pin's place."""
    if path.exists():
        kernel_pins.unpin(gate, path)
    with mapwrite.create(gate, SPEC) as live:
        for number in range(entries):
            mapwrite.update(gate, live, number.to_bytes(14, "big"), bytes(56))
        kernel_pins.pin(gate, live, path)


@pytest.fixture
def watched(gate: Gate, bpffs: Path) -> Iterator[tuple[Pins, Path]]:
    """Pins that have seen a table of five entries."""
    path = bpffs / NAME
    pin_another(gate, path, 5)
    with closing(Pins(bpffs)) as one:
        one.look()
        yield one, path


def test_a_replacement_hands_the_lost_map_over(watched: tuple[Pins, Path], gate: Gate) -> None:
    one, path = watched
    pin_another(gate, path, 2)
    (event,), (replaced,) = one.look()
    with closing(replaced):
        assert event.kind is EventKind.MAP_RECREATED
        assert (event.fields["lost"], event.fields["entries"]) == (3, 2)
        assert replaced.handle
        assert replaced.handle.info.id == replaced.old.id
        assert len(replaced.handle.read().keys) == 5
    assert one.look() == ([], [])


def test_a_count_that_fails_keeps_no_event_back_and_leaks_nothing(
    watched: tuple[Pins, Path], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, path = watched

    def fail(*_: object, **__: object) -> None:
        raise BpfError(16, "BPF_ITER_CREATE", "count_maps")

    monkeypatch.setattr(pins, "count_maps", fail)
    held = descriptors()
    for _ in range(5):
        pin_another(gate, path, 3)
        (event,), (replaced,) = one.look()
        replaced.close()
        assert event.kind is EventKind.MAP_RECREATED
        assert event.fields["entries"] is None
    assert descriptors() == held


def test_a_look_that_breaks_off_finds_the_same_again(
    watched: tuple[Pins, Path], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, path = watched
    pin_another(gate, path, 2)
    held = descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(pins, "is_conntrack", lambda _: 1 / 0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                one.look()
    assert descriptors() == held
    (event,), (replaced,) = one.look()
    replaced.close()
    assert event.fields["lost"] == 3


def test_what_the_new_map_has_already_is_not_lost(
    watched: tuple[Pins, Path], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, path = watched
    monkeypatch.setattr(pins, "is_conntrack", lambda _: True)
    pin_another(gate, path, 3)
    (event,), (replaced,) = one.look()
    with closing(replaced):
        assert (event.fields["lost"], event.fields["kept"]) == (2, 3)
        assert replaced.keys is not None
        assert sorted(key[-1] for key in replaced.keys.tolist()) == [3, 4]
        assert "2 entries lost, 3 are in the new map" in event.message
    pin_another(gate, path, 5)
    (event,), (replaced,) = one.look()
    replaced.close()
    assert (event.fields["lost"], event.level) == (0, Level.INFO)
