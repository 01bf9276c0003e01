"""One whole resize of a table that nobody uses, for ``bench_resize``; prints what it cost."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.manager.resize.journal import Journal
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.run import resize
from ctconsole.model.catalogue import LIMIT_TABLE_MAX
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.reading import Reading
from ctconsole.model.spec import MapSpec, MapType
from tests.bench.bench_ct_list import entries

_PART = 50_000


def main(root: Path, count: int) -> None:
    """Fill a table on a bpffs part by part, resize it, and say what that took."""
    gate = Gate.open()
    path = root / "cilium_ct4_global"
    capacity = min(count + count // 8 // 128 * 128 + 1024, LIMIT_TABLE_MAX - 128)
    spec = MapSpec(path.name, MapType.LRU_HASH, 14, 56, capacity)
    with mapwrite.create(gate, spec) as live:
        pins.pin(gate, live, path)
        for number in range(0, count, _PART):
            mapwrite.update_batch(gate, live, *entries(_PART, seed=number))
        held = live.count()
    plan = plan_resize({path: MapWish(capacity + 128)}, Reading(layout=Layout.V1_18))
    started, worked = time.perf_counter(), time.process_time()
    report = resize(gate, plan, None, Journal(root.parent / "journal"))
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    report.check()
    assert report.maps[0].carried == held
    memory = _peak() / 1e6
    told = {"seconds": seconds, "cpu": cpu, "memory": memory, "stages": report.stages}
    print(json.dumps(told))


def _peak() -> int:
    """The most bytes that were resident; ``ru_maxrss`` would be the parent's, if that is more."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell VmHWM")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
