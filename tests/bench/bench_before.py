"""The shell's commands against the build before, named with ``make bench BASE=``.

Both builds run in turn under the same interpreter, so that other load meets both alike; compared
is the least CPU time of a run, user and system, which waiting for a core does not lengthen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench.bench_ct_list import SIZES, entries
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).resolve().parents[2]
REPEATS: Final = {"full": 5, "small": 2}
SHORT: Final = 25
"""Runs of a command that takes a moment, of which few say little."""
GOAL: Final = 1.05


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; none without a build before. See tests/bench/__main__.py."""
    named = os.environ.get("BASE", "")
    if not named:
        print(
            "  no BASE= named: the figures against the build before are left out", file=sys.stderr
        )
        return []
    with build_before(named) as base, _table(size) as root:
        listing = ["ct", "list", "--layout", "1.18", "--bpf-root", str(root), "--output"]
        commands = {
            f"ct list -o cilium, {SIZES[size][1]:,} entries": [*listing, "cilium"],
            f"ct list -o ndjson, {SIZES[size][1]:,} entries": [*listing, "ndjson"],
            "map list": ["map", "list", "--bpf-root", str(root)],
            "--version": ["--version"],
            "--help": ["--help"],
        }
        return [
            row
            for name, arguments in commands.items()
            for row in _rows(
                name, arguments, base, REPEATS[size] if listing[0] == arguments[0] else SHORT
            )
        ]


@contextmanager
def build_before(named: str) -> Iterator[Path]:
    """The folder of the build before: as given, or the files of a revision for the time."""
    if Path(named).is_dir():
        yield Path(named).resolve()
        return
    # No worktree: the repository would still know of it if this process were killed.
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder:
        packed = Path(folder, "base.tar")
        git = ["git", "-C", str(HERE), "archive", "--output", str(packed)]
        subprocess.run([*git, f"{named}^{{commit}}"], check=True)
        subprocess.run(["tar", "-xf", str(packed), "-C", folder], check=True)
        packed.unlink()
        yield Path(folder)


@contextmanager
def _table(size: str) -> Iterator[Path]:
    """A bpffs with one full connection table."""
    capacity, count = SIZES[size]
    gate = Gate.open()
    with private_bpffs(gate) as root:
        spec = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, capacity)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / spec.name)
            mapwrite.update_batch(gate, live, *entries(count))
        # As on a node, where the tool finds every map it looks for.
        other = MapSpec("cilium_ct_any4_global", MapType.LRU_HASH, 14, 56, 1024)
        with mapwrite.create(gate, other) as live:
            pins.pin(gate, live, root / GLOBALS / other.name)
        yield root


def _rows(name: str, arguments: list[str], base: Path, repeats: int) -> list[dict[str, Any]]:
    new, old = [], []
    for _ in range(repeats):
        old.append(_once(arguments, base))
        new.append(_once(arguments, HERE))
    rows = []
    for which, kind in ((0, "CPU"), (1, "wall")):
        value, peer = (min(one[which] for one in runs) for runs in (new, old))
        # The wall time stands beside for the reader; under load it says little.
        held = kind == "wall" or value <= GOAL * peer
        rows.append(
            {
                "name": f"{name}, {kind}",
                "value": value,
                "unit": "s",
                "peer": "the build before",
                "peer_value": peer,
                "ratio": value / peer,
                "goal": f"<= {GOAL}" if kind == "CPU" else "told only",
                "ok": held,
            }
        )
    return rows


def _once(arguments: list[str], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of one command of the build in ``folder``."""
    command = [sys.executable, "-m", "ctconsole", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, env=environment
    ) as process:
        assert process.stderr
        said = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(command)} in {folder} ended with {process.returncode}: {said}"
        )
    return usage.ru_utime + usage.ru_stime, wall
