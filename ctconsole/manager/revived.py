"""Entries that were taken out and turned out to live: putting them back costs no other one.

An LRU map with few free nodes makes room for one entry by throwing out 128 others (Linux 6.18:
with a full map of 1,024, one NOEXIST costs 127), so that one revived connection would cost 127.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError
from ctconsole.handles import Closing
from ctconsole.kernel import mapwrite
from ctconsole.kernel.cpus import possible_cpus
from ctconsole.kernel.mapwrite import NOEXIST
from ctconsole.model.memory import LRU_BATCH

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap


class Revived(Closing):
    """Puts entries back, those for which there is no room yet when the deletions are over.

    A context manager: deletions that break off put them back, too.

    Args:
        gate: the write gate.
        live: the map.
        held: entries in it before the deletions.

    Attributes:
        deleted: entries deleted so far, which is for whoever deletes to count.
    """

    def __init__(self, gate: Gate, live: BpfMap, held: int) -> None:
        self._gate, self._live, self._held = gate, live, held
        self._waiting: list[tuple[bytes, bytes]] = []
        self.deleted = 0

    def put_back(self, key: bytes, value: bytes) -> None:
        """Store an entry again, at once where that costs nothing."""
        if self._has_room(self._held - self.deleted):
            self._store(key, value)
        else:
            self._waiting.append((key, value))

    def close(self) -> None:
        """See `finish`."""
        self.finish()

    def finish(self) -> int:
        """Store those that wait.

        Returns:
            How many could not be, because the map has filled up again: the kernel would have
            thrown out 128 others for the first of them.
        """
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return 0
        if not self._has_room(self._live.count()):
            return len(waiting)
        for key, value in waiting:
            self._store(key, value)
        return 0

    def _has_room(self, held: int) -> bool:
        """Whether every CPU could take a batch of free nodes and one would be left."""
        if not self._live.info.type.is_lru:
            return True
        free = self._live.info.max_entries - held
        return free >= LRU_BATCH * (possible_cpus() + 1)

    def _store(self, key: bytes, value: bytes) -> None:
        """Store an entry unless the connection's next packet has made a new one."""
        if self._live.lookup(key) is not None:
            return
        try:
            mapwrite.update(self._gate, self._live, key, value, NOEXIST)
        except BpfError as error:
            # One is there now; or a map of another kind is full, as if it had been refused.
            if error.errno not in {errno.EEXIST, errno.E2BIG, errno.ENOMEM}:
                raise
