"""The pictures: there is one of every view and dialogue, and their numbers agree."""

from __future__ import annotations

import re
from pathlib import Path

from ctconsole.keytable import SCENES as PLACES
from ctconsole.keytable import VIEW_NAMES
from tests.support.scenes import SCENES

PICTURES = Path(__file__).parents[2] / "screenshots"

WITHOUT = {"explain", "ask", "sequel"}
"""Dialogues of one line, and those that show what a node answers or what came after a change."""

SHOWN_BY = {"dialogue": "recreate", "pick": "sort", "details": "entry", "affected": "resize-list"}


def test_there_is_a_scene_for_every_view_and_dialogue() -> None:
    for place in PLACES.keys() - WITHOUT:
        assert SHOWN_BY.get(place, place) in SCENES, place
    assert set(VIEW_NAMES) <= SCENES.keys()


def test_there_is_a_picture_of_every_scene() -> None:
    assert {path.stem for path in PICTURES.glob("*.svg")} >= SCENES.keys()


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
