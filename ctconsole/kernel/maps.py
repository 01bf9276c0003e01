"""Reading live maps: `BpfMap`, its bulk reads, and every map of the machine."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import BpfError, DeniedError, FormatError, GoneError, bpf_error
from ctconsole.handles import Handle
from ctconsole.kernel.clock import moment
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.ids import fd_by_id, ids
from ctconsole.kernel.mapinfo import map_info
from ctconsole.kernel.mounts import on_bpffs
from ctconsole.kernel.programs import ProgramInfo, all_programs
from ctconsole.kernel.syscall import (
    F_RDONLY,
    Cmd,
    ElemAttr,
    ObjAttr,
    bpf,
    retrying,
)
from ctconsole.kernel.walk import LOOKUPS_PER_ENTRY, BatchWalk, WalkProgress, repeated, walk_keys
from ctconsole.model.ct.table import Walk
from ctconsole.model.raw import Raw, check_conntrack
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.walk import Bytes
    from ctconsole.model.ct.reading import Reading

__all__ = [
    "BpfMap",
    "ProgramInfo",
    "all_map_ids",
    "all_maps",
    "all_programs",
    "possible_cpus",
]

DEFAULT_CHUNK = 65536
"""Entries asked for at once: the fastest size measured on Linux 6.18 is 64 Ki to 256 Ki."""

FIRST_ROWS = 1 << 20
"""Entries for which there is room from the start; a larger room is copied into when it is due."""

_SLOTTED = {
    MapType.PROG_ARRAY,
    MapType.PERF_EVENT_ARRAY,
    MapType.ARRAY_OF_MAPS,
    MapType.CGROUP_ARRAY,
}
"""Types that list every index as a key, whether something is stored there or not."""


class BpfMap(Handle):
    """A handle on one live map that can read it; owns file descriptors.

    The descriptor of `open` and `from_id` is read-only in the kernel's eyes (``BPF_F_RDONLY``),
    so that only a `Gate` can change the map. Use as a context manager, or `close` it.
    Safe to use from several threads.

    Attributes:
        info: facts read when the handle was made, memory and pin among them.
    """

    def __init__(self, fd: int, info: MapInfo, *, writable: bool = False) -> None:
        self._fd = fd
        self._write_fd = fd if writable else -1
        self.info = info

    @classmethod
    def open(cls, path: Path | str) -> BpfMap:
        """The map pinned at ``path``.

        Raises:
            GoneError: nothing is pinned there.
            FormatError: the file is not on a bpffs.
            NoMapError: what is pinned there is a program, a link or something else.
        """
        name = ctypes.create_string_buffer(os.fsencode(path))
        attr = ObjAttr(pathname=ctypes.addressof(name), file_flags=F_RDONLY)
        try:
            fd = bpf(Cmd.BPF_OBJ_GET, attr, str(path))
        except DeniedError as error:
            with suppress(OSError):
                if not on_bpffs(path):
                    raise FormatError(f"{path} is not a pinned map: not on a bpffs") from error
            raise
        return cls.adopt(fd, pin=Path(path))

    @classmethod
    def from_id(cls, number: int) -> BpfMap:
        """The map of this kernel id.

        Raises:
            GoneError: no map has it any more.
            DeniedError: without CAP_SYS_ADMIN.
        """
        fd = fd_by_id(Cmd.BPF_MAP_GET_FD_BY_ID, number, f"map {number}", open_flags=F_RDONLY)
        return cls.adopt(fd)

    @classmethod
    def adopt(cls, fd: int, *, pin: Path | None = None, writable: bool = False) -> BpfMap:
        """Make a handle own ``fd``; closes it where it turns out to be no map."""
        try:
            return cls(fd, map_info(fd, pin), writable=writable)
        except BpfError:
            os.close(fd)
            raise

    @property
    def fd(self) -> int:
        """The file descriptor, valid until `close`."""
        return self._fd

    @property
    def subject(self) -> str:
        """The map as messages name it: its pin, else its id."""
        return str(self.info.pin) if self.info.pin else f"map {self.info.id} {self.info.name}"

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Shape of one value as lookups give it: (bytes,) or (possible CPUs, bytes)."""
        if self.info.type.is_per_cpu:
            return (possible_cpus(), -(-self.info.value_size // 8) * 8)
        return (self.info.value_size,)

    def refresh(self) -> MapInfo:
        """Read the facts again; memory is what changes."""
        self.info = map_info(self._fd, self.info.pin)
        return self.info

    def repinned(self, path: Path | None) -> None:
        """Remember where the map is pinned now; for the gate, which moved the pin."""
        self.info = replace(self.info, pin=path)

    def lookup(self, key: bytes) -> bytes | None:
        """The value stored under ``key``, of all CPUs for a per-CPU map; None where absent.

        Raises:
            FormatError: ``key`` has not the map's key size.
        """
        self.check_key(key)
        value = ctypes.create_string_buffer(max(1, math.prod(self.value_shape)))
        given = ctypes.create_string_buffer(key, max(1, len(key)))
        attr = ElemAttr(map_fd=self._fd, key=ctypes.addressof(given), value=ctypes.addressof(value))
        result = retrying(Cmd.BPF_MAP_LOOKUP_ELEM, attr)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise bpf_error(-result, Cmd.BPF_MAP_LOOKUP_ELEM.name, self.subject)
        return value.raw

    def present(self, keys: Bytes) -> npt.NDArray[np.bool_]:
        """Which of these keys are there; marks no entry of an LRU map as used.

        Args:
            keys: u1[n, key size], C-contiguous.
        """
        value = ctypes.create_string_buffer(max(1, math.prod(self.value_shape)))
        attr = ElemAttr(map_fd=self._fd, value=ctypes.addressof(value))
        found = np.zeros(len(keys), np.bool_)
        for row in range(len(keys)):
            attr.key = keys.ctypes.data + row * keys.strides[0]
            result = retrying(Cmd.BPF_MAP_LOOKUP_ELEM, attr)
            if result not in {0, -errno.ENOENT}:
                raise bpf_error(-result, Cmd.BPF_MAP_LOOKUP_ELEM.name, self.subject)
            found[row] = not result
        return found

    def check_key(self, key: bytes) -> None:
        """Raise FormatError where ``key`` has not the map's key size."""
        if len(key) != self.info.key_size:
            raise FormatError(
                f"A key of {self.subject} has {self.info.key_size} bytes, not {len(key)}"
            )

    def read(self, chunk: int = DEFAULT_CHUNK) -> Raw:
        """All entries, each key once: of a key met twice the later value is kept.

        Entries changed while the walk runs may be missed or old. The rows are views of buffers
        that grow with the entries there are, whatever the map's capacity is; the machine keeps
        only their pages that were written.

        Args:
            chunk: entries to ask for at once; doubled where a bucket does not fit.

        Raises:
            BpfError: the map cannot be read at all; a walk that broke off later is reported
                in ``walk`` instead.
        """
        started = time.perf_counter()
        progress = WalkProgress()
        keys, values, count, note = self._read_batches(chunk)
        if count is None:
            count = self._walk_keys(keys, values, progress)
            note = " ".join(progress.notes)
        keys, values = keys[:count], values[:count]
        drop = repeated(keys)
        twice = int(np.count_nonzero(drop))
        if twice:
            keys, values = keys[~drop], values[~drop]
        walk = Walk(
            complete=not note,
            duplicates=twice + progress.duplicates,
            restarts=progress.restarts,
            seconds=time.perf_counter() - started,
            note=note,
        )
        problem = f"{self.info.label} was read in part: {note}" if note else ""
        return Raw(self.info, keys, values.reshape(len(values), *self.value_shape), walk, problem)

    def read_conntrack(self, reading: Reading) -> Raw:
        """All entries of a conntrack map, with what is known of its node.

        Raises:
            FormatError: it is no conntrack map.
            MissingFeatureError: the node counts jiffies and this kernel does not tell them.
            BpfError: see `read`.
        """
        at = moment(reading.clock)
        check_conntrack(self.info)
        return self.read().known(reading, at)

    def read_chunks(self, chunk: int = DEFAULT_CHUNK) -> Iterator[tuple[Bytes, Bytes]]:
        """Entries in batches of about ``chunk``, as pairs of the arrays of `Raw`.

        Keeps one batch in memory. Hash maps hand out each bucket once; where other types start
        over after a concurrent deletion, keys may come again.

        Raises:
            BpfError: the walk failed, at whatever point.
        """
        batches = BatchWalk(self._fd, self.info.key_size, self.subject)
        while not batches.done:
            keys, values = self._buffers(chunk)
            count = batches.into(keys.ctypes.data, values.ctypes.data, chunk)
            if count is None:
                chunk *= 2
            elif count:
                yield keys[:count], values[:count].reshape(count, *self.value_shape)
        if not batches.supported:
            dump = self.read(chunk)
            if len(dump.keys):
                yield dump.keys, dump.values
            if dump.walk.note:
                raise BpfError(errno.EAGAIN, "walk", self.subject, dump.walk.note)
        if batches.failure:
            raise batches.failure

    def read_parts(self, rows: int) -> Iterator[tuple[Bytes, Bytes]]:
        """Entries of a hash map that `has_batch`, in the order of `read_chunks`, on several cores.

        Args:
            rows: entries of a part, about; some parts are in memory at once.

        Raises:
            BpfError: the walk failed, at whatever point.
        """
        batches = BatchWalk(self._fd, self.info.key_size, self.subject)
        count: int | None = None
        while count is None:
            keys, values = self._buffers(rows)
            count = batches.into(keys.ctypes.data, values.ctypes.data, rows)
            rows *= 2 if count is None else 1
        if count:
            yield keys[:count], values[:count]
        if not batches.done:
            from ctconsole.kernel.ranges import Ranges

            first = batches.bucket
            density = count / first
            yield from Ranges(self._fd, self.info, self.subject, density, rows).read(first)

    def no_entries(self) -> tuple[Bytes, Bytes]:
        """The arrays of `Raw` with no rows."""
        keys, values = self._buffers(0)
        return keys, values.reshape(0, *self.value_shape)

    def has_batch(self) -> bool:
        """Whether kernel and map type can be read in batches; costs one small read."""
        keys, values = self._buffers(DEFAULT_CHUNK)
        batches = BatchWalk(self._fd, self.info.key_size, self.subject)
        batches.into(keys.ctypes.data, values.ctypes.data, 1)
        return batches.supported

    def count(self) -> int:
        """How many entries there are, by walking; nothing is kept.

        For kernels and map types `ElementCounter` cannot count. The kernel copies keys and
        values in any case; both land in one small buffer. Arrays are always full; of arrays of
        programs or maps the occupied slots are counted, one system call each.

        Raises:
            BpfError: the map cannot be walked.
        """
        if self.info.type in {MapType.ARRAY, MapType.PERCPU_ARRAY}:
            return self.info.max_entries
        slots = self.info.type in _SLOTTED
        chunk, total = DEFAULT_CHUNK, 0
        keys, values = self._buffers(chunk)
        batches = BatchWalk(self._fd, self.info.key_size, self.subject)
        while not batches.done:
            count = batches.into(keys.ctypes.data, values.ctypes.data, chunk)
            if count is None:
                chunk *= 2
                keys, values = self._buffers(chunk)
            else:
                total += count
        if not batches.supported:
            keys, values = self._buffers(self.info.max_entries)
            return self._walk_keys(keys, values if slots else values[:0], WalkProgress())
        if batches.failure:
            raise batches.failure
        return total

    def _walk_keys(self, keys: Bytes, values: Bytes, progress: WalkProgress) -> int:
        return walk_keys(
            self._fd,
            keys,
            values,
            max_entries=self.info.max_entries,
            progress=progress,
            subject=self.subject,
        )

    def _read_batches(self, chunk: int) -> tuple[Bytes, Bytes, int | None, str]:
        """Buffers, how many rows are filled (None: no batch lookup here) and why it broke off."""
        keys, values = self._buffers(min(self.info.max_entries, FIRST_ROWS) + chunk)
        batches = BatchWalk(self._fd, self.info.key_size, self.subject)
        count = 0
        limit = LOOKUPS_PER_ENTRY * self.info.max_entries + chunk
        while not batches.done:
            if len(keys) - count < chunk:
                keys, values = self._grown(keys, values, chunk)
            got = batches.into(
                keys.ctypes.data + count * keys.strides[0],
                values.ctypes.data + count * values.strides[0],
                chunk,
            )
            if got is None:
                chunk *= 2
                continue
            count += got
            if count > limit:
                return keys, values, count, "given up: the map changed faster than it was read"
        if not batches.supported:
            return *self._buffers(self.info.max_entries), None, ""
        return keys, values, count, str(batches.failure or "")

    def _grown(self, keys: Bytes, values: Bytes, room: int) -> tuple[Bytes, Bytes]:
        more_keys, more_values = self._buffers(len(keys) + len(keys) // 2 + room)
        more_keys[: len(keys)] = keys
        more_values[: len(values)] = values
        return more_keys, more_values

    def _buffers(self, rows: int) -> tuple[Bytes, Bytes]:
        """Uninitialised rows sized from the kernel's info: u1[rows, key], u1[rows, value]."""
        width = math.prod(self.value_shape)
        return _empty(rows, self.info.key_size), _empty(rows, width)

    def writable_fd(self, _gate: Gate) -> int:
        """A descriptor that can write, for the gate; the handle closes it.

        Raises:
            DeniedError: without CAP_SYS_ADMIN, which opening by id needs.
        """
        if self._write_fd < 0:
            number = self.info.id
            self._write_fd = fd_by_id(Cmd.BPF_MAP_GET_FD_BY_ID, number, self.subject)
        return self._write_fd

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor."""
        return self._fd >= 0

    def close(self) -> None:
        """Give the descriptors back; the map lives on while pinned or used."""
        for fd in {self._fd, self._write_fd} - {-1}:
            os.close(fd)
        self._fd = self._write_fd = -1

    def __repr__(self) -> str:
        return f"<BpfMap {self.info.id} {self.info.label} {self.info.type.name}>"


def all_map_ids() -> list[int]:
    """The ids of every map of this machine, ascending.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    return list(ids(Cmd.BPF_MAP_GET_NEXT_ID))


def map_of(number: int) -> MapInfo:
    """Facts about the map of this id, without its memory, which is asked for in another way.

    Raises:
        GoneError: no map has it any more.
        DeniedError: without CAP_SYS_ADMIN.
    """
    fd = fd_by_id(Cmd.BPF_MAP_GET_FD_BY_ID, number, f"map {number}", open_flags=F_RDONLY)
    try:
        return map_info(fd, memory=False)
    finally:
        os.close(fd)


def all_maps() -> list[MapInfo]:
    """Facts about every map of this machine, by id; one freed meanwhile is left out.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    found = []
    for number in all_map_ids():
        try:
            with BpfMap.from_id(number) as live:
                found.append(live.info)
        except GoneError:
            continue
    return found


def _empty(rows: int, width: int) -> npt.NDArray[np.uint8]:
    return np.empty((rows, width), np.uint8)
