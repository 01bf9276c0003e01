"""What operators send as text: a listing against the same entries live, and an agent's log.

CPU times, since the machine is shared; the listing is what our own verb prints of the live table.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.before import HERE
from tests.bench.bench_stream import measured, table

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRIES: Final = {"full": 500_000, "small": 50_000}
LOG: Final = {"full": 100 << 20, "small": 10 << 20}
TIMES: Final = 3.0
MEMORY: Final = 300.0
SECONDS: Final = 3.0
"""For 100 MB, of which one line in twenty is told."""

_EVERY: Final = 20
_TOLD: Final = (
    'time="{stamp}" level=info msg="Conntrack garbage collector interval recalculated" '
    "deleteRatio=0.{number:04d} newInterval=7m30s subsys=map-ct\n"
)
_OTHER: Final = (
    'time="{stamp}" level=info msg="Rewrote nothing" containerID=abcdef{number} '
    "endpointID={number} datapathPolicyRevision=1 desiredPolicyRevision=2 identity={number} "
    "ipv4=10.0.1.2 k8sPodName=default/pod-{number} subsys=endpoint\n"
)


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder:
        return [*_listing(Path(folder), ENTRIES[size]), _log(Path(folder), LOG[size])]


def _listing(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    text = folder / "ct-list.txt"
    with table(2 * count, count) as root:
        told = ["--layout", "1.18", "--bpf-root", str(root)]
        argv = [sys.executable, "-m", "ctconsole", "ct", "list", "-o", "cilium", *told]
        with text.open("wb") as file:
            subprocess.run(argv, cwd=HERE, stdout=file, check=True)
        live = measured(["ct", "stats", *told], HERE)
    read = measured(["ct", "stats", "--from-dump", str(text)], HERE)
    label = f"ct stats of {count / 1e3:g} thousand entries as text"
    yield _row(f"{label}, CPU", "s", read.cpu, ("live", live.cpu), TIMES)
    yield _row(f"{label}, memory", "MB", read.memory, ("the limit", MEMORY))


def _log(folder: Path, size: int) -> dict[str, Any]:
    log = folder / "agent.log"
    written = number = 0
    with log.open("w", encoding="utf-8") as file:
        while written < size:
            form = _OTHER if number % _EVERY else _TOLD
            stamp = f"2025-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
            written += file.write(form.format(stamp=stamp, number=number % 10_000))
            number += 1
    found = measured(["watch", "--log", str(log)], HERE)
    most = SECONDS * size / LOG["full"] + 1 * (size < LOG["full"])
    label = f"stories of {size >> 20} MiB of an agent's log, CPU"
    return _row(label, "s", found.cpu, ("the limit", most))


def _row(
    name: str, unit: str, value: float, peer: tuple[str, float], most: float = 1.0
) -> dict[str, Any]:
    """A row whose goal is a value of at most so many times its peer's."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer[0],
        "peer_value": peer[1],
        "ratio": value / peer[1],
        "goal": f"<= {most:g}",
        "ok": value <= most * peer[1],
    }
