"""A node of a thousand endpoints against the build before: discovery, and ``map users``."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel.gate import Gate
from tests.bench import before
from tests.bench.bench_users import ENDPOINTS, node

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATS: Final = {"full": 3, "small": 2}
GOAL: Final = 0.5

DISCOVERY: Final = """
import sys, time
from pathlib import Path
from ctconsole.observe.discovery import discover
least = float("inf")
for _ in range(8):
    before = time.process_time()
    discover(Path(sys.argv[1]))
    least = min(least, time.process_time() - before)
print(least)
"""


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; none without a build before. See tests/bench/__main__.py."""
    base = before.base()
    if base is None:
        return []
    gate = Gate.open()
    builds, count = {"old": base, "new": before.HERE}, ENDPOINTS[size]
    with node(gate, count) as root, tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as state:
        users = ["-m", "ctconsole", "map", "users", "--bpf-root", str(root), "--state-dir", state]
        using = {name: float("inf") for name in builds}
        finding = dict(using)
        for _ in range(REPEATS[size]):
            for name, build in builds.items():
                using[name] = min(using[name], before.once(users, build).cpu)
        with _pods(count):
            for _ in range(REPEATS[size]):
                for name, build in builds.items():
                    told = before.once(["-c", DISCOVERY, str(root)], build).said
                    finding[name] = min(finding[name], float(told))
    return [
        before.row(f"map users, {count} endpoints, CPU", using["new"], using["old"], goal=GOAL),
        before.row(f"discovery, {count} endpoints, CPU", finding["new"], finding["old"], goal=GOAL),
    ]


@contextmanager
def _pods(count: int) -> Iterator[None]:
    """A process for each endpoint, as the pods have one at least."""
    script = f"for i in $(seq {count}); do sleep infinity & done; echo; wait"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as pods:
        try:
            assert pods.stdout
            pods.stdout.readline()
            yield
        finally:
            os.killpg(pods.pid, signal.SIGKILL)
