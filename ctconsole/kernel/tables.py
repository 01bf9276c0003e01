"""Live conntrack maps as frozen tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ctconsole.errors import FormatError
from ctconsole.kernel.clock import ct_now
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.layout import VALUE_SIZE
from ctconsole.model.ct.table import CtTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.guess import Guess
    from ctconsole.model.ct.reading import Reading


def read_table(
    live: BpfMap, reading: Reading, guessed: Callable[[Guess], None] = lambda _: None
) -> CtTable:
    """Read a conntrack map whole, by what is known of its node.

    Args:
        live: the map.
        reading: how its entries are read; without a layout they are asked for it.
        guessed: handed what they said, where they were asked.

    Raises:
        FormatError: it is no conntrack map.
        MissingFeatureError: the node counts jiffies and this kernel does not tell them.
    """
    now, taken_at = ct_now(reading.clock), time.time()
    info = live.info
    if info.value_size != VALUE_SIZE or info.type.is_per_cpu:
        raise FormatError(
            f"{info.label} has values of {info.value_size} bytes for each of its entries, a "
            f"conntrack map has {VALUE_SIZE}"
        )
    dump = live.read()
    layout = reading.layout
    if layout is None:
        guess = guess_layout(dump.values)
        guessed(guess)
        layout = guess.layout
    return CtTable.from_raw(
        info,
        layout,
        dump.keys,
        dump.values,
        now=now,
        taken_at=taken_at,
        walk=dump.walk,
        hertz=reading.clock.stamp_hertz,
        knowledge=reading.knowledge,
    )
