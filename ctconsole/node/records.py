"""Where the lists of Cilium's other maps get their entries from: pins, or files."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.errors import BpfError, FormatError, NoSuchMapError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import UNWALKED, Walk
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.table import RecordTable
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.records.spec import Kind
    from ctconsole.model.spec import MapInfo
    from ctconsole.observe.offline import Offline

    Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class RecordSample:
    """The raw entries of one map.

    Attributes:
        info: the map.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size), or (n, CPUs, value size).
        now: the node's clock at the sample, 0 where unknown.
        walk: how the reading went.
        problem: what could not be read, in words.
        node: tells the maps of several nodes apart.
        jiffies: see `RecordTable`.
        hertz: see `RecordTable`.
    """

    info: MapInfo
    keys: Bytes
    values: Bytes
    now: int = 0
    walk: Walk = UNWALKED
    problem: str = ""
    node: str = ""
    jiffies: int = 0
    hertz: int = 0

    def table(self, layout: Layout | None) -> RecordTable | FormatError:
        """The entries decoded, or why they cannot be."""
        try:
            table = RecordTable.from_raw(
                self.info, self.keys, self.values, layout=layout, now=self.now, walk=self.walk
            )
            return replace(table, jiffies=self.jiffies, hertz=self.hertz)
        except FormatError as error:
            return error


Decoded: TypeAlias = tuple[RecordSample, "RecordTable | FormatError"]
"""A sample and what it means, or why it cannot be told."""


def wanted(name: str, kinds: Collection[Kind]) -> bool:
    """Whether a map of this name is of one of the kinds."""
    return any(spec.kind in kinds and re.fullmatch(spec.names, name) for spec in RECORDS)


def from_pins(
    root: Path,
    kinds: Collection[Kind],
    clock: ClockSource | None = None,
    passed_over: Callable[[str], None] = lambda _: None,
) -> Iterator[RecordSample]:
    """Read the pinned maps of some kinds, by name.

    Args:
        root: the bpffs.
        kinds: what to read.
        clock: what the node's agent stamps entries with; None for ktime.
        passed_over: told a sentence of each pin that could not be read.

    Raises:
        NoSuchMapError: there is none.
        BpfError: there are some, of which none can be read.
    """
    from ctconsole.kernel.clock import ct_now, ktime
    from ctconsole.kernel.maps import BpfMap

    names = [name for name in pin_names(root) if wanted(name, kinds)]
    if not names:
        sought = " or ".join(sorted(kind.value for kind in kinds))
        raise NoSuchMapError(
            2,
            "BPF_OBJ_GET",
            f"of a map of this kind ({sought}) in {root / GLOBALS}",
            hint="Name the bpffs with --bpf-root or files with --from-dump",
        )
    failure: BpfError | FormatError | None = None
    opened = False
    for name in names:
        try:
            with BpfMap.open(root / GLOBALS / name) as live:
                info, dump = live.info, live.read()
        except (BpfError, FormatError) as error:
            # Gone since it was listed, or no map at all: the others are worth showing.
            passed_over(f"Passed over: {error}")
            failure = error
            continue
        opened = True
        problem = "" if dump.walk.complete else f"{info.label} was read in part: {dump.walk.note}"
        jiffies = ct_now(clock) if clock and clock.uses_jiffies else 0
        yield RecordSample(
            info,
            dump.keys,
            dump.values,
            ktime(),
            dump.walk,
            problem,
            jiffies=jiffies,
            hertz=clock.hertz if clock and jiffies else 0,
        )
    if failure is not None and not opened:
        raise failure


def pin_names(root: Path) -> list[str]:
    """The names of everything pinned where Cilium pins its maps."""
    try:
        return sorted(path.name for path in (root / GLOBALS).iterdir())
    except OSError:
        return []


def from_files(
    paths: Sequence[Path], kinds: Collection[Kind], now: int
) -> tuple[list[RecordSample], Offline]:
    """Read files, folders and archives.

    Returns:
        The maps of the kinds, and all that was found.

    Raises:
        UsageError: a path cannot be read at all.
        FormatError: there is no map of these kinds.
    """
    from ctconsole.observe.offline import read_offline

    offline = read_offline(paths)
    samples = []
    for one in offline.maps:
        if wanted(one.info.label, kinds):
            node = offline.node_of(one)
            samples.append(
                RecordSample(
                    replace(one.info, id=0),
                    one.keys,
                    one.values,
                    now or node.alive_at,
                    problem=one.problem,
                    node=one.node,
                    jiffies=node.now(now) if node.hertz else 0,
                    hertz=node.hertz,
                )
            )
    if not samples:
        sought = " or ".join(sorted(kind.value for kind in kinds))
        raise offline.without(f"a map of this kind ({sought})", paths)
    return samples, offline


def generation(names: Iterable[str]) -> tuple[Layout, str]:
    """The release whose maps these are, as far as names tell, and why in words."""
    names = set(names)
    for layout, pattern in (
        (Layout.V1_19, r"cilium_policy_v3_.*"),
        (Layout.V1_18, r"cilium_ipcache_v2|cilium_policy_v2_.*|cilium_policystats"),
        (Layout.V1_16, r"cilium_lb[46]_backends_v3"),
        (Layout.V1_9, r"cilium_lb[46]_backends(_v2)?|cilium_policy_\d{5,}|cilium_ipcache"),
    ):
        found = next((name for name in sorted(names) if re.fullmatch(pattern, name)), None)
        if found:
            return layout, f"there is a map {found}"
    return Layout.V1_18, "no map's name tells; name it with --layout if you know better"
