"""What the name and the sizes of a map in a file tell of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.model.catalogue import CATALOGUE, classify
from ctconsole.model.readers.dump_forms import map_name_of
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.gathered import place_of

if TYPE_CHECKING:
    from ctconsole.model.whose import Whose


def info_of(
    path: str, label: str, key_size: int, value_size: int, whose: Whose | None = None
) -> MapInfo:
    """What the name and the sizes tell; the type from the catalogue, where it has one entry."""
    types = {entry.type for entry in CATALOGUE if entry is classify(label)}
    return MapInfo(
        id=0,
        name=map_name_of(label)[:15],
        type=types.pop() if types else MapType.UNSPEC,
        key_size=key_size,
        value_size=value_size,
        max_entries=0,
        pin=place_of(path, whose) / label,
    )
