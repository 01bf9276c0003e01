"""Draw the pictures under ``screenshots/``: the same characters on every machine.

Every view and dialogue in the theme of the start, and the overview in every other theme; with
``--all`` every one in every theme, below ``screenshots/THEME/``. Beside them ``tests/ui/snapshots``
is written anew, which tests hold the console against, and the seals that hold the pictures to them.
Names of scenes draw these alone.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ctconsole.paths import themes  # noqa: E402 - found through the path set above
from ctconsole.ui.themes import DEFAULT_THEME  # noqa: E402
from tests.support.scenes import SCENES, in_utc, opened, picture, shown  # noqa: E402
from tests.support.snapshots import FOLDER, SEALS, sealed, taken  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZE = (120, 36)


def wanted(*, every: bool) -> Iterator[tuple[str, str, str]]:
    """Scene, theme and name of each picture."""
    names = sorted(path.stem for path in themes().glob("*.toml"))
    for scene in SCENES:
        yield scene, DEFAULT_THEME, scene
    for theme in names:
        if theme != DEFAULT_THEME:
            yield "overview", theme, f"overview-{theme}"
    yield "datapath", DEFAULT_THEME, "split-brain"
    for theme in names if every else ():
        yield from ((scene, theme, f"{theme}/{scene}") for scene in SCENES)


async def draw(scene: str, theme: str, name: str) -> str:
    """One picture, as SVG."""
    app = opened(scene, split=name == "split-brain")
    async with app.run_test(size=SIZE) as pilot:
        app.theme = theme
        await shown(pilot, scene)
        return picture(app, name.replace("/", "-"))


def main(arguments: Sequence[str]) -> None:
    """Draw what was asked for."""
    named = {one for one in arguments if not one.startswith("-")}
    if unknown := named - SCENES.keys():
        sys.exit(f"there is no scene {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    with in_utc():
        for scene, theme, name in wanted(every="--all" in arguments):
            if named and scene not in named:
                continue
            path = ROOT / "screenshots" / f"{name}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(asyncio.run(draw(scene, theme, name)), encoding="utf-8")
            print(path.relative_to(ROOT))
        for scene in named or SCENES:
            for name, text in asyncio.run(taken(scene)).items():
                (FOLDER / name).write_text(text, encoding="utf-8")
                print((FOLDER / name).relative_to(ROOT))
    SEALS.write_text("".join(f"{line}\n" for line in sealed()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
