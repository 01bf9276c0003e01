"""A plan tells whether somebody is at the maps just now, and whether somebody was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.manager.changing import changing
from ctconsole.manager.resize.journal import journal_of
from ctconsole.manager.resize.plan import MapWish, plan_resize
from tests.support.ct_entries import CT4

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture(autouse=True)
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    path = bpffs / CT4.name
    open_or_create_map(gate, path, CT4).map.close()
    return path


def test_nobody_is_at_it(pin: Path) -> None:
    facts = plan_resize({pin: MapWish(4096)}).facts
    assert (facts["changed_by"], facts["cut_off"]) == (None, False)


def test_somebody_holds_the_lock(pin: Path) -> None:
    with changing(pin.parent, "resizes it"):
        facts = plan_resize({pin: MapWish(4096)}).facts
    assert "resizes it" in str(facts["changed_by"])


def test_a_journal_is_left(pin: Path) -> None:
    journal = journal_of(pin.parent)
    journal.path.write_text(
        '{"form": 1, "stage": "stage", "boot": "", "pid": 1, "maps": [], "before": {}, "after": {}}'
    )
    entry = journal.read()
    assert entry is not None
    assert plan_resize({pin: MapWish(4096)}).facts["cut_off"] is True
    journal.path.write_text("{")
    assert plan_resize({pin: MapWish(4096)}).facts["cut_off"] is False
