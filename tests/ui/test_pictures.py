"""The console looks as it did: every view and dialogue, in every theme, at two sizes.

Where it is to look otherwise from now on: ``make screenshots``, and look at what has changed.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from ctconsole.keytable import SCENES as PLACES
from ctconsole.keytable import VIEW_NAMES
from tests.support.scenes import SCENES, in_utc, opened, picture, shown
from tests.support.snapshots import (
    FOLDER,
    PICTURES,
    SEALS,
    SIZES,
    difference,
    name_of,
    scene_of,
    sealed,
    taken,
)

if TYPE_CHECKING:
    from pathlib import Path

DRAWN = (120, 36)

WITHOUT = {"explain", "ask", "sequel"}
"""Dialogues that have a scene by another name, or show what a node answers or what came after."""

SHOWN_BY = {"dialogue": "recreate", "pick": "sort", "details": "entry", "affected": "resize-list"}


@pytest.mark.parametrize("scene", SCENES)
async def test_every_view_and_dialogue_looks_as_it_did(scene: str) -> None:
    with in_utc():
        found = await taken(scene)
    told = {
        name: difference((FOLDER / name).read_text(encoding="utf-8"), text)
        for name, text in found.items()
    }
    changed = [f"{name}\n{text}" for name, text in told.items() if text]
    assert not changed, "\n\n".join((*changed, "make screenshots draws them anew"))


async def test_the_pictures_are_of_this_console() -> None:
    drawn = 0
    with in_utc():
        for scene in ("overview", "resize", "help", "fleet-heat"):
            app = opened(scene)
            async with app.run_test(size=DRAWN) as pilot:
                await shown(pilot, scene)
                path = PICTURES / f"{scene}.svg"
                assert path.read_text(encoding="utf-8") == picture(app, scene), (
                    f"{path.name} is out of date: make screenshots"
                )
                drawn += 1
    assert drawn


def test_every_picture_was_drawn_when_its_scene_looked_as_it_does() -> None:
    stored = SEALS.read_text(encoding="utf-8").splitlines()
    stale = [line.split()[0] for line in {*sealed()} ^ {*stored}]
    assert not stale, f"{', '.join(sorted(set(stale)))}: make screenshots"
    assert len(stored) == len(list(PICTURES.glob("*.svg")))


def test_a_seal_is_broken_by_another_picture_and_by_another_look(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "snapshots")
    (tmp_path / "overview.svg").write_text("<svg/>")
    [seal] = sealed(tmp_path, tmp_path / "snapshots")
    (tmp_path / "overview.svg").write_text("<svg />")
    [drawn] = sealed(tmp_path, tmp_path / "snapshots")
    snapshot = tmp_path / "snapshots" / name_of("overview", SIZES[1])
    snapshot.write_text(snapshot.read_text() + "x")
    [looked] = sealed(tmp_path, tmp_path / "snapshots")
    assert len({seal, drawn, looked}) == 3


def test_every_picture_is_of_a_scene() -> None:
    assert {scene_of(path.stem) for path in PICTURES.glob("*.svg")} <= SCENES.keys()


def test_there_is_a_scene_for_every_view_and_dialogue() -> None:
    for place in PLACES.keys() - WITHOUT:
        assert SHOWN_BY.get(place, place) in SCENES, place
    assert set(VIEW_NAMES) <= SCENES.keys()


def test_no_snapshot_and_no_picture_is_of_nothing() -> None:
    names = {name_of(scene, size) for scene in SCENES for size in SIZES}
    assert {path.name for path in FOLDER.glob("*")} == names
    scenes = {path.stem.partition("-")[0] for path in PICTURES.glob("*.svg")}
    assert scenes <= {scene.partition("-")[0] for scene in SCENES} | {"split"}


def numbers(path: Path, words: str) -> set[int]:
    """The numbers that stand before a word in a picture."""
    text = re.sub(r"<[^>]*>", " ", path.read_text(encoding="utf-8")).replace("&#160;", " ")
    return {int(one.replace(",", "")) for one in re.findall(rf"([\d,]+) +{words}", text)}


def test_the_numbers_of_the_pictures_agree() -> None:
    alive = numbers(PICTURES / "recreate.svg", "alive")
    assert alive
    assert alive == numbers(PICTURES / "resize.svg", "alive")
    assert alive <= numbers(PICTURES / "top.svg", "alive")
    established = numbers(PICTURES / "recreate.svg", "established")
    assert established <= numbers(PICTURES / "top.svg", "established")


def test_a_difference_is_told_by_line_and_by_theme() -> None:
    before = "a\nb\n-- colours, line by line --\nnight  111 222\n"
    assert difference(before, before) == ""
    assert difference(before, before.replace("b\n", "c\n")) == "line 2\n- b\n+ c"
    assert (
        difference(before, before.replace("222", "333")) == "night: other colours in the lines [2]"
    )
