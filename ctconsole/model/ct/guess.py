"""Telling the layout of conntrack values from the entries themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.layout import VALUE_SIZE, Layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.layout import Records


@dataclass(frozen=True, slots=True)
class Guess:
    """What `guess_layout` thinks, and why in words for a person.

    Attributes:
        layout: the layout to decode with.
        reason: what in the entries speaks for it.
        certain: False where nothing in the entries decides.
    """

    layout: Layout
    reason: str
    certain: bool


def guess_layout(*samples: Records) -> Guess:
    """Tell the layout from the entries themselves.

    1.16 and 1.18 never write the first 8 bytes, where 1.9 to 1.15 count received packets. An
    entry that saw packets both ways therefore decides: zero there means 1.18, anything else 1.9.
    Where both kinds are, the few with something there hold the address of 1.19's DSR entries.
    Entries that saw one direction only say little, and then the guess is not `Guess.certain`.
    What the neighbours 1.15, 1.16 and 1.19 do differently hardly shows in entries; name them.

    Args:
        samples: raw values of one or more maps of a node, each u1 of shape (n, 56) or records
            of any 56-byte dtype.
    """
    received = both_ways = silent = counted = total = 0
    for sample in samples:
        words = _words(sample)
        reports = words[:, 6]
        seen = (reports >> np.uint64(32) != 0) & (reports & np.uint64(0xFFFFFFFF) != 0)
        total += len(words)
        received += int(np.count_nonzero(words[:, 0]))
        both_ways += int(np.count_nonzero(seen))
        silent += int(np.count_nonzero(seen & (words[:, 0] == 0)))
        counted += int(np.count_nonzero(words[:, 2]))
    if silent > received > 0:
        reason = f"{received} entries hold something where {silent} with traffic both ways do not"
        return Guess(Layout.V1_19, reason, certain=False)
    if received:
        reason = f"{received} of {total} entries count received packets"
        return Guess(Layout.V1_9, reason, certain=True)
    if both_ways:
        reason = f"{both_ways} entries saw both directions and none counts received packets apart"
        return Guess(Layout.V1_18, reason, certain=True)
    if counted:
        reason = "entries saw one direction only and count packets, as 1.9 does by default"
        return Guess(Layout.V1_9, reason, certain=False)
    return Guess(Layout.V1_18, "no entry tells; 1.18's layout is assumed", certain=False)


def _words(values: Records) -> npt.NDArray[np.uint64]:
    """Values as seven little-endian 64-bit words each, shape (n, 7)."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(-1, VALUE_SIZE)
    return raw.view("<u8").reshape(-1, VALUE_SIZE // 8)
