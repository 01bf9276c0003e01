"""The filled places of program arrays, read where they lie, or asked for one by one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import DatapathError, GoneError, MissingFeatureError
from ctconsole.handles import Closing
from ctconsole.kernel.mapiter import MapIterator
from ctconsole.kernel.maps import BpfMap

if TYPE_CHECKING:
    from ctconsole.model.spec import MapInfo

Slots: TypeAlias = tuple[tuple[int, int], ...]
"""Place and program id, of each filled place of a program array."""

OBJECT: Final = "iter_slots.bpf.o"
PROGRAM: Final = "slots"
SMALL_ARRAY: Final = 1024
"""An array of so many places is asked for each of them: it costs next to nothing."""

MOST: Final = 256
STATE: Final = np.dtype(
    [
        ("id", "u4"),
        ("size", "u4"),
        ("done", "u4"),
        ("count", "u4"),
        ("error", "i4"),
        ("unused", "u4"),
        ("found", [("place", "u4"), ("program", "u4")], (MOST,)),
    ]
)
"""The head of ``struct slots_state`` of ``bpf/iter_slots.bpf.c``."""


class ArrayLook(MapIterator):
    """Looks at the pointers of program arrays inside the kernel: 65,535 of them in a millisecond.

    Not for several threads at once. Raises what `MapIterator` does.
    """

    def __init__(self) -> None:
        super().__init__(OBJECT, PROGRAM, STATE)

    def of(self, number: int) -> Slots | None:
        """What a program array holds; None where it has gone, or cannot be looked at."""
        found: list[tuple[int, int]] = []
        state = np.zeros(1, STATE)
        state["id"] = number
        while True:
            before = int(state["done"][0])
            state["count"] = 0
            answer = self.asked(state)
            if answer is None or answer["error"][0] or answer["done"][0] == before:
                return None
            state = answer
            found += state["found"][0][: int(state["count"][0])].tolist()
            if state["done"][0] == state["size"][0]:
                # A program that went meanwhile has left no number.
                return tuple(pair for pair in found if pair[1])


class SlotReader(Closing):
    """Reads program arrays, large ones inside the kernel where that can be done.

    A context manager: what looks inside the kernel is loaded when it is first needed.
    """

    def __init__(self) -> None:
        self._look: ArrayLook | None = None
        self._tried = False

    def read(self, info: MapInfo) -> Slots:
        """The filled places of a program array; none where it has gone.

        Raises:
            BpfError: it may not be read.
        """
        if info.max_entries > SMALL_ARRAY:
            look = self._opened()
            found = look.of(info.id) if look else None
            if found is not None:
                return found
        return one_by_one(info.id)

    def _opened(self) -> ArrayLook | None:
        if not self._tried:
            self._tried = True
            with suppress(MissingFeatureError, DatapathError, OSError):
                self._look = ArrayLook()
        return self._look

    def close(self) -> None:
        """Unload what was loaded."""
        if self._look is not None:
            self._look.close()
            self._look = None


def one_by_one(number: int) -> Slots:
    """The filled places of a program array, one system call and more for each there is.

    Raises:
        BpfError: it may not be read.
    """
    try:
        with BpfMap.from_id(number) as live:
            dump = live.read()
    except GoneError:
        return ()
    places = dump.keys.copy().view("=u4").ravel().tolist()
    numbers = dump.values.copy().view("=u4").ravel().tolist()
    return tuple(sorted(pair for pair in zip(places, numbers, strict=True) if pair[1]))
