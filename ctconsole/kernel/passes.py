"""Passes that carry a map's entries over into another one, inside the kernel.

Each is one walk of a map by a program of ``bpf/move.bpf.c`` that runs until it has seen every
entry; no entry passes through user space. While a map is being written a walk may miss an entry,
so passes are repeated until nothing is left, and only the last, on a map that no program uses
any more, is complete (seen on Linux 6.18: 1 of 50,000 entries missed in 97 walks beside
100,000 changes a second).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import DatapathError, MissingFeatureError, bpf_error
from ctconsole.handles import Closing
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.kernel.mapwrite import create
from ctconsole.kernel.programs import program_info
from ctconsole.kernel.syscall import Cmd, TestRunAttr, bpf
from ctconsole.model.ct.joining import MAX_VALUE, Joining
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import iterator_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.spec import MapInfo

OBJECT: Final = "move.bpf.o"

_PROGRAMS: Final = ("survey", "seed", "move")

_MAX_WORDS: Final = MAX_VALUE // 4

RANK_SECONDS: Final = 65536
RANK_CLASSES: Final = 3
RANKS: Final = RANK_SECONDS * 2 * RANK_CLASSES
"""Ranks of entries, the lowest to go first: expired, closing, then the others; in each class by
seconds left, and of those the ones not used of late before the others."""

_WORDS: Final = np.dtype(
    [
        ("key_size", "u4"),
        ("value_size", "u4"),
        ("lifetime_at", "u4"),
        ("flags_at", "u4"),
        ("closing", "u4"),
        ("service", "u4"),
        ("counters", "u4"),
        ("service_counters", "u4"),
        ("largest", "u4"),
        ("is_lru", "u4"),
        ("into_lru", "u4"),
        ("known", "u4"),
        ("reversed", "u4"),
        ("bare", "u4"),
        ("gathered", "u4", _MAX_WORDS),
        ("newest", "u4", _MAX_WORDS),
    ]
)
"""``struct move_layout``."""

PASS: Final = np.dtype(
    [
        ("cut", "u8"),
        ("spare", "i8"),
        ("now", "u4"),
        ("share", "u4"),
        ("shares", "u4"),
        ("fresh", "u4"),
        ("counted", "u4"),
        ("free", "u4"),
    ]
)
"""``struct move_pass``."""

ANY_NUMBER: Final = 0xFFFFFFFF
"""More entries than any map has."""

_BLOCK: Final = 1024
"""Nodes of one element of ``known``, each with a u4."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What passes did; ``struct move_result`` in its order.

    Attributes:
        seen: entries that were looked at: of the old map, in `Passes.move` of the new one.
        carried: of these, stored in the new map.
        present: were in the new map already.
        left_behind: of too low a rank for this pass, and not in the new map.
        refused: the new map took none, or has no room for them.
        moved: entries whose counters were added to those in the new map.
        touched: entries of which flags, lifetime or report times had been written on both sides.
        replaced: entries that the datapath stored anew while their counters were moved: what
            was added may be lost.
        contended: words given up because others kept writing them.
        absent: not in the new map when the pass had seen them.
        counting: still hold a counter in the old map, or had one to be moved; not told by a seed
            without counters.
        met: were in the new map before anything was known of them there.
        gone: had been carried and are no longer in the node they were in: they went, or were
            stored anew.
        error: errno of the last refusal, 0 where there was none.
        spare: of the entries of rank ``cut``, how many more may go over.
    """

    seen: int = 0
    carried: int = 0
    present: int = 0
    left_behind: int = 0
    refused: int = 0
    moved: int = 0
    touched: int = 0
    replaced: int = 0
    contended: int = 0
    absent: int = 0
    counting: int = 0
    met: int = 0
    gone: int = 0
    error: int = 0
    spare: int = 0

    @property
    def is_even(self) -> bool:
        """Whether the old map counts nothing that the new one does not, but for what stays."""
        return not self.counting or (self.absent > 0 and self.counting <= self.absent)

    @property
    def recreated(self) -> int:
        """Entries, at the most, whose counts cannot be proved: the datapath stored them anew."""
        return self.replaced + min(self.met, self.gone)

    def __add__(self, other: Tally) -> Tally:
        """Of both together; error and spare are those of the later one."""
        both = {name: getattr(self, name) + getattr(other, name) for name in _COUNTED}
        return Tally(**both, error=other.error or self.error, spare=other.spare)


_COUNTED: Final = [one.name for one in fields(Tally) if one.name not in {"error", "spare"}]

RESULT: Final = np.dtype([*((name, "u8") for name in _COUNTED), ("error", "i4"), ("pad", "u4")])
"""``struct move_result``."""


class Passes(Closing):
    """The passes from one map into another. A context manager. One pass runs at a time.

    Entries go over with their counters zero; these are moved when no program writes the old map
    any more, and leave zeros there. So the new map may itself be left for a third one, and both
    maps carried into that, without counting anything twice. Each pass is one walk that lets go
    of its CPU when it is over. `ctconsole.kernel.slices` has another way of both.

    Args:
        gate: the write gate.
        old: the map whose entries are carried.
        new: the map they are carried into, with the same key and value size.
        joining: what the words of an entry are for.

    Raises:
        BpfError: there is no memory for what is known of the old map's nodes.
        DatapathError: the verifier refuses the programs; carries its log.
        MissingFeatureError: libbpf or the compiled programs are missing, or this kernel cannot
            run such programs (Linux 5.14).

    Attributes:
        between: called between two slices of a pass, where there are any; what it raises ends
            the pass.
    """

    between: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, gate: Gate, old: BpfMap, new: BpfMap, joining: Joining) -> None:
        self._lock = threading.Lock()
        self._old = old
        self._new = new
        nodes = known_nodes(old.info, new.info)
        blocks = max(1, nodes // _BLOCK)
        spec = MapSpec("known", MapType.ARRAY, 4, 4 * _BLOCK, blocks)
        try:
            with create(gate, spec) as known:
                self._load(OBJECT, known, constants(joining, old.info, new.info, known=nodes))
        except DatapathError as error:
            if "unknown func" in error.log or "invalid program type" in error.log:
                raise MissingFeatureError(
                    f"This kernel cannot carry entries from map to map: {error.message}",
                    hint="Linux 5.14 and later can",
                ) from error
            raise
        self._ids = self._programs(_PROGRAMS)

    def _load(self, name: str, known: BpfMap, data: bytes) -> None:
        self._object = BpfObject(
            iterator_objects() / name,
            maps={"source": self._old.fd, "target": self._new.fd, "known": known.fd},
            constants=data,
        )

    def _programs(self, names: Iterable[str]) -> frozenset[int]:
        """Their kernel ids."""
        return frozenset(program_info(self._object.program_fd(name)).id for name in names)

    @property
    def program_ids(self) -> frozenset[int]:
        """Kernel ids of the passes' own programs, which use both maps."""
        return self._ids

    def survey(self, now: int) -> npt.NDArray[np.uint64]:
        """How many entries of the old map have each rank.

        Args:
            now: the clock of the lifetimes.

        Returns:
            u8 of shape (`RANKS`,).
        """
        with self._lock, memory_of(self._object.map_fd("ranks"), RANKS * 8) as memory:
            memory[:] = bytes(len(memory))
            self._pass("survey", request_of(now=now))
            return np.frombuffer(memory[:], np.uint64)

    def seed(
        self,
        *,
        now: int = 0,
        cut: int = 0,
        spare: int = 0,
        fresh: bool = False,
        counted: bool = False,
        free: int = ANY_NUMBER,
    ) -> Tally:
        """Store what is not known to be in the new map and is not there.

        Entries that were used of late are marked so in the new map; no other mark changes.

        Args:
            now: the clock of the lifetimes, where ``cut`` is given.
            cut: entries of a lower rank stay behind.
            spare: so many of rank ``cut`` go over.
            fresh: nobody has stored in the new map, and it has room for every entry.
            counted: move counters as well, of every entry that has any in the old map which the
                new one has not; only where that may be done, see `settle`.
            free: store no more than so many; the others are refused.
        """
        request = request_of(now=now, cut=cut, spare=spare, fresh=fresh, counted=counted, free=free)
        with self._lock:
            return self._pass("seed", request)

    def move(self) -> Tally:
        """Add the old map's counters to the entries of the new one and leave zeros.

        Only where no program writes the old map any more: its nodes are used again at once, so
        that an exchange could hit another connection's counter. May be repeated, and ended at
        any moment, without counting anything twice.
        """
        with self._lock:
            return self._run("move", request_of())

    def settle(self, *, now: int = 0, cut: int = 0, free: int = ANY_NUMBER) -> Tally:
        """Move counters, and carry with theirs what is not in the new map yet.

        Only where no program writes the old map any more. To be repeated until the tally
        `is_even`.

        Args:
            now: the clock of the lifetimes, where ``cut`` is given.
            cut: entries of a lower rank stay behind.
            free: store no more than so many; the others are refused.
        """
        moved = self.move()
        found = self.seed(now=now, cut=cut, counted=True, free=free)
        # Of what the walk of the new map saw only what it did is told.
        return replace(moved, seen=0, present=0) + found

    def _pass(self, program: str, request: npt.NDArray[np.void]) -> Tally:
        """One pass over the old map, by whoever holds the lock.

        Here it is one walk; one from each CPU where the new map has a pool of nodes for each.
        """
        if program != "seed" or not self._new.info.is_distributed:
            return self._run(program, request)
        tally, cpus = Tally(), sorted(os.sched_getaffinity(0))
        for share, cpu in enumerate(cpus):
            request["share"], request["shares"] = share, len(cpus)
            with on_cpu(cpu):
                done = self._run(program, request)
            tally += done
            request["spare"] = done.spare
            request["free"] -= min(done.carried, request["free"][0])
        return tally

    def _run(self, program: str, request: npt.NDArray[np.void]) -> Tally:
        attr = TestRunAttr(prog_fd=self._object.program_fd(program))
        with memory_of(self._object.map_fd(".bss"), PASS.itemsize + RESULT.itemsize) as memory:
            memory[:] = request.tobytes() + bytes(RESULT.itemsize)
            bpf(Cmd.BPF_PROG_TEST_RUN, attr, f"the pass {program} of {self._old.subject}")
            left = np.frombuffer(memory[: PASS.itemsize], PASS)[0]
            told = np.frombuffer(memory[PASS.itemsize :], RESULT)[0]
        answer = ctypes.c_int32(attr.retval).value
        if answer < 0:
            raise bpf_error(-answer, f"the pass {program}", self._old.subject)
        return tally_of(told, left)

    def close(self) -> None:
        """Unload the programs."""
        self._object.close()


