"""Which programs use a map, and waiting until none does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.maps import all_programs

if TYPE_CHECKING:
    from collections.abc import Collection

GRACE: Final = 2.0
"""Seconds that replaced programs are given to leave the old map."""

_PAUSE: Final = 0.01


def users(*map_ids: int, but: Collection[int] = ()) -> tuple[int, ...]:
    """Ids of the programs that use one of the maps, attached or only loaded.

    Args:
        map_ids: the maps.
        but: programs that do not count.
    """
    wanted = set(map_ids)
    return tuple(
        one.id for one in all_programs() if one.id not in but and wanted.intersection(one.map_ids)
    )


def left_on(*map_ids: int, but: Collection[int] = ()) -> tuple[int, ...]:
    """Programs that still use one of the maps after a switch that went well.

    The kernel frees a replaced program only when no CPU runs it any more (an RCU grace period,
    some tens of milliseconds), so the programs are given `GRACE` seconds to go.
    """
    end = time.monotonic() + GRACE
    while (found := users(*map_ids, but=but)) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return found
