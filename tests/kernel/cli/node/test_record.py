"""A node recorded by the shell, and what is in the file."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import FormatError, UsageError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.seeker import Seeker
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

SPEC = MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096)


@pytest.fixture
def pin(gate: Gate, bpffs: Path) -> Path:
    path = bpffs / "tc" / "globals" / SPEC.name
    pins.make_folder(gate, path.parent)
    with mapwrite.create(gate, SPEC) as live:
        mapwrite.update_batch(gate, live, *ct4_rows(100, lifetime=ktime() + 500))
        pins.pin(gate, live, path)
    return path


def command(file: Path, bpffs: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "ctconsole", "record", str(file), "--bpf-root", str(bpffs)),
        *("--interval", "0.2", *more),
    ]


def has(file: Path, entries: int) -> bool:
    """Whether the newest moment that is on the disk shows so many."""
    try:
        with Recording(file) as found:
            [table] = Seeker(found.moments).at(len(found.moments) - 1).tables.values()
    except (FormatError, UsageError, ValueError):
        return False
    return len(table) == entries


def wait_until(file: Path, entries: int, process: subprocess.Popen[str]) -> None:
    while not has(file, entries):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_changes_is_recorded_and_can_be_read_while_it_goes_on(
    gate: Gate, bpffs: Path, pin: Path, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "node.ctrec"
    with subprocess.Popen(
        command(file, bpffs), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(file, 100, process)
        with BpfMap.open(pin) as live:
            rows = ct4_rows(40, lifetime=ktime() + 500, first=100)
            mapwrite.update_batch(gate, live, *rows)
        wait_until(file, 140, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    with Recording(file) as found:
        seeker = Seeker(found.moments)
        tables = [
            next(iter(seeker.at(place).tables.values())) for place in range(len(found.moments))
        ]
        assert (len(tables[0]), len(tables[-1])) == (100, 140)
        kept = {key.tobytes() for key in rows[0]}
        assert kept <= {key.tobytes() for key in tables[-1].keys}
        killed = number == signal.SIGKILL
        assert ("was not ended" in found.told) == killed
    if number == signal.SIGINT:
        assert process.returncode == 0, err
        assert f"{len(tables)} moments" in out
        assert "Recording" in err


def test_a_full_file_ends_it_in_good_order(bpffs: Path, pin: Path, tmp_path: Path) -> None:
    file = tmp_path / "node.ctrec"
    done = subprocess.run(
        command(file, bpffs, "--max-size", "8k"), capture_output=True, text=True, check=True
    )
    assert "it has reached the size it may have" in done.stdout
    assert file.stat().st_size <= 8192
    with Recording(file) as found:
        assert not found.told
    assert pin.exists()


def test_a_node_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "x.ctrec", tmp_path / "nowhere", "--for", "1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr
    assert not (tmp_path / "x.ctrec").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--max-size", "big"], "not a size"),
        (["--interval", "0"], "0.1"),
    ],
)
def test_options_that_cannot_be_meant(
    argv: list[str], said: str, tmp_path: Path, bpffs: Path
) -> None:
    done = subprocess.run(
        command(tmp_path / "x.ctrec", bpffs, *argv), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "x.ctrec").exists()