def known_nodes(old: MapInfo, new: MapInfo | MapSpec) -> int:
    """For how many nodes of the old map the passes keep what they know, 4 bytes for each.

    Where the new map keeps no marks of use none are needed: an entry is simply looked up.
    """
    if not (old.type.is_lru and new.type.is_lru):
        return 0
    return max(_BLOCK, 1 << (old.max_entries - 1).bit_length())


def passes_memory(old: MapInfo, new: MapInfo | MapSpec, counters: int = 0) -> int:
    """Bytes that the passes take while they are loaded, beside the two maps.

    Of these the programs themselves, some ten pages, are not counted.

    Args:
        old: the map whose entries are carried.
        new: the one they are carried to.
        counters: how many counters an entry has; of each it is kept what both maps count.
    """
    known = _BLOCK * 4
    if known_nodes(old, new):
        known = old.max_entries * 8 * (1 + counters)
    return known + RANKS * 8


def tally_of(told: np.void, left: np.void) -> Tally:
    """What a program told, as ``struct move_result``, and left of what it was asked."""
    return Tally(
        **{name: int(told[name]) for name in _COUNTED},
        error=-int(told["error"]),
        spare=max(0, int(left["spare"])),
    )


def constants(joining: Joining, old: MapInfo, new: MapInfo, **more: int) -> bytes:
    """The read-only data of the programs.

    Args:
        joining: what the words of an entry are for.
        old: the map that is walked.
        new: the map that is stored into.
        more: further fields by name.
    """
    made = np.zeros(1, _WORDS)
    for field in fields(Joining):
        value = getattr(joining, field.name)
        if field.name in {"gathered", "newest"}:
            made[field.name][0, : len(value)] = value
        else:
            made[field.name] = value
    made["is_lru"] = old.type.is_lru
    made["into_lru"] = new.type.is_lru
    for name, number in more.items():
        made[name] = number
    return made.tobytes()


def request_of(**asked: int) -> npt.NDArray[np.void]:
    """What one pass is asked; what is not named is 0."""
    request = np.zeros(1, PASS)
    for name, value in asked.items():
        request[name] = value
    return request


@contextmanager
def memory_of(fd: int, size: int) -> Iterator[mmap.mmap]:
    """The values of an array map, shared with the programs."""
    with mmap.mmap(fd, size) as memory:
        yield memory


@contextmanager
def on_cpu(cpu: int) -> Iterator[None]:
    """Run this thread on one CPU only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
