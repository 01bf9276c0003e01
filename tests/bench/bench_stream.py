"""Verbs that count and filter, on tables of millions: memory, and time against the build before.

Wall times are of runs in turn.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench.before import HERE, base
from tests.bench.bench_ct_list import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES: Final = {
    "full": ((8_388_608, 8_000_000), (14_680_064, 14_000_000), (16_777_216, 4_000_000)),
    "small": ((1_048_576, 1_000_000),),
}
"""Room and entries; the first is also read by the build before."""

VERBS: Final = {
    "ct stats": ["ct", "stats"],
    "ct risk": ["ct", "risk"],
    "ct list --filter": ["ct", "list", "--filter", "dport:443"],
    "ct list -o cilium": ["ct", "list", "-o", "cilium"],
}
REPEATS: Final = 3
STEP: Final = 1_000_000
MEMORY: Final = 300.0
TIME: Final = 0.6


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    return list(_rows(size, base()))


def _rows(size: str, folder: Path | None) -> Iterator[dict[str, Any]]:
    for number, (capacity, count) in enumerate(TABLES[size]):
        with table(capacity, count) as root:
            for name, verb in VERBS.items():
                arguments = [*verb, "--layout", "1.18", "--bpf-root", str(root)]
                label = f"{name}, {count / 1e6:g} of {capacity / 1e6:.3g} million"
                before = folder if number == 0 else None
                yield from _compared(label, arguments, before, goal=name != "ct list -o cilium")


def _compared(
    label: str, arguments: list[str], folder: Path | None, *, goal: bool
) -> Iterator[dict[str, Any]]:
    new, old = [], []
    for _ in range(REPEATS if folder else 1):
        new.append(measured(arguments, HERE))
        if folder:
            old.append(measured(arguments, folder))
    memory = max(one[1] for one in new)
    peer = max((one[1] for one in old), default=MEMORY)
    yield {
        "name": f"{label}, memory",
        "value": memory,
        "unit": "MB",
        "peer": "the build before" if old else "the limit",
        "peer_value": peer,
        "ratio": memory / peer,
        "goal": f"<= {MEMORY:g} MB",
        "ok": memory <= MEMORY,
    }
    if old:
        value, peer = (min(one[0] for one in runs) for runs in (new, old))
        yield {
            "name": f"{label}, wall",
            "value": value,
            "unit": "s",
            "peer": "the build before",
            "peer_value": peer,
            "ratio": value / peer,
            "goal": f"<= {TIME}" if goal else "told only",
            "ok": not goal or value <= TIME * peer,
        }


_MEASURED: Final = """
import os, sys
quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
"""
"""Runs a command from a small process: what is forked counts its parent's memory as its own."""


class Measured(NamedTuple):
    """Wall seconds, the most MB in memory and CPU seconds of one command."""

    wall: float
    memory: float
    cpu: float


def measured(arguments: list[str], folder: Path) -> Measured:
    """Run one command of the build in ``folder``.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "ctconsole", *arguments]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURED, *command],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
    )
    wall = time.perf_counter() - started
    code, kilobytes, cpu = map(float, done.stdout.split())
    if code:
        raise RuntimeError(f"{' '.join(command)} in {folder} ended with {code:g}")
    return Measured(wall, kilobytes / 1e3, cpu)


@contextmanager
def table(capacity: int, count: int) -> Iterator[Path]:
    """A bpffs with one connection table of so many random connections."""
    gate = Gate.open()
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder:
        root = Path(folder, "bpf")
        pins.mount_bpffs(gate, root)
        try:
            spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
            with mapwrite.create(gate, spec) as live:
                pins.pin(gate, live, root / GLOBALS / spec.name)
                for start in range(0, count, STEP):
                    some = entries(min(STEP, count - start), seed=start)
                    mapwrite.update_batch(gate, live, *some)
            other = MapSpec("cilium_ct_any4_global", MapType.LRU_HASH, 14, 56, 1024)
            with mapwrite.create(gate, other) as live:
                pins.pin(gate, live, root / GLOBALS / other.name)
            yield root
        finally:
            pins.unmount_bpffs(gate, root)
