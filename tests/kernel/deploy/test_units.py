"""What ``deploy/`` gives a service: is it understood, and is it enough and no more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from ctconsole.kernel import mapwrite, pins
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

ROOT = Path(__file__).parents[3]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
EXPORTER = ROOT / "deploy" / "systemd" / "ctconsole-exporter.service"
DAEMON_SET = ROOT / "deploy" / "kubernetes" / "exporter.yaml"

COUNTED = (
    "ctconsole_map_entries{",
    "ctconsole_ct_entries{",
    "ctconsole_ct_census_timestamp_seconds{",
)
SPLIT = ("ctconsole_map_split_brain{",)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_a_unit_and_finds_it_well_shut(unit: Path) -> None:
    argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    argv = ["systemd-analyze", "security", "--offline=yes", "--threshold=45", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def named(text: str) -> set[str]:
    """Capabilities as setpriv writes them."""
    return {one.removeprefix("CAP_").lower() for one in re.findall(r"[A-Z_]{3,}", text)}


def granted(path: Path) -> set[str]:
    pattern = r"^CapabilityBoundingSet=(.*)$" if path.suffix == ".service" else r"add: \[(.*)\]"
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    assert found is not None
    return named(found[1])


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=2**31))
    return bpffs


def exported(node: Path, folder: Path, capabilities: set[str]) -> tuple[str, str]:
    """The page of a root with these capabilities only, and what it says."""
    file = folder / "x.prom"
    kept = ",".join(["-all", *(f"+{one}" for one in sorted(capabilities))])
    argv = ["setpriv", "--bounding-set", kept, sys.executable, "-m", "ctconsole", "export"]
    done = subprocess.run(
        [*argv, "--for", "0", "--bpf-root", str(node), "--textfile", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return file.read_text(), done.stderr


@pytest.mark.parametrize("path", [EXPORTER, DAEMON_SET], ids=lambda path: path.suffix[1:])
def test_what_a_service_is_granted_is_enough(node: Path, tmp_path: Path, path: Path) -> None:
    written, said = exported(node, tmp_path, granted(path))
    assert said == ""
    for name in (*COUNTED, *SPLIT):
        assert name in written


def test_each_can_read_the_nodes_history() -> None:
    """It tells of resizes, and SQLite reads it only where it may write beside it."""
    for unit in UNITS:
        lines = unit.read_text().splitlines()
        for line in ("RuntimeDirectory=ctconsole", "RuntimeDirectoryPreserve=yes"):
            assert line in lines, unit.name
    places = []
    for path in (DAEMON_SET, DAEMON_SET.with_name("fleet-resize.yaml")):
        pods = next(yaml.safe_load_all(path.read_text()))["spec"]["template"]["spec"]
        [mount] = [one for one in pods["containers"][0]["volumeMounts"] if one["name"] == "run"]
        [volume] = [one for one in pods["volumes"] if one["name"] == "run"]
        assert mount == {"name": "run", "mountPath": "/run/ctconsole"}
        places.append(volume["hostPath"]["path"])
    assert places == ["/run/ctconsole", "/run/ctconsole"]


@pytest.mark.parametrize(
    ("lacking", "missing", "names"),
    [
        ({"bpf", "sys_admin"}, (*COUNTED, *SPLIT), "CAP_BPF"),
        ({"perfmon", "sys_admin"}, (*COUNTED, *SPLIT), "CAP_PERFMON"),
        ({"sys_admin"}, SPLIT, "CAP_SYS_ADMIN"),
        ({"sys_ptrace"}, (), ""),
    ],
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else None,
)
def test_what_it_lacks_is_said_and_has_no_series(
    node: Path, tmp_path: Path, lacking: set[str], missing: tuple[str, ...], names: str
) -> None:
    """CAP_SYS_ADMIN stands for the two that were taken out of it."""
    written, said = exported(node, tmp_path, granted(EXPORTER) - lacking)
    for name in (*COUNTED, *SPLIT):
        assert (name in written) == (name not in missing)
    assert "ctconsole_map_capacity_entries{" in written
    assert names in said
    assert bool(said) == bool(names)


def test_the_images_take_only_what_is_there() -> None:
    """What is copied and installed is held against the checkout."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    for path in re.findall(r"-c (\S+)", text):
        assert (ROOT / path).is_file()
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", text, re.MULTILINE)
    assert [name for _, name in stages] == ["build", "python", "bare", "observe", "full"]
    for stage in ("python", "bare", "observe"):
        installed = text.split(f"AS {stage}")[1].split("FROM")[0]
        assert "clang" not in installed
        assert "bpfcc" not in installed
    args = re.findall(r"^            - (.*)$", DAEMON_SET.read_text(), re.MULTILINE)
    assert args[0] == "export"
