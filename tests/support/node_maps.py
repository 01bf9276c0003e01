"""Cilium's maps, made for real on a private bpffs from the same entries tests decode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ctconsole.kernel import mapwrite, pins
from ctconsole.model.catalogue import classify
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.record_maps import raw, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.layout import Layout

TYPES = {
    "cilium_metrics": MapType.PERCPU_HASH,
    "cilium_ipcache": MapType.LPM_TRIE,
    "cilium_ipcache_v2": MapType.LPM_TRIE,
}


def pin(
    gate: Gate, root: Path, name: str, *entries: Mapping[str, Any], since: Layout | None = None
) -> None:
    """Create, fill and pin a map of Cilium's name, sizes and type."""
    keys, values = raw(name, *entries, since=since)
    known = classify(name)
    kind = TYPES.get(name, known.type if known else MapType.HASH)
    if "policy_v2" in name:
        kind = MapType.LPM_TRIE
    spec = record(name, since)
    flags = 1 if kind is MapType.LPM_TRIE else 0
    wish = MapSpec(name[:15], kind, spec.key.itemsize, spec.value.itemsize, 64, flags)
    with mapwrite.create(gate, wish) as live:
        pins.pin(gate, live, root / GLOBALS / name)
        for key, value in zip(keys, values, strict=True):
            repeated = np.tile(value, _cpus(live)) if kind.is_per_cpu else value
            mapwrite.update(gate, live, key.tobytes(), repeated.tobytes())


def _cpus(live: BpfMap) -> int:
    return int(live.value_shape[0])
