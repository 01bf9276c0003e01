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
    RESULT,
    Passes,
    Tally,
    constants,
    on_cpu,
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

    Counters go over with every entry, and both maps keep them: what they hold in common is
    ``known``, and what the old one counts beyond it is added.

    Args:
        _gate: the write gate; who has it may write maps.
        old: the map whose entries are carried.
        new: the map they are carried into, with the same key and value size.
        joining: what the words of an entry are for.
        known: what is known of the nodes of the old map (`known_map`); it has to outlive every
            pass between the two maps. Empty: nothing was carried.
        reverse: carry what came into ``old`` since entries were carried into it from ``new``,
            to which ``known`` belongs.
        bare: programs use the new map already. Counts stay in the old one until they are moved
            (`settle`), so that before that the new map may be left for a third one, and both
            maps carried into it; and what has to be stored is stored without a pause.

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
        bare: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._old = old
        self._new = new
        self._bare = bare
        data = constants(joining, old.info, new.info, reversed=reverse, bare=bare)
        self._load(OBJECT, known, data)
        self._ids = self._programs(_PROGRAMS)

    def move(self) -> Tally:
        """Add what the old map counted since to what is there; see `settle`."""
        return self.settle()

    def settle(self, *, now: int = 0, cut: int = 0, free: int = ANY_NUMBER) -> Tally:
        """Add what the old map counted, and carry what is not in the new map yet.

        Programs may write either map. To be repeated until the tally `is_even`.
        """
        return self.seed(now=now, cut=cut, counted=True, free=free)

    def _pass(self, program: str, request: npt.NDArray[np.void]) -> Tally:
        """One pass in slices, at the pace that others leave to it.

        While programs use the new map, or are being moved to it, it pauses for nobody who does
        not want the CPU at that moment: what is not carried yet is missing there.
        """
        nodes = self._old.info.max_entries
        asked = request[0]
        hurried = self._bare or (program == "seed" and not asked["fresh"])
        hurried = hurried and not asked["counted"]
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
