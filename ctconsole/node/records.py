"""Which maps the lists of Cilium's other maps take, pinned or in files, and what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.errors import FormatError, GoneError
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.table import fitting
from ctconsole.node.entries import of_files
from ctconsole.observe.offline_nodes import folder_of
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.raw import Raw
    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.records.spec import RecordKind
    from ctconsole.model.records.table import RecordTable
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.offline import Offline


Decoded: TypeAlias = tuple["Raw", "RecordTable | FormatError"]
"""A map and what its entries mean, or why it cannot be told."""


def decoded(
    raw: Raw, layout: Layout | None = None, kinds: Collection[RecordKind] = ()
) -> RecordTable | FormatError:
    """The entries decoded, or why they cannot be.

    Args:
        raw: a map.
        layout: the node's release, None where it is not known.
        kinds: what a map is taken for whose name says nothing.
    """
    try:
        return raw.records(layout, kinds)
    except FormatError as error:
        return error


def wanted(name: str, kinds: Collection[RecordKind]) -> bool:
    """Whether a map of this name is of one of the kinds."""
    return any(spec.kind in kinds and re.fullmatch(spec.names, name) for spec in RECORDS)


def from_pins(
    root: Path,
    kinds: Collection[RecordKind],
    clock: ClockSource | None = None,
    passed_over: Callable[[str], None] = lambda _: None,
) -> Iterator[Raw]:
    """Read the pinned maps of some kinds, by name.

    Args:
        root: the bpffs.
        kinds: what to read.
        clock: what the node's agent stamps entries with; None for ktime.
        passed_over: told a sentence of each pin that could not be read.

    Raises:
        GoneError: there is none.
        BpfError: there are some, of which none can be read.
    """
    names = [name for name in pin_names(root) if wanted(name, kinds)]
    if not names:
        sought = " or ".join(sorted(kind.value for kind in kinds))
        raise GoneError(
            2,
            "BPF_OBJ_GET",
            f"of a map of this kind ({sought}) in {root / GLOBALS}",
            hint="Name the bpffs with --bpf-root or files with --from-dump",
        )
    from ctconsole.node.pinned import pinned

    yield from pinned(root, names, clock, passed_over)


def pin_names(root: Path) -> list[str]:
    """The names of everything pinned where Cilium pins its maps."""
    try:
        return sorted(path.name for path in (root / GLOBALS).iterdir())
    except OSError:
        return []


def pinned_infos(root: Path) -> list[MapInfo]:
    """What is pinned where Cilium pins its maps; none where that may not be looked at."""
    from ctconsole.errors import BpfError
    from ctconsole.kernel.bpffs import pinned_maps

    try:
        return list(pinned_maps(root / GLOBALS).values())
    except BpfError:
        return []


def guess_of_pins(root: Path) -> Guess:
    """What some entries of the pinned conntrack maps say of their release."""
    from ctconsole.errors import BpfError
    from ctconsole.model.ct.guess import guess_layout
    from ctconsole.node.pinned import PinnedTables

    try:
        with PinnedTables(root, whole=False) as pins:
            return guess_layout(*pins.samples())
    except BpfError:
        return guess_layout()


def guess_of_files(offline: Offline) -> Guess:
    """What the entries of dumped conntrack maps say of their release."""
    from ctconsole.model.ct.guess import guess_layout

    return guess_layout(*(one.values for one in of_files(offline, 0) if one.is_conntrack))


def from_files(
    paths: Sequence[Path], kinds: Collection[RecordKind], now: int
) -> tuple[list[Raw], Offline]:
    """Read files, folders and archives.

    Returns:
        The maps of the kinds, by name or, where the name says nothing, by their sizes; and all
        that was found, the lists among it that the tool printed.

    Raises:
        UsageError: a path cannot be read at all.
        FormatError: there is no map and no list of these kinds.
    """
    from ctconsole.observe.offline import read_offline

    offline = read_offline(paths)
    raws = [one for one in of_files(offline, now) if _is_of(one, kinds)]
    if not raws and not printed_of(offline, kinds):
        sought = " or ".join(sorted(kind.value for kind in kinds))
        raise offline.without(f"a map of this kind ({sought})", paths)
    return raws, offline


def _is_of(one: Raw, kinds: Collection[RecordKind]) -> bool:
    sizes = one.keys.shape[1], one.values.shape[-1]
    return wanted(one.info.label, kinds) or bool(fitting(one.info.label, *sizes, kinds))


def printed_of(offline: Offline, kinds: Collection[RecordKind]) -> list[Printed]:
    """The lists of some kinds; those of a node whose very maps are there are not needed."""
    dumped = {one.node for one in offline.maps if wanted(one.info.label, kinds)}
    return [
        one
        for one in offline.printed
        if one.kind in kinds and str(folder_of(one.source)) not in dumped
    ]
