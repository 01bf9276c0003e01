"""Walking a map: the batch loop, the key by key loop, and dropping what came twice."""

from __future__ import annotations

import ctypes
import errno
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.errors import bpf_error
from ctconsole.kernel.syscall import MAX_RETRIES, BatchAttr, Cmd, ElemAttr, call, retrying

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.errors import BpfError

    Bytes: TypeAlias = npt.NDArray[np.uint8]

LOOKUPS_PER_ENTRY = 4
"""A walk that keeps starting over is given up after this many keys per ``max_entries``."""

_HASH_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_PART = 1 << 16
"""Keys that are hashed at a time, for which the processor's cache has room."""

_CURSOR_SLACK = 8
BUCKET = struct.Struct("=I")
"""The cursor of a hash map."""


@dataclass(slots=True)
class WalkProgress:
    """What happened during one walk, filled while it runs."""

    restarts: int = 0
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)


class BatchWalk:
    """One ``BPF_MAP_LOOKUP_BATCH`` walk over a map (Linux 5.6).

    Hash maps copy whole buckets under their lock; the cursor is a bucket number of 4 bytes. Other
    types walk with get_next_key inside the kernel; their cursor is a key.

    Args:
        fd: the map.
        key_size: bytes of a key.
        subject: the map, for messages.
    """

    def __init__(self, fd: int, key_size: int, subject: str) -> None:
        size = key_size + _CURSOR_SLACK
        self._cursors = (ctypes.create_string_buffer(size), ctypes.create_string_buffer(size))
        self._attr = BatchAttr(map_fd=fd)
        self._subject = subject
        self._retries = 0
        self.done = False
        self.supported = True
        self.failure: BpfError | None = None

    @property
    def bucket(self) -> int:
        """The bucket of a hash map that comes next."""
        return int(BUCKET.unpack_from(self._cursors[0])[0]) if self._attr.in_batch else 0

    def go_to(self, bucket: int) -> None:
        """Have this bucket of a hash map come next; behind the last one nothing does."""
        BUCKET.pack_into(self._cursors[0], 0, bucket)
        self._attr.in_batch = ctypes.addressof(self._cursors[0])
        self.done = False

    def into(self, keys: int, values: int, room: int) -> int | None:
        """Read the next batch to the addresses ``keys`` and ``values``.

        Returns:
            How many entries came; None where ``room`` is too small for the next bucket. Sets
            `done` at the end, and `supported` to False where the type has no batch lookup.

        Raises:
            BpfError: the first batch failed; later failures end the walk and stay in `failure`.
        """
        attr, (before, after) = self._attr, self._cursors
        attr.out_batch = ctypes.addressof(after)
        attr.keys, attr.values, attr.count = keys, values, room
        result = call(Cmd.BPF_MAP_LOOKUP_BATCH, attr)
        first = attr.in_batch == 0
        count = int(attr.count)
        if result == -errno.ENOSPC and count == 0:
            return None
        if result in {0, -errno.ENOENT, -errno.ENOSPC, -errno.EINTR, -errno.EAGAIN}:
            self.done = result == -errno.ENOENT
            if result in {-errno.EINTR, -errno.EAGAIN}:
                count = self._interrupted(count, room)
            if count and not self.done:
                self._cursors = (after, before)
                attr.in_batch = ctypes.addressof(after)
            return count
        if first and result in {-errno.EOPNOTSUPP, -errno.EINVAL}:
            self.supported, self.done = False, True
            return 0
        return self._failed(-result, first=first)

    def _interrupted(self, count: int, room: int) -> int:
        """Entries of a batch a signal broke off; before the first one the count is untouched."""
        self._retries += 1
        if self._retries > MAX_RETRIES:
            return self._failed(errno.EINTR, first=False)
        return 0 if count == room else count

    def _failed(self, number: int, *, first: bool) -> int:
        error = bpf_error(number, Cmd.BPF_MAP_LOOKUP_BATCH.name, self._subject)
        if first:
            raise error
        self.failure, self.done = error, True
        return 0


