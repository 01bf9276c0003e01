"""Every map that files tell of: those whose entries are there, and those that are only named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.model.readers.node_text import named_by
from ctconsole.model.whose import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.spec import MapInfo
    from ctconsole.model.whose import Whose
    from ctconsole.observe.offline import Offline
    from ctconsole.observe.offline_nodes import NodeFiles


@dataclass(frozen=True, slots=True)
class ToldMap:
    """One map of a node.

    Attributes:
        label: its name.
        node: the folder that stands for its node.
        whose: the node, as far as it is known.
        info: what the kernel or its dump says of it; None where nobody told.
        file: of its entries, empty where they are not there.
        entries: how many it has; None where that is not told.
        exact: whether all of them could be read.
        most: how many it can have; None where that is not told.
        fill: entries of the most there can be; None where that is not told.
        note: one sentence about it, else empty.
    """

    label: str
    node: str
    whose: Whose = NOBODY
    info: MapInfo | None = None
    file: str = ""
    entries: int | None = None
    exact: bool = False
    most: int | None = None
    fill: float | None = None
    note: str = ""


def told_maps(offline: Offline) -> list[ToldMap]:
    """The maps of all nodes, each once; those with entries first."""
    found = []
    for one in offline.maps:
        most = one.info.max_entries
        text = offline.node_of(one).text
        fill = len(one.keys) / most if most and one.info.type.is_hash else None
        pressure = text.pressure.get(one.info.label)
        found.append(
            ToldMap(
                one.info.label,
                one.node,
                one.whose,
                one.info,
                one.file,
                len(one.keys),
                not one.problem,
                most or None,
                fill if fill is not None else pressure,
                "" if pressure is None else f"{pressure:.1%} full by its agent's metrics",
            )
        )
    named = {(one.node, one.label) for one in found}
    for node, files in offline.nodes.items():
        known = {label for folder, label in named if folder == node}
        found += [told for told in _named(node, files, known) if told.label not in known]
    return found


def _named(node: str, files: NodeFiles, known: set[str]) -> Iterator[ToldMap]:
    """The maps that a node's kernel or agent told of, but for those known already."""
    text = files.text
    alike: dict[str, int] = {}
    for info in files.shown:
        alike[info.label] = alike.get(info.label, 0) + 1
    for info in files.shown:
        several = alike[info.label] > 1
        note = ""
        if several:
            note = f"{alike[info.label]} maps have this name: one at most is in use, others orphans"
        told = text.listed.get(info.label)
        yield ToldMap(
            info.label,
            node,
            files.whose,
            info,
            entries=told.entries if told else None,
            most=info.max_entries,
            fill=text.pressure.get(info.label),
            note=note,
        )
    for name in text.named:
        if name in alike:
            continue
        told = text.listed.get(name)
        entries, most = told.entries if told else None, text.sizes.get(name)
        fill = text.pressure.get(name)
        if fill is None and entries is not None and most:
            fill = entries / most
        note = f"{told.errors} entries could not be written" if told and told.errors else ""
        if told and told.entries is None:
            note = "its agent keeps no count of it"
        yield ToldMap(name, node, files.whose, None, "", entries, False, most, fill, note)  # noqa: FBT003 - in the order of its fields
    for title, most in text.titles.items():
        if not named_by(title) & {*alike, *text.named, *known}:
            yield ToldMap(title, node, files.whose, most=most, note="its size by the status")
