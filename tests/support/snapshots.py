"""What every view and dialogue looks like, in a form that is small and says what has changed.

A snapshot is the text of the screen, and for each theme a check of each line's colours. So another
word is seen in the text, and another colour by its theme and line.

A picture under ``screenshots/`` takes long to draw, so only few are drawn anew to be compared. Each
is sealed instead: a check of the picture and of the snapshots of its scene as they were when it was
drawn. Where the scene has come to look otherwise its snapshots have, too, and the seal is broken.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from zlib import crc32

from ctconsole.paths import themes
from ctconsole.ui.themes import DEFAULT_THEME
from tests.support.pilots import settle
from tests.support.scenes import SCENES, opened, shown, steady

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.pilot import Pilot
    from textual.strip import Strip

FOLDER: Final = Path(__file__).parents[1] / "ui" / "snapshots"

PICTURES: Final = Path(__file__).parents[2] / "screenshots"

SEALS: Final = PICTURES / "seals.txt"
"""A line for each picture: its name, its own check, and that of its scene's snapshots."""

SIZES: Final = ((80, 24), (160, 48))
"""Terminals; in the first every theme is looked at, in the others that of the start."""

THEMES: Final = sorted(path.stem for path in themes().glob("*.toml"))

ENTRIES: Final = 4000
"""Entries of a table: enough for a screen."""


def name_of(scene: str, size: tuple[int, int]) -> str:
    """The file of a scene in a terminal of a size."""
    return f"{scene}-{size[0]}x{size[1]}.txt"


LAID_OUT_ONCE: Final = frozenset({"help", "columns"})
"""Dialogues that are laid out for the terminal in which they are opened, and keep that."""


async def taken(scene: str) -> dict[str, str]:
    """The snapshots of a scene in terminals of all sizes, by the name of their file.

    A terminal that gets another size looks as one that had it from the start, but for what is
    `LAID_OUT_ONCE`; so a scene is gone to once.
    """
    first, *others = SIZES
    found = {}
    async with opened(scene, entries=ENTRIES).run_test(size=first) as pilot:
        await shown(pilot, scene)
        found[name_of(scene, first)] = await _of(pilot, THEMES)
        for size in () if scene in LAID_OUT_ONCE else others:
            await pilot.resize_terminal(*size)
            await settle(pilot)
            await steady(pilot)
            found[name_of(scene, size)] = await _of(pilot, [DEFAULT_THEME])
    for size in others if scene in LAID_OUT_ONCE else ():
        async with opened(scene, entries=ENTRIES).run_test(size=size) as pilot:
            await shown(pilot, scene)
            found[name_of(scene, size)] = await _of(pilot, [DEFAULT_THEME])
    return found


async def _of(pilot: Pilot[None], themes_seen: Sequence[str]) -> str:
    """The text on screen, and for each theme the check of each line's colours."""
    lines, checks = [], []
    for theme in themes_seen:
        pilot.app.theme = theme
        await steady(pilot)
        strips = pilot.app.screen._compositor.render_strips()
        lines = [strip.text.rstrip() for strip in strips]
        checks.append(f"{theme:<6} {' '.join(map(_check, strips))}")
    return "\n".join((*lines, "-- colours, line by line --", *checks, ""))


def _check(strip: Strip) -> str:
    """A check of the colours of a line, whatever its pieces."""
    styles = [str(one.style) for one in strip for _ in one.text]
    return f"{crc32(chr(10).join(styles).encode()) & 0xFFF:03x}"


def scene_of(picture: str) -> str:
    """The scene of a picture, whose name may have a theme behind it."""
    if picture == "split-brain":
        return "datapath"
    return picture if picture in SCENES else picture.partition("-")[0]


def sealed(folder: Path = PICTURES, snapshots: Path = FOLDER) -> list[str]:
    """The lines of `SEALS` as they would be now."""
    lines = []
    for path in sorted(folder.glob("*.svg")):
        scene = 0
        for size in SIZES:
            scene = crc32((snapshots / name_of(scene_of(path.stem), size)).read_bytes(), scene)
        lines.append(f"{path.name:<20} {crc32(path.read_bytes()):08x} {scene:08x}")
    return lines


def difference(before: str, now: str) -> str:
    """What differs between two snapshots, for a person; empty where nothing does."""
    told = []
    for number, (old, new) in enumerate(
        zip(before.splitlines(), now.splitlines(), strict=False), 1
    ):
        if old == new:
            continue
        theme, *checks = new.split(" ")
        if theme in THEMES and len(checks) > 1:
            pairs = zip(old.split()[1:], new.split()[1:], strict=False)
            lines = [line for line, (one, other) in enumerate(pairs, 1) if one != other]
            told.append(f"{theme}: other colours in the lines {lines}")
        else:
            told += [f"line {number}", f"- {old}", f"+ {new}"]
    if len(before.splitlines()) != len(now.splitlines()):
        told.append("another number of lines")
    return "\n".join(told)