def walk_keys(
    fd: int,
    keys: Bytes,
    values: Bytes,
    *,
    max_entries: int,
    progress: WalkProgress,
    subject: str,
) -> int:
    """Read a map key by key, for types without batch lookup.

    A key deleted between two calls makes the kernel start over; entries seen before are not
    stored again. The walk is given up after `LOOKUPS_PER_ENTRY` keys per ``max_entries``.

    Args:
        fd: the map.
        keys: u1[room, key size], filled.
        values: u1[room, value size or all CPUs' values], filled; u1[0, ..] reads keys only.
        max_entries: of the map, for the limit.
        progress: counts restarts and duplicates, notes a walk given up.
        subject: the map, for messages.

    Returns:
        How many entries were stored.

    Raises:
        BpfError: the map cannot be walked, or a lookup failed other than by a vanished key.
    """
    width = keys.shape[1]
    here, there = ctypes.create_string_buffer(width), ctypes.create_string_buffer(width)
    step = ElemAttr(map_fd=fd, key=0, value=ctypes.addressof(there))
    look = ElemAttr(map_fd=fd, key=ctypes.addressof(there))
    wants_values = len(values) > 0
    key_at, value_at = keys.ctypes.data, values.ctypes.data
    value_step = values.strides[0]
    seen: set[bytes] = set()
    again = False
    stored = 0
    for _ in range(LOOKUPS_PER_ENTRY * max_entries + 1):
        result = retrying(Cmd.BPF_MAP_GET_NEXT_KEY, step)
        if result == -errno.ENOENT:
            return stored
        if result < 0:
            raise bpf_error(-result, Cmd.BPF_MAP_GET_NEXT_KEY.name, subject)
        ctypes.memmove(here, there, width)
        step.key = ctypes.addressof(here)
        key = here.raw
        if key in seen:
            progress.duplicates += 1
            progress.restarts += not again
            again = True
            continue
        again = False
        if stored == len(keys):
            break
        if wants_values:
            look.value = value_at + stored * value_step
            result = retrying(Cmd.BPF_MAP_LOOKUP_ELEM, look)
            if result == -errno.ENOENT:
                continue
            if result < 0:
                raise bpf_error(-result, Cmd.BPF_MAP_LOOKUP_ELEM.name, subject)
        seen.add(key)
        ctypes.memmove(key_at + stored * width, here, width)
        stored += 1
    progress.notes.append("given up: the map changed faster than it could be walked")
    return stored


def repeated(keys: Bytes) -> npt.NDArray[np.bool_]:
    """Which rows are followed by a later row with the same key.

    Costs one sort of 64-bit hashes; rows are compared byte for byte only where hashes meet.

    Args:
        keys: u1[n, key size], C-contiguous.

    Returns:
        bool[n], True for rows to drop: of equal keys the one read last is the newest.
    """
    drop = np.zeros(len(keys), np.bool_)
    if not len(keys):
        return drop
    hashed = hashes(keys)
    ordered = np.sort(hashed)
    meeting = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(meeting):
        return drop
    suspects = np.flatnonzero(np.isin(hashed, meeting))[::-1]
    rows = np.ascontiguousarray(keys[suspects]).view(np.dtype((np.void, keys.shape[1]))).ravel()
    drop[suspects] = True
    drop[suspects[np.unique(rows, return_index=True)[1]]] = False
    return drop


def hashes(keys: Bytes) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row of u1[n, key size], C-contiguous."""
    total = np.zeros(len(keys), np.uint64)
    for first in range(0, len(keys), _PART):
        _hash_part(keys[first : first + _PART], total[first : first + _PART])
    return total


def _hash_part(keys: Bytes, total: npt.NDArray[np.uint64]) -> None:
    count, width = keys.shape
    for offset, size in _pieces(width):
        piece = np.ndarray(
            (count,), np.dtype(f"<u{size}"), buffer=keys, offset=offset, strides=(width,)
        ).astype(np.uint64)
        total ^= total >> np.uint64(29)
        total *= np.uint64(_HASH_FACTORS[0])
        total += piece * np.uint64(_HASH_FACTORS[1])


def _pieces(width: int) -> list[tuple[int, int]]:
    """Offsets and sizes of the integers that cover ``width`` bytes; the last two may overlap."""
    size = 1 << min(3, width.bit_length() - 1)
    offsets = list(range(0, width - size + 1, size))
    if width % size:
        offsets.append(width - size)
    return [(offset, size) for offset in offsets]
