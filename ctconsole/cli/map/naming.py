"""Which map the words of a command line mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.spec import MapInfo


def find_map(name: str, pinned: Mapping[Path, MapInfo], root: Path) -> MapInfo:
    """The map that a name, path or id means, of those pinned below ``root``.

    Raises:
        UsageError: none or several.
    """
    if "/" in name:
        found = [info for path, info in pinned.items() if path == Path(name).absolute()]
    elif name.isdigit():
        found = [info for info in pinned.values() if info.id == int(name)]
    else:
        found = [info for path, info in pinned.items() if path.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        pins = ", ".join(str(info.pin) for info in found)
        raise UsageError(f"{name} is pinned several times: {pins}", hint="Give the path")
    raise UsageError(f"No map {name} is pinned below {root}", hint="See ctconsole map list")
