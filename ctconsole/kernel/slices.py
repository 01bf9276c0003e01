"""Passes in slices: a walk over the nodes of an LRU map that lets go of the CPU again and again.

A program of ``bpf/carry.bpf.c`` goes on where the one before it stopped. The old map is only
read: what both maps hold in common of every counter is kept in a map of its own, and what the old
one counts beyond that is added to the new one.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import DatapathError
from ctconsole.kernel.mapwrite import create
from ctconsole.kernel.pacing import SLICE, Restraint
from ctconsole.kernel.passes import (
    ANY_NUMBER,
    PASS,
    RANKS,
    RESULT,
    Passes,
    Tally,
    constants,
    memory_of,
    on_cpu,
    request_of,
    tally_of,
)
from ctconsole.kernel.syscall import Cmd, TestRunAttr, bpf
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.joining import Joining
    from ctconsole.model.spec import MapInfo

OBJECT: Final = "carry.bpf.o"

_PROGRAMS: Final = ("survey", "seed")

_WALK: Final = np.dtype([("next", "u4"), ("end", "u4"), ("slice", "u8")])
"""The beginning of ``struct walk``, which follows ``struct move_state``."""

_FEWEST: Final = 64
"""Nodes of a slice at least, where CPUs take turns so that each stores as many entries."""

_TURNS: Final = 16
"""The share of what is left that such a slice has is 1 in so many."""


class SlicedPasses(Passes):
    """The passes from one LRU map into another one, in slices. A context manager.

    Counts go with every entry that is carried.

    Args:
        _gate: the write gate; who has it may write maps.
        old: the map whose entries are carried.
        new: the map they are carried into, with the same key and value size.
        joining: what the words of an entry are for.
        known: what is known of the nodes of the old map (`known_map`); it has to outlive every
            pass between the two maps. Empty: nothing was carried.
        reverse: carry what came into ``old`` since entries were carried into it from ``new``,
            to which ``known`` belongs.

    Raises:
        DatapathError: this kernel cannot run such programs (Linux 5.17 and fields of its own); or
            libbpf or the compiled programs are missing (MissingFeatureError).
    """

    def __init__(
        self,
        _gate: Gate,
        old: BpfMap,
        new: BpfMap,
        joining: Joining,
        *,
        known: BpfMap,
        reverse: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._old = old
        self._new = new
        self._load(OBJECT, known, constants(joining, old.info, new.info, reversed=reverse))
        self._ids = self._programs(_PROGRAMS)

    def survey(self, now: int) -> npt.NDArray[np.uint64]:
        """How many entries of the old map have each rank; see `Passes.survey`."""
        with self._lock, memory_of(self._object.map_fd("ranks"), RANKS * 8) as memory:
            memory[:] = bytes(len(memory))
            self._run_slices("survey", request_of(now=now), hurried=False)
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
        """Store what is not known to be in the new map and is not there, with its counters.

        Entries that were used of late are marked so in the new map; no other mark changes.

        Args:
            now: the clock of the lifetimes, where ``cut`` is given.
            cut: entries of a lower rank stay behind.
            spare: so many of rank ``cut`` go over.
            fresh: nobody has stored in the new map, and it has room for every entry. Such a pass
                goes at the pace that others leave to it.
            counted: also add what the old map counted since to what is there; programs may write
                either map.
            free: store no more than so many; the others are refused.
        """
        request = request_of(now=now, cut=cut, spare=spare, fresh=fresh, counted=counted, free=free)
        with self._lock:
            return self._run_slices("seed", request, hurried=not (fresh or counted))

    def move(self) -> Tally:
        """Add what the old map counted since to what is there; see `seed`."""
        return self.settle()

    def settle(self, *, now: int = 0, cut: int = 0, free: int = ANY_NUMBER) -> Tally:
        """Add what the old map counted, and carry what is not in the new map yet."""
        return self.seed(now=now, cut=cut, counted=True, free=free)

    def _run_slices(self, program: str, request: npt.NDArray[np.void], *, hurried: bool) -> Tally:
        """One pass; hurried it pauses for nobody who does not want the CPU at that moment."""
        nodes = self._old.info.max_entries
        restraint = None if hurried else Restraint(nodes)
        turns = _Turns() if self._new.info.is_distributed and program == "seed" else None
        # Unmapped when nothing looks at it any more.
        variables = mmap.mmap(self._object.map_fd(".bss"), mmap.PAGESIZE)
        state = np.frombuffer(variables, _STATE, 1)
        state["pass"], state["result"] = request, np.zeros(1, RESULT)
        walk = state["walk"]
        walk["next"], walk["end"], walk["slice"] = 0, nodes, int(SLICE * 1e9)
        while (done := int(walk["next"][0])) < nodes:
            before = time.thread_time()
            if turns:
                walk["end"] = done + turns.nodes(nodes - done)
                with turns.on_its_cpu(state["result"]["carried"]):
                    self._run_slice(program)
            else:
                self._run_slice(program)
            if restraint:
                restraint.rest(time.thread_time() - before, int(walk["next"][0]))
            else:
                os.sched_yield()
            self.between()
        return tally_of(state["result"][0], state["pass"][0])

    def _run_slice(self, program: str) -> None:
        attr = TestRunAttr(prog_fd=self._object.program_fd(program))
        what = f"the pass {program} of {self._old.subject}"
        bpf(Cmd.BPF_PROG_TEST_RUN, attr, what)
        if attr.retval:
            raise DatapathError(f"{what} broke off")


_STATE: Final = np.dtype([("pass", PASS), ("result", RESULT), ("walk", _WALK)])


class _Turns:
    """Whose turn it is of CPUs that each have nodes of their own in the new map."""

    def __init__(self) -> None:
        self._carried = dict.fromkeys(sorted(os.sched_getaffinity(0)), 0)

    def nodes(self, left: int) -> int:
        """How many of the nodes that are left one turn has."""
        return min(left, max(_FEWEST, left // _TURNS))

    @contextmanager
    def on_its_cpu(self, carried: npt.NDArray[np.uint64]) -> Iterator[None]:
        """Run on the CPU that stored the fewest entries so far.

        Args:
            carried: how many were stored by all.
        """
        cpu = min(self._carried, key=self._carried.__getitem__)
        before = int(carried[0])
        with on_cpu(cpu):
            yield
        self._carried[cpu] += int(carried[0]) - before


def known_map(gate: Gate, old: MapInfo, new: MapInfo, joining: Joining) -> BpfMap | None:
    """A map for what is known of the nodes of ``old``; None where they cannot be read.

    Raises:
        BpfError: there is no memory for it.
    """
    if not (old.type is MapType.LRU_HASH and new.type is MapType.LRU_HASH):
        return None
    size = 8 * (1 + joining.counters.bit_count())
    return create(gate, MapSpec("carried", MapType.ARRAY, 4, size, old.max_entries))
