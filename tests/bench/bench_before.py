"""The shell's commands against the build before, named with ``make bench BASE=``.

Compared is the least CPU time of a run (see tests/bench/before.py).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.bench import before
from tests.bench.bench_ct_list import SIZES, entries
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPEATS: Final = {"full": 7, "small": 2}
SHORT: Final = 60
"""Runs of a command that takes a moment, of which few say little."""
GOAL: Final = 1.05


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; none without a build before. See tests/bench/__main__.py."""
    base = before.base()
    if base is None:
        return []
    with table(size) as root:
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
def table(size: str) -> Iterator[Path]:
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
    command = ["-m", "ctconsole", *arguments]
    for folder in (base, before.HERE):
        before.once(command, folder)
    new, old = [], []
    for _ in range(repeats):
        old.append(before.once(command, base))
        new.append(before.once(command, before.HERE))
    return [
        before.row(
            f"{name}, CPU", min(one.cpu for one in new), min(one.cpu for one in old), goal=GOAL
        ),
        # The wall time stands beside for the reader; under load it says little.
        before.row(
            f"{name}, wall",
            min(one.wall for one in new),
            min(one.wall for one in old),
            goal=GOAL,
            told_only=True,
        ),
    ]
