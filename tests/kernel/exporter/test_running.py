"""The exporter as a process: scraped, written into a file, ended."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4
from tests.support.promtool import promtool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
    return bpffs


@contextmanager
def exporting(*argv: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the first line it says."""
    command = [sys.executable, "-m", "ctconsole", "export", *map(str, argv)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as child:
        assert child.stderr is not None
        try:
            yield child, child.stderr.readline()
        finally:
            child.terminate()


def test_it_serves_until_it_is_ended(node: Path) -> None:
    argv = ("--listen", "127.0.0.1:0", "--bpf-root", node)
    with exporting(*argv) as (child, said):
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", said)
        assert found is not None
        written = b""
        while b"ctconsole_map_entries{" not in written:
            with urllib.request.urlopen(found[0], timeout=30) as answer:  # noqa: S310 - our own
                written = answer.read()
        assert promtool("check", "metrics", given=written) == (0, "")
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0


def test_it_writes_a_file_and_no_more(node: Path, tmp_path: Path) -> None:
    file = tmp_path / "ctconsole.prom"
    with exporting("--textfile", file, "--for", "0", "--bpf-root", node) as (child, said):
        assert child.wait(60) == 0
        assert said == ""
    assert 'ctconsole_map_capacity_entries{map_name="ct4_global"} 4096.0' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_a_file_that_node_exporter_ignores_is_refused(node: Path, tmp_path: Path) -> None:
    with exporting("--textfile", tmp_path / "x.txt", "--bpf-root", node) as (child, said):
        assert child.wait(60) == 2
    assert said.endswith("x.txt does not end in .prom. node_exporter ignores it\n")


def test_a_file_that_cannot_be_written_is_told(node: Path, tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "x.prom"
    with exporting("--textfile", file, "--for", "0", "--bpf-root", node) as (child, said):
        assert child.wait(60) == 1
    assert f"{file} cannot be written: No such file or directory. Name another" in said


def test_an_address_that_is_taken_is_one_sentence(node: Path) -> None:
    argv = ("--bpf-root", node, "--listen")
    with exporting(*argv, "127.0.0.1:0") as (_, said):
        taken = said.split("//")[1].split("/")[0]
        with exporting(*argv, taken) as (child, refused):
            assert child.wait(60) == 1
    assert refused.startswith(f"ctconsole: {taken} cannot be listened on: Address already in use")
