"""How many entries each map has: asked of the kernel, or counted by a walk."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import BpfError, DatapathError, GoneError, MissingFeatureError
from ctconsole.handles import Handle
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.slots import SlotReader
from ctconsole.model.spec import MapType
from ctconsole.paths import iterator_objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ctconsole.model.spec import MapInfo

RECORD = np.dtype(
    [
        ("count", "i8"),
        ("id", "u4"),
        ("type", "u4"),
        ("key_size", "u4"),
        ("value_size", "u4"),
        ("max_entries", "u4"),
        ("flags", "u4"),
        ("name", "S16"),
    ]
)
"""``struct count_record`` of ``bpf/iter_count.bpf.c``; ``count`` is -1 for uncounted types."""

OBJECT = "iter_count.bpf.o"
PROGRAM = "count_maps"
KFUNC = "bpf_map_sum_elem_count"


@dataclass(frozen=True, slots=True)
class Count:
    """The fill of one map.

    Attributes:
        entries: how many, expired ones included.
        taken_at: when, seconds since the Unix epoch.
        walked: counted by a walk, which concurrent changes make inexact; else the kernel's sum.
    """

    entries: int
    taken_at: float
    walked: bool


class ElementCounter(Handle):
    """Counts every hash and LRU map of the machine with one read, in well under a millisecond.

    A CO-RE ``bpf_map`` iterator (Linux 5.8) around the kfunc `KFUNC` (Linux 6.6), loaded once.
    A context manager. Safe to use from several threads.

    Raises:
        MissingFeatureError: libbpf, the compiled iterator or the kfunc is missing.
    """

    def __init__(self) -> None:
        try:
            self._object = BpfObject(iterator_objects() / OBJECT)
        except DatapathError as error:
            reason = f"it has no {KFUNC}" if KFUNC in error.log else error.message
            raise MissingFeatureError(
                f"This kernel does not count map elements: {reason}",
                hint="Linux 6.6 or later and CAP_BPF, CAP_PERFMON count exactly",
            ) from error
        try:
            self._link = self._object.attach_iterator(PROGRAM)
        except DatapathError:
            self._object.close()
            raise

    def records(self) -> npt.NDArray[np.void]:
        """One `RECORD` for each map of the machine, uncounted types among them.

        Raises:
            BpfError: the walk broke off.
        """
        return np.frombuffer(self._link.read(), RECORD)

    def counts(self) -> dict[int, int]:
        """Entries by map id, of all maps the kernel counts.

        These are HASH, LRU_HASH, their per-CPU kinds and HASH_OF_MAPS.

        Raises:
            BpfError: the walk broke off.
        """
        records = self.records()
        counted = records[records["count"] >= 0]
        return dict(zip(counted["id"].tolist(), counted["count"].tolist(), strict=True))

    @property
    def is_open(self) -> bool:
        """Whether the iterator is loaded."""
        return self._object.is_open

    def close(self) -> None:
        """Detach and unload the iterator."""
        self._object.close()


def open_counter() -> ElementCounter | None:
    """An `ElementCounter`, or None where this kernel or machine cannot have one.

    A kernel that refuses the iterator, for whatever reason, can still be walked.
    """
    try:
        return ElementCounter()
    except (MissingFeatureError, DatapathError):
        return None


def count_maps(
    maps: Iterable[MapInfo], counter: ElementCounter | None, *, walk: bool = True
) -> dict[int, Count]:
    """Entries of these maps, by map id.

    Args:
        maps: which maps.
        counter: counts what it can; the others are walked.
        walk: False leaves out what would have to be walked, which takes up to a second for a
            large map.

    Returns:
        Counts by id; a map that vanished, or whose type cannot be walked (queues, ring
        buffers, perf event arrays), is not in it.
    """
    now = time.time()
    exact = counter.counts() if counter else {}
    found = {}
    with SlotReader() as reader:
        for info in maps:
            if info.id in exact:
                found[info.id] = Count(exact[info.id], now, walked=False)
            elif walk and (entries := _walk(info, reader)) is not None:
                found[info.id] = Count(entries, time.time(), walked=True)
    return found


def _walk(info: MapInfo, reader: SlotReader) -> int | None:
    try:
        if info.type is MapType.PROG_ARRAY:
            return len(reader.read(info))
        with BpfMap.from_id(info.id) as live:
            return live.count()
    except GoneError:
        return None
    except BpfError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
        return None
