"""Asking a ``bpf_map`` iterator about one map: what is asked and answered lies in its ``.bss``."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

from ctconsole.errors import BpfError, DatapathError
from ctconsole.handles import Handle
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.paths import iterator_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt


class MapIterator(Handle):
    """A CO-RE ``bpf_map`` iterator that was loaded. A context manager.

    Args:
        name: the compiled object's file.
        program: the program in it.
        state: what stands at the head of its ``.bss``.
        sizes: see `BpfObject`.

    Raises:
        MissingFeatureError: libbpf or the compiled iterator is missing.
        DatapathError: the kernel refuses the iterator, as those before Linux 5.17 do.
    """

    def __init__(
        self,
        name: str,
        program: str,
        state: np.dtype[Any],
        *,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._state = state
        self._object = BpfObject(iterator_objects() / name, sizes=sizes)
        try:
            self._link = self._object.attach_iterator(program)
            self._memory = mmap.mmap(self._object.map_fd(".bss"), mmap.PAGESIZE)
        except (DatapathError, OSError):
            self._object.close()
            raise

    def asked(self, state: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """The state after one run over the machine's maps; None where the run failed.

        Args:
            state: one record, to begin with.
        """
        self._memory[: self._state.itemsize] = state.tobytes()
        try:
            self._link.read()
        except BpfError:
            return None
        return np.frombuffer(self._memory[: self._state.itemsize], self._state).copy()

    def walked(self, state: npt.NDArray[Any], whole: str) -> npt.NDArray[Any] | None:
        """The state once as much was looked at as there is, in as many runs as that takes.

        None where the map is not there, or cannot be read to its end.

        Args:
            state: one record with ``done`` and ``error``, to begin with.
            whole: the field that says how much there is.
        """
        answer = self.asked(state)
        while answer is not None:
            if answer["done"][0] == answer[whole][0] > 0:
                return answer
            if answer["error"][0] or answer["done"][0] == state["done"][0]:
                return None
            # What it is asked to begin with is where it has come to.
            state, answer = answer, self.asked(answer)
        return None

    @property
    def is_open(self) -> bool:
        """Whether the iterator is loaded."""
        return self._object.is_open

    def close(self) -> None:
        """Detach and unload the iterator."""
        self._memory.close()
        self._object.close()
