"""Reading a perf event array: what programs hand out with ``bpf_perf_event_output``.

Each CPU has a ring of its own, shared with the kernel (``perf_event_open(2)``, *MMAP layout*);
the array's slot of that CPU names it. A slot has one reader: who opens an array takes the
records away from whoever read it before, and when the reader closes it the slots are empty
again (the kernel clears what was stored through a map's file as soon as that is closed).
Without a reader the helper fails with ENOENT, which costs a program next to nothing.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import MissingFeatureError, UsageError, bpf_error
from ctconsole.handles import Handle
from ctconsole.kernel import mapwrite
from ctconsole.kernel.atomic import word_at
from ctconsole.kernel.cpus import online_cpus
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.numbers import Call, number_of
from ctconsole.kernel.syscall import libc
from ctconsole.model.packets.samples import NO_SAMPLES, Samples, joined
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

PAGES = 512
"""Pages of a CPU's ring unless told otherwise: 2 MiB, some 15,000 records with their packets."""

_TYPE_SOFTWARE, _COUNT_BPF_OUTPUT = 1, 10
_SAMPLE_TIME_RAW = 1 << 2 | 1 << 10
_FORMAT_LOST = 1 << 4
"""``PERF_FORMAT_LOST`` (Linux 6.0): reading the event tells how much it lost."""
_WATERMARK, _USE_CLOCKID = 1 << 14, 1 << 25
_CLOCK_MONOTONIC = 1
_FLAG_CLOEXEC = 8
_RECORD_LOST, _RECORD_SAMPLE = 2, 9

_HEAD, _TAIL = 1024, 1032
"""Where ``data_head`` and ``data_tail`` of ``struct perf_event_mmap_page`` are.

The kernel wants a barrier after the one is read and before the other is written
(``include/uapi/linux/perf_event.h``).
"""

_SAMPLE_AT = 20
"""Bytes of a sample before its data: record header, time, length."""


