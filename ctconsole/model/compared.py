"""The maps of a node held against the catalogue: what each is for, and where it differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.catalogue import CATALOGUE, Generation, Group, classify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.catalogue import CatalogueEntry
    from ctconsole.model.spec import MapInfo


@dataclass(frozen=True, slots=True)
class Compared:
    """One map of the catalogue, of the node, or of both.

    Attributes:
        name: of its pin.
        group: what it is for.
        key: `MapRow.key` of the live map; empty where it is not on the node.
        entry: the catalogue's; None where it is not listed there.
        differs: in what the live map is another than is listed, e.g. ``key 16, listed 14``.
    """

    name: str
    group: Group
    key: str
    entry: CatalogueEntry | None
    differs: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In a few words how the live map compares with what is listed."""
        if not self.key:
            return "not on this node"
        if self.entry is None:
            return "not in the catalogue"
        return "; ".join(self.differs) or "as listed"


def compared(maps: Iterable[tuple[str, MapInfo]]) -> list[Compared]:
    """By group, those on the node first.

    What the catalogue lists and the node does not have is told for the generation that most of
    the node's maps are of.

    Args:
        maps: with their `MapRow.key`.
    """
    found, votes = [], dict.fromkeys(Generation, 0)
    for key, info in maps:
        entry = classify(info.label, info)
        for generation in entry.generations if entry and entry.matches(info) else ():
            votes[generation] += 1
        group = entry.group if entry else Group.OTHER
        found.append(Compared(info.label, group, key, entry, _differs(info, entry)))
    held = {one.entry.name for one in found if one.entry} | {one.name for one in found}
    most = max(votes, key=lambda generation: votes[generation])
    missing = {
        entry.name: Compared(entry.name, entry.group, "", entry)
        for entry in CATALOGUE
        if most in entry.generations and "*" not in entry.name and entry.name not in held
    }
    places = {group: place for place, group in enumerate(Group)}
    return sorted(
        (*found, *(missing.values() if found else ())),
        key=lambda one: (places[one.group], not one.key, one.name, one.key),
    )


def _differs(info: MapInfo, entry: CatalogueEntry | None) -> tuple[str, ...]:
    if entry is None:
        return ()
    pairs = (
        ("type", info.type.name.lower(), entry.type.name.lower()),
        ("key", info.key_size, entry.key_size),
        ("value", info.value_size, entry.value_size),
        ("max", info.max_entries, entry.max_entries),
    )
    return tuple(
        # A list of entries does not tell how many there may be.
        f"{name} not known, listed {listed:,}" if isinstance(listed, int) and not live
        else f"{name} {live:,}, listed {listed:,}" if isinstance(live, int)
        and isinstance(listed, int)
        else f"{name} {live}, listed {listed}"
        for name, live, listed in pairs
        if listed is not None and live != listed
    )  # fmt: skip
