"""A sample of one of Cilium's other maps, found in the table of `record_data`.

A map is found by its name and its sizes; a size that is not in the table is not guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.ct.layout import since
from ctconsole.model.ct.table import UNWALKED, Walk
from ctconsole.model.records.data import RECORDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.records.spec import RecordKind, RecordSpec
    from ctconsole.model.spec import MapInfo

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_IPV6: Final = re.compile(r"_(lb|snat_v|ipv)6_")


@dataclass(frozen=True)
class RecordTable:
    """A frozen sample of one map.

    Attributes:
        info: the map the sample is of.
        spec: how its bytes are laid out.
        keys: records of ``spec.key``.
        values: records of ``spec.value``; for per-CPU maps the sums over all CPUs.
        now: the node's clock (CLOCK_MONOTONIC seconds) at the sample; 0 where unknown.
        walk: how the reading went.
        jiffies: jiffies / 256 at the sample, where the node's agent counts these; else 0.
        hertz: jiffies in a second, where they are counted; else 0.
        release: whose words are used for numbers that got other names; None for the newest words
            of reasons, and 1.18's source files.
    """

    info: MapInfo
    spec: RecordSpec
    keys: Records
    values: Records
    now: int = 0
    walk: Walk = UNWALKED
    jiffies: int = 0
    hertz: int = 0
    release: Layout | None = None

    @classmethod
    def from_raw(
        cls,
        info: MapInfo,
        keys: Bytes,
        values: Bytes,
        *,
        layout: Layout | None = None,
        now: int = 0,
        walk: Walk = UNWALKED,
        kinds: Collection[RecordKind] = (),
    ) -> RecordTable:
        """Look at raw bytes as a table.

        Args:
            info: the map; its label says which.
            keys: u1 of shape (n, key size).
            values: u1 of shape (n, value size), or (n, CPUs, value size) for per-CPU maps.
            layout: the node's, None where it is not known (see `choose`).
            now: see `RecordTable`.
            walk: see `RecordTable`.
            kinds: what a map without one of Cilium's names is taken for, where its sizes fit.

        Raises:
            FormatError: no record is known for this name and these sizes.
        """
        sizes = keys.shape[1], values.shape[-1]
        found = candidates(info.label, *sizes) or fitting(info.label, *sizes, kinds)
        if not found or (values.ndim == 3) != found[0].per_cpu:  # noqa: PLR2004 - rows, CPUs, bytes
            raise FormatError(
                f"{info.label} has keys of {keys.shape[1]} and values of {values.shape[-1]} "
                "bytes, which is no layout known for it"
            )
        spec = choose(found, keys, values, layout)
        frozen_keys = np.ascontiguousarray(keys).view(spec.key).reshape(len(keys))
        frozen_values = np.ascontiguousarray(values).view(spec.value)
        frozen_values = (
            _summed(frozen_values.reshape(values.shape[:2]))
            if spec.per_cpu
            else frozen_values.reshape(len(values))
        )
        for array in (frozen_keys, frozen_values):
            array.flags.writeable = False
        return cls(info, spec, frozen_keys, frozen_values, now, walk)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def kind(self) -> RecordKind:
        """What the map holds."""
        return self.spec.kind

    @property
    def is_ipv6(self) -> bool:
        """Whether the map is the IPv6 one of two."""
        return _IPV6.search(f"_{self.info.label}_{self.spec.names}_") is not None

    def column(self, field: str) -> Records:
        """A field of key or value, one element or row for each entry."""
        names = self.spec.key.names or ()
        return self.keys[field] if field in names else self.values[field]

    def take(self, rows: Records | slice) -> RecordTable:
        """The table of some rows: a slice, a boolean mask or row numbers."""
        return replace(self, keys=self.keys[rows], values=self.values[rows])


def _summed(values: Records) -> Records:
    """Values of shape (n, CPUs) added up to (n,)."""
    total = np.zeros(len(values), values.dtype)
    for name in values.dtype.names or ():
        total[name] = values[name].sum(axis=1, dtype=values.dtype[name])
    return total


@cache
def candidates(name: str, key_size: int, value_size: int) -> tuple[RecordSpec, ...]:
    """The records a map of this name and these sizes can be, oldest first."""
    return tuple(
        spec
        for spec in RECORDS
        if (spec.key.itemsize, spec.value.itemsize) == (key_size, value_size)
        and re.fullmatch(spec.names, name)
    )


def fitting(
    name: str, key_size: int, value_size: int, kinds: Collection[RecordKind]
) -> tuple[RecordSpec, ...]:
    """The records of some kinds that have these sizes, for a map whose name says nothing."""
    if name.startswith("cilium_"):
        return ()
    return tuple(
        spec
        for spec in RECORDS
        if spec.kind in kinds and (spec.key.itemsize, spec.value.itemsize) == (key_size, value_size)
    )


def is_known(name: str) -> bool:
    """Whether a map of this name has a record of some sizes."""
    return any(re.fullmatch(spec.names, name) for spec in RECORDS)


def choose(
    found: Sequence[RecordSpec], keys: Records, values: Records, layout: Layout | None
) -> RecordSpec:
    """One of several generations that share name and sizes.

    Args:
        found: at least one, oldest first.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
        layout: the node's, None where it is not known. Then, and where a generation came in the
            course of that release, bytes that only the newer one uses decide: if any is not
            zero, it is the newer one.
    """
    if len(found) == 1:
        return found[0]
    if layout is not None:
        fitting = [spec for spec in found if since(layout, spec.since)]
        told = fitting[-1] if fitting else found[0]
        later = next((spec for spec in found if layout in spec.course), None)
        return _by_bytes(told, later, keys, values) if later else told
    return _by_bytes(found[0], found[-1], keys, values)


def _by_bytes(old: RecordSpec, new: RecordSpec, keys: Records, values: Records) -> RecordSpec:
    """The newer of two where a byte that only it uses is not zero, else the older."""
    for raw, before, after in ((keys, old.key, new.key), (values, old.value, new.value)):
        fresh = sorted(_used(after) - _used(before))
        if fresh and raw[:, fresh].any():
            return new
    return old


def _used(dtype: np.dtype[np.void]) -> set[int]:
    """The bytes that fields cover."""
    return {
        offset + index
        for field, offset, *_ in (dtype.fields or {}).values()
        for index in range(field.itemsize)
    }
