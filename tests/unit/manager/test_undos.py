"""What is known of resizes that can be undone, in its file."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from ctconsole.errors import UsageError
from ctconsole.kernel.clock import boot_id
from ctconsole.manager.resize import undo as undoing
from ctconsole.manager.resize.undo import Before, Undoable, Undos, undoable
from ctconsole.model.spec import MapFlag

if TYPE_CHECKING:
    from ctconsole.manager.resize.sides import Side

PIN = Path("/sys/fs/bpf/tc/globals/cilium_ct4_global")


def test_a_resize_before_the_machine_was_booted_cannot_be_undone_and_is_forgotten(
    tmp_path: Path,
) -> None:
    undos = Undos(tmp_path / "0-45.json")
    # Ids begin anew then: another map may have the one that was noted.
    earlier = Undoable("an earlier boot", time.time() + 60, (Before(str(PIN), 7, 4096, 0),))
    undos.keep(earlier)
    with pytest.raises(UsageError, match="not resized of late"):
        undos.of(PIN)
    other = Before(str(PIN.with_name("cilium_ct_any4_global")), 8, 4096, 0)
    undos.keep(replace(earlier, boot=boot_id(), maps=(other,)))
    assert "an earlier boot" not in undos.path.read_text()


def test_what_undoes_a_resize_has_the_flags_of_the_old_map_and_the_id_of_the_new_one() -> None:
    old = SimpleNamespace(info=SimpleNamespace(max_entries=4096, flags=MapFlag.NO_COMMON_LRU))
    new = SimpleNamespace(info=SimpleNamespace(id=8))
    side = cast("Side", SimpleNamespace(path=PIN, old=old, new=new))
    [before] = undoable([side]).maps
    assert before == Before(str(PIN), 8, 4096, MapFlag.NO_COMMON_LRU)


@pytest.mark.parametrize(("late", "is_over"), [(-0.5, False), (0.0, True)])
def test_at_the_moment_it_ends_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float, *, is_over: bool
) -> None:
    undos = Undos(tmp_path / "0-45.json")
    done = Undoable(boot_id(), 5000.0, (Before(str(PIN), 7, 4096, 0),))
    undos.keep(done)
    monkeypatch.setattr(undoing, "pinned_id", lambda _: 7)
    monkeypatch.setattr(time, "time", lambda: done.until + late)
    if is_over:
        with pytest.raises(UsageError, match="which is over"):
            undos.of(PIN)
    else:
        assert undos.of(PIN) == done


def test_what_another_version_wrote_is_not_known_here(tmp_path: Path) -> None:
    undos = Undos(tmp_path / "0-45.json")
    undos.path.write_text('{"form": 2, "resizes": "of another shape"}')
    with pytest.raises(UsageError, match="not resized of late"):
        undos.of(PIN)


def test_a_pin_is_known_by_whatever_path_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undos = Undos(tmp_path / "0-45.json")
    done = Undoable(
        boot_id(), time.time() + 60, (Before(str(tmp_path / "cilium_ct4_global"), 7, 4096, 0),)
    )
    undos.keep(done)
    monkeypatch.setattr(undoing, "pinned_id", lambda _: 7)
    monkeypatch.chdir(tmp_path)
    assert undos.of(Path("cilium_ct4_global")) == done