class _Attr(ctypes.Structure):
    """``struct perf_event_attr`` up to ``clockid`` (``PERF_ATTR_SIZE_VER3``, Linux 4.1)."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("sample_period", ctypes.c_uint64),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
        ("wakeup_watermark", ctypes.c_uint32),
        ("bp_type", ctypes.c_uint32),
        ("config1", ctypes.c_uint64),
        ("config2", ctypes.c_uint64),
        ("branch_sample_type", ctypes.c_uint64),
        ("sample_regs_user", ctypes.c_uint64),
        ("sample_stack_user", ctypes.c_uint32),
        ("clockid", ctypes.c_int32),
        ("sample_regs_intr", ctypes.c_uint64),
    )


class _Ring:
    """The event of one CPU and the memory it shares with the kernel."""

    def __init__(self, cpu: int, pages: int) -> None:
        self.cpu = cpu
        self.fd, self._counts = _open_event(cpu, pages * mmap.PAGESIZE // 4)
        self._lost_records = self._lost_before = 0
        try:
            self._memory = mmap.mmap(self.fd, (1 + pages) * mmap.PAGESIZE)
        except OSError as error:
            os.close(self.fd)
            raise bpf_error(error.errno or errno.EIO, "mmap", f"the ring of CPU {cpu}") from error
        words = np.frombuffer(self._memory, np.uint64)
        try:
            self._head = word_at(words.ctypes.data + _HEAD)
            self._tail = word_at(words.ctypes.data + _TAIL)
        except MissingFeatureError:
            del words
            self._memory.close()
            os.close(self.fd)
            raise
        self._ring = words[mmap.PAGESIZE // 8 :]

    def close(self) -> None:
        """Give the memory back; arrays into it go first, mmap would refuse otherwise."""
        del self._head, self._tail, self._ring
        self._memory.close()
        os.close(self.fd)

    def drain(self) -> Samples:
        """Take everything that is in the ring, and make the room the kernel's again."""
        head, tail = self._head.load(), self._tail.load()
        samples = NO_SAMPLES
        if head != tail:
            size = len(self._ring)
            start, stop = tail // 8 % size, head // 8 % size
            words = (
                self._ring[start:stop].copy()
                if start < stop
                else np.concatenate([self._ring[start:], self._ring[:stop]])
            )
            self._tail.store(head)
            samples = self._parse(words)
        lost = self._lost() - self._lost_before
        self._lost_before += lost
        return Samples(
            samples.data, samples.starts, samples.sizes, samples.times, samples.cpus, lost
        )

    def _parse(self, words: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> Samples:
        found: list[int] = []
        view, at, end = words.data, 0, len(words)
        while at < end:
            header = view[at]
            if header & 0xFFFF_FFFF == _RECORD_SAMPLE:
                found.append(at)
            elif header & 0xFFFF_FFFF == _RECORD_LOST:
                self._lost_records += view[at + 2]
            at += header >> 51  # the upper 16 bits are the record's bytes, 8 to a word
        where = np.array(found, np.int64)
        data = words.view(np.uint8)
        return Samples(
            data=data,
            starts=where * 8 + _SAMPLE_AT,
            sizes=words.view(np.uint32)[where * 2 + 4].astype(np.int64),
            times=words[where + 1],
            cpus=np.full(len(where), self.cpu, np.uint16),
        )

    def _lost(self) -> int:
        """Records lost since the ring was made.

        The kernel writes a record of a loss only when there is room again, so a ring that
        overflowed at the very end would never tell; the event's own counter does.
        """
        if not self._counts:
            return self._lost_records
        return int(struct.unpack("=QQ", os.read(self.fd, 16))[1])


class PerfReader(Handle):
    """Reads an array until closed. A context manager; not to be used by two threads at once.

    Attributes:
        lost: records lost since it was opened, of all CPUs.
        cpus: the CPUs whose slots it has.
    """

    def __init__(self, gate: Gate, path: Path, *, pages: int = PAGES) -> None:
        """Take the slots of every CPU that is online.

        Args:
            gate: the write gate; the array is written to.
            path: the array's pin.
            pages: memory for each CPU, a power of two.

        Raises:
            GoneError: nothing is pinned at ``path``.
            UsageError: it is no perf event array.
            DeniedError: without CAP_PERFMON.
        """
        self.lost = 0
        self._undo = ExitStack()
        self._rings: list[_Ring] = []
        try:
            self._wait = self._undo.enter_context(select.epoll())
            live = self._undo.enter_context(_open_array(path))
            for cpu in (cpu for cpu in online_cpus() if cpu < live.info.max_entries):
                ring = _Ring(cpu, pages)
                self._undo.callback(ring.close)
                self._rings.append(ring)
                self._wait.register(ring.fd, select.EPOLLIN)
                mapwrite.update(gate, live, struct.pack("=I", cpu), struct.pack("=I", ring.fd))
        except BaseException:
            self._undo.close()
            raise
        self.cpus = tuple(ring.cpu for ring in self._rings)

    def read(self, timeout: float = 0.0) -> Samples:
        """Everything there is, in the order of time.

        A ring wakes us when a quarter of it is full, so that busy CPUs are not asked for each
        record; what is in the others is taken along.

        Args:
            timeout: how long to wait for that, in seconds; a read brings what is there anyway.
        """
        if timeout > 0:
            self._wait.poll(timeout)
        parts = [ring.drain() for ring in self._rings]
        lost = sum(part.lost for part in parts)
        self.lost += lost
        filled = [part for part in parts if len(part)]
        counted = lost - sum(part.lost for part in filled)
        return joined(filled, counted)

    @property
    def is_open(self) -> bool:
        """Whether it has the slots."""
        return bool(self._rings)

    def close(self) -> None:
        """Leave the slots empty; may be called again."""
        self._undo.close()
        self._rings = []


def _open_array(path: Path) -> BpfMap:
    live = BpfMap.open(path)
    if live.info.type is MapType.PERF_EVENT_ARRAY:
        return live
    live.close()
    raise UsageError(f"{path} is a {live.info.type.name}, not a perf event array")


def _open_event(cpu: int, watermark: int) -> tuple[int, bool]:
    """An event that takes programs' output on one CPU, and whether it counts what it lost."""
    attr = _Attr(
        type=_TYPE_SOFTWARE,
        size=ctypes.sizeof(_Attr),
        config=_COUNT_BPF_OUTPUT,
        sample_period=1,
        sample_type=_SAMPLE_TIME_RAW,
        read_format=_FORMAT_LOST,
        flags=_WATERMARK | _USE_CLOCKID,
        wakeup_watermark=watermark,
        clockid=_CLOCK_MONOTONIC,
    )
    fd = _perf_event_open(attr, cpu)
    if fd == -errno.EINVAL:
        attr.read_format = 0
        fd = _perf_event_open(attr, cpu)
    if fd < 0:
        raise bpf_error(-fd, "perf_event_open", f"CPU {cpu}")
    return fd, bool(attr.read_format)


def _perf_event_open(attr: _Attr, cpu: int) -> int:
    """A descriptor, or the negative errno."""
    result = int(
        libc.syscall(
            ctypes.c_long(number_of(Call.PERF_EVENT_OPEN)),
            ctypes.byref(attr),
            ctypes.c_int(-1),
            ctypes.c_int(cpu),
            ctypes.c_int(-1),
            ctypes.c_ulong(_FLAG_CLOEXEC),
        )
    )
    return result if result >= 0 else -ctypes.get_errno()
