"""Counts that are added to entries as programs add them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ctconsole.kernel.mapwrite import create, update_batch
from ctconsole.kernel.passes import Passes
from ctconsole.model.ct.joining import joining_of
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap


def count_more(gate: Gate, live: BpfMap, keys: npt.NDArray[np.uint8], number: int) -> None:
    """Count packets where they are, which leaves an entry in its node: as programs do."""
    joining = joining_of(live.info, Layout.V1_9)
    spec = MapSpec("more", MapType.LRU_HASH, 14, 56, len(keys) + 1024)
    with create(gate, spec) as more:
        values = np.zeros(len(keys), value_dtype(Layout.V1_9))
        values["rx_packets"] = number
        update_batch(gate, more, keys, values.view(np.uint8).reshape(-1, 56))
        with Passes(gate, more, live, joining) as adding:
            assert adding.move().moved == len(keys)
