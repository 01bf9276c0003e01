"""What the words of a map's values are for when two entries of one key become one.

While a map's programs are moved over to another map both are written. Of an entry that is in
both, counters are added up, the later time holds, a flag that was set stays set, and the rest
is taken from the side that lives longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.model.ct.layout import LAYOUTS, VALUE_SIZE, CtFlag, TupleFlag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.spec import MapInfo

MAX_KEY: Final = 64
MAX_VALUE: Final = 128
"""Bytes of the largest key and value that can be carried from map to map."""

NOWHERE: Final = 0xFFFFFFFF
"""The offset of a field that entries do not have."""

_LARGEST: Final = ("lifetime", "last_tx_report", "last_rx_report")
_GATHERED: Final = ("flags", "tx_flags_seen", "rx_flags_seen")


@dataclass(frozen=True, slots=True)
class Joining:
    """What the words of an entry are for; host byte order, offsets and sizes in bytes.

    Attributes:
        key_size: of the map's keys, at most `MAX_KEY`.
        value_size: of its values, a multiple of 4, at most `MAX_VALUE`.
        lifetime_at: offset of the u4 an entry lives until, `NOWHERE` where there is none.
        flags_at: offset of the u2 of flags, `NOWHERE` where there is none.
        closing: bits of the flags that say that a side has closed.
        service: bit of the key's last byte that marks an entry in which other words count.
        counters: 64-bit words that are counters, as bits.
        service_counters: those of them that are counters in services as well.
        largest: 32-bit words of which the larger one holds when two entries are joined, as bits.
        gathered: for each 32-bit word the bits that stay set in the joined entry.
        newest: for each 32-bit word the bits that the entry which lives longer knows better.
    """

    key_size: int
    value_size: int
    lifetime_at: int = NOWHERE
    flags_at: int = NOWHERE
    closing: int = 0
    service: int = 0
    counters: int = 0
    service_counters: int = 0
    largest: int = 0
    gathered: Sequence[int] = ()
    newest: Sequence[int] = ()


def joining_of(info: MapInfo, layout: Layout | None) -> Joining:
    """What the words of a map's values are for.

    Args:
        info: the map.
        layout: of its entries if it is a conntrack map, else None: nothing in them counts, and
            what the new map has already is left as it is.
    """
    plain = Joining(info.key_size, info.value_size)
    if layout is None or info.value_size != VALUE_SIZE:
        return plain
    spec = LAYOUTS[layout]
    fields = {
        name: (kind, offset) for name, (kind, offset, *_) in (spec.value.fields or {}).items()
    }
    counted = {fields[name][1] for name in spec.counters}
    largest, gathered = np.zeros(VALUE_SIZE, np.uint8), np.zeros(VALUE_SIZE, np.uint8)
    newest = np.zeros(VALUE_SIZE, np.uint8)
    for name, (kind, offset) in fields.items():
        place = slice(offset, offset + kind.itemsize)
        if name in _LARGEST:
            largest[place] = 0xFF
        elif name in _GATHERED:
            gathered[place] = 0xFF
        elif name not in spec.counters:
            newest[place] = 0xFF
    return Joining(
        key_size=info.key_size,
        value_size=info.value_size,
        lifetime_at=fields["lifetime"][1],
        flags_at=fields["flags"][1],
        closing=CtFlag.RX_CLOSING | CtFlag.TX_CLOSING,
        service=TupleFlag.TUPLE_F_SERVICE,
        counters=_bits(offset // 8 for offset in counted),
        service_counters=_bits(fields[name][1] // 8 for name in spec.service_counters),
        largest=_bits(np.flatnonzero(largest.view("=u4")).tolist()),
        gathered=gathered.view("=u4").tolist(),
        newest=newest.view("=u4").tolist(),
    )


def counters_told(layout: Layout) -> str:
    """``1.18: packets and bytes are counters``; which fields are added up, for a person."""
    spec = LAYOUTS[layout]
    *some, last = spec.counters
    text = f"{layout}: {', '.join(some)} and {last} are counters"
    fewer = [name for name in spec.counters if name not in spec.service_counters]
    if fewer:
        text += f", {' and '.join(fewer)} not in a service's entry"
    return text


def _bits(numbers: Iterable[int]) -> int:
    bits = 0
    for number in numbers:
        bits |= 1 << number
    return bits
