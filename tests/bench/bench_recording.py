"""A recording of a busy node: how large an hour of it is, and how long one seeks in it.

The node has 10,000 entries of which 500 change in each second: a third come, a third go, and of a
third the counters move. Beside it stands what the same moments take when each is kept whole.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.observe.recording.encoder import Encoder
from ctconsole.observe.recording.moment import VERSION, Head, NodeMoment
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.seeker import Seeker
from ctconsole.observe.recording.writer import RecordingWriter
from ctconsole.observe.source import MapRow, NodeSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES: Final = 10_000
CHANGES: Final = 500
INTERVAL: Final = 2.0
STEPS: Final = {"full": 900, "small": 120}
MOST_AN_HOUR: Final = 50.0
LONGEST_SEEK: Final = 0.2
SEEKS: Final = 40

_INFO: Final = MapInfo(
    5,
    "cilium_ct4_glob",
    MapType.LRU_HASH,
    14,
    56,
    1 << 16,
    pin=PurePath("/sys/fs/bpf/tc/globals/cilium_ct4_global"),
)


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module. See tests/bench/__main__.py."""
    steps, alone = STEPS[size], 0
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder:
        path = Path(folder) / "node.ctrec"
        with RecordingWriter(path, Head(VERSION, "node", "", 0.0, INTERVAL), 1 << 31) as writer:
            for one in _moments(steps):
                writer.add(one)
                alone += Encoder().encode(one).bytes_in_file
        an_hour = 3600 / INTERVAL / steps / 1e6
        recorded = path.stat().st_size * an_hour
        seek, walked = _seek(path)
    return [
        {
            "name": f"an hour of {ENTRIES:,} entries, {CHANGES} changes/s",
            "value": recorded,
            "unit": "MB",
            "peer": "each moment whole",
            "peer_value": alone * an_hour,
            "ratio": recorded / (alone * an_hour),
            "goal": f"at most {MOST_AN_HOUR:.0f} MB",
            "ok": recorded <= MOST_AN_HOUR,
        },
        {
            "name": "the longest of 40 seeks in it, CPU",
            "value": seek,
            "unit": "s",
            "peer": "every moment from the beginning",
            "peer_value": walked,
            "ratio": seek / walked,
            "goal": f"at most {LONGEST_SEEK} s",
            "ok": seek <= LONGEST_SEEK,
        },
    ]


def _seek(path: Path) -> tuple[float, float]:
    """CPU seconds of the longest seek to a moment by chance, and of walking through all."""
    rng = np.random.default_rng(2)
    with Recording(path) as recording:
        longest = 0.0
        for place in rng.integers(0, len(recording.moments), SEEKS):
            seeker, began = Seeker(recording.moments), time.thread_time()
            seeker.at(int(place))
            longest = max(longest, time.thread_time() - began)
        seeker, began = Seeker(recording.moments), time.thread_time()
        for place in range(len(recording.moments)):
            seeker.at(place)
        return longest, time.thread_time() - began


def _moments(steps: int) -> Iterator[NodeMoment]:
    rng = np.random.default_rng(1)
    keys, values = _fresh(rng, 0, ENTRIES, 0)
    number, some = ENTRIES, round(CHANGES * INTERVAL / 3)
    for step in range(steps):
        now = 2 * step
        moved = rng.choice(len(keys), some, replace=False)
        words = values.view("<u4")
        words[moved, 2] += rng.integers(1, 20, some).astype("<u4")
        words[moved, 4] += rng.integers(60, 30_000, some).astype("<u4")
        words[moved, 8], words[moved, 12] = 51_600 + now, 30_000 + now
        staying = np.sort(rng.permutation(len(keys))[some:])
        new_keys, new_values = _fresh(rng, number, some, now)
        places = np.sort(rng.integers(0, len(staying), some))
        keys = np.insert(keys[staying], places, new_keys, 0)
        values = np.insert(values[staying], places, new_values, 0)
        number += some
        table = CtTable.from_raw(
            _INFO, Layout.V1_18, keys, values, now=30_000 + now, taken_at=float(now)
        )
        keys, values = keys.copy(), values.copy()
        node = NodeSnapshot((MapRow(_INFO, len(table)),), float(now), 0.0)
        yield NodeMoment(float(now), node, MappingProxyType({str(_INFO.pin): table}))


def _fresh(rng: np.random.Generator, first: int, count: int, now: int) -> tuple[Any, Any]:
    """Entries of their first packets: keys of 14 bytes, values of 56."""
    keys, values = np.zeros((count, 14), np.uint8), np.zeros((count, 56), np.uint8)
    numbers = np.arange(first, first + count, dtype="<u4")
    keys[:, 0:2], keys[:, 4:6] = (10, 244), (10, 244)
    keys[:, 2:4] = rng.integers(0, 250, (count, 2))
    keys[:, 6:8] = rng.integers(0, 250, (count, 2))
    keys[:, 8:12] = numbers.view(np.uint8).reshape(count, 4)
    keys[:, 12] = 6
    words = values.view("<u4")
    words[:, 2], words[:, 4] = rng.integers(1, 50, count), rng.integers(74, 90_000, count)
    words[:, 8], words[:, 12] = 51_600 + now, 30_000 + now
    return keys, values
