"""Which maps the lists of Cilium's other maps take, pinned or in files, and what they mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.errors import FormatError, GoneError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.table import fitting
from ctconsole.node.entries import of_files
from ctconsole.observe.offline_nodes import folder_of
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from ctconsole.model.ct.clock import ClockSource
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


_TELLS: Final[tuple[tuple[Layout, str, int, int, str], ...]] = (
    (Layout.V1_19, r"cilium_policy_v3_\d{5,}", 0, 0, "1.20 gave it that name; 1.19 is the nearest"),
    (Layout.V1_19, r"cilium_policy_v2_\d{5,}", 0, 12, ""),
    (Layout.V1_18, r"cilium_policy_v2_\d{5,}", 0, 8, ""),
    (Layout.V1_17, r"cilium_policy_v2_\d{5,}", 0, 24, ""),
    (Layout.V1_18, "cilium_ipcache_v2|cilium_policystats", 0, 0, "so have all later releases"),
    (Layout.V1_17, "cilium_lb_fct|cilium_ratelimit_metrics", 0, 0, "so have all later releases"),
    (Layout.V1_16, "cilium_lb_act|cilium_skip_lb4", 0, 0, "so have all later releases"),
    (Layout.V1_15, r"cilium_policy_\d{5,}", 12, 0, "1.14 to 1.16 look alike"),
    (Layout.V1_16, "cilium_lb[46]_backends_v3", 0, 0, "1.13 and all later releases have it"),
    (Layout.V1_12, "cilium_lb[46]_backends_v2", 0, 0, "1.11 and 1.12 have it"),
    (Layout.V1_9, "cilium_lb[46]_backends", 0, 0, "1.9 and 1.10 have it"),
    (Layout.V1_9, r"cilium_policy_\d{5,}", 8, 0, "releases up to 1.13 look alike"),
    (Layout.V1_9, "cilium_ipcache", 0, 0, "releases up to 1.17 have it"),
)
"""Releases by a map's name and the sizes of its keys and values (0: any), the surest first, and
what else may be meant."""


def generation(maps: Iterable[MapInfo]) -> tuple[Layout, str]:
    """The release whose maps these are, as far as they tell, and why in words."""
    known = sorted(((one.label, one) for one in maps), key=lambda pair: pair[0])
    for layout, pattern, key, value, doubt in _TELLS:
        for name, info in known:
            sizes = key in {0, info.key_size} and value in {0, info.value_size}
            if sizes and re.fullmatch(pattern, name):
                told = f" with values of {value} bytes" if value else ""
                told = told or (f" with keys of {key} bytes" if key else "")
                sure = f" ({doubt}; name it with --layout if you know better)" if doubt else ""
                return layout, f"there is a map {name}{told}{sure}"
    return Layout.V1_18, "no map tells; name it with --layout if you know better"
