"""A benchmark that a signal ends takes away what it made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ctconsole.kernel import netns

HERE = Path(__file__).parents[2]


def mounted(folder: Path) -> list[str]:
    places = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines())
    return [place for place in places if place.startswith(str(folder))]


@pytest.mark.parametrize(
    ("number", "module"),
    [(signal.SIGTERM, "before"), (signal.SIGINT, "before_console"), (signal.SIGHUP, "users")],
    ids=lambda given: getattr(given, "name", given),
)
def test_a_bench_that_a_signal_ends_leaves_nothing(
    tmp_path: Path, number: signal.Signals, module: str
) -> None:
    command = [sys.executable, "-m", "tests.bench", "--size", "small", module]
    given = {**os.environ, "TMPDIR": str(tmp_path), "BASE": str(HERE)}
    with subprocess.Popen(command, cwd=HERE, env=given, stderr=subprocess.PIPE) as bench:
        given_up = time.monotonic() + 60
        while not mounted(tmp_path):
            assert bench.poll() is None
            assert time.monotonic() < given_up, "no bpffs was mounted"
            time.sleep(0.01)
        bench.send_signal(number)
        _, told = bench.communicate(timeout=60)
        assert bench.returncode in {128 + number, -number}, told.decode()
    assert mounted(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    assert not [name for name in netns.names() if name.startswith(f"ctb-{bench.pid}-")]
