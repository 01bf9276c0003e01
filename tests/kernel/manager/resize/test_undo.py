from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import FormatError, UsageError
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.resize import undo as undoing
from ctconsole.manager.resize.journal import Journal
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.undo import Undos
from tests.support.ct_entries import CT4

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    path = bpffs / CT4.name
    open_or_create_map(gate, path, CT4).map.close()
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "0-45.json")


def resized(gate: Gate, pin: Path, journal: Journal, entries: int) -> None:
    report = resize(gate, plan_resize({pin: MapWish(entries)}), None, journal)
    report.check()


def test_a_resize_keeps_what_restores_the_size_before(
    gate: Gate, pin: Path, journal: Journal
) -> None:
    resized(gate, pin, journal, 4096)
    [before] = Undos(journal.path).of(pin).maps
    assert (before.path, before.max_entries) == (str(pin), CT4.max_entries)
    resized(gate, pin, journal, 8192)
    assert Undos(journal.path).of(pin).maps[0].max_entries == 4096


def test_resizes_of_other_maps_stay_known(
    gate: Gate, pin: Path, journal: Journal, bpffs: Path
) -> None:
    other = bpffs / "cilium_ct_any4_global"
    open_or_create_map(gate, other, CT4).map.close()
    resized(gate, pin, journal, 4096)
    resized(gate, other, journal, 8192)
    assert Undos(journal.path).of(pin).has(pin)
    assert Undos(journal.path).of(other).has(other)


def test_what_was_never_resized_cannot_be_undone(pin: Path, journal: Journal) -> None:
    with pytest.raises(UsageError, match="not resized of late"):
        Undos(journal.path).of(pin)


def test_when_it_is_over_the_way_back_is_named(
    gate: Gate, pin: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "UNDO_SECONDS", -1)
    resized(gate, pin, journal, 4096)
    with pytest.raises(UsageError, match="which is over") as caught:
        Undos(journal.path).of(pin)
    assert f"resize {pin.name} {CT4.max_entries}" in str(caught.value)


def test_a_map_that_was_changed_since_is_left_alone(
    gate: Gate, pin: Path, journal: Journal
) -> None:
    resized(gate, pin, journal, 4096)
    pin.unlink()
    with pytest.raises(UsageError, match="nothing is pinned there"):
        Undos(journal.path).of(pin)
    open_or_create_map(gate, pin, CT4).map.close()
    with pytest.raises(UsageError, match="was changed since it was resized"):
        Undos(journal.path).of(pin)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 1, "resizes": [{"boot": ""}]}'])
def test_a_file_that_cannot_be_read_is_named_and_written_anew(
    gate: Gate, pin: Path, journal: Journal, text: str
) -> None:
    undos = Undos(journal.path)
    undos.path.write_text(text)
    with pytest.raises(FormatError, match="does not tell which resizes"):
        undos.of(pin)
    resized(gate, pin, journal, 4096)
    assert undos.of(pin).has(pin)


def test_a_resize_is_done_even_if_it_cannot_be_noted(
    gate: Gate, pin: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(undoing, "write_whole", full)
    report = resize(gate, plan_resize({pin: MapWish(4096)}), None, journal)
    report.check()
    assert any("No space left" in row.text for row in report.rows)
    assert report.facts["undo_until"] is None
