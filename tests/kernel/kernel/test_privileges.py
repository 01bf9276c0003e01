"""What a process is told that lacks a capability: the one it lacks, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import DeniedError, bpf_error
from ctconsole.kernel import mapwrite, pins
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

THREE = ("bpf", "net_admin", "perfmon")


def as_root_with(*capabilities: str, argv: tuple[str | Path, ...]) -> tuple[int, str]:
    """Exit code and stderr of a verb that root runs with these capabilities only."""
    kept = ",".join(f"+{one}" for one in capabilities)
    return _run(["setpriv", "--bounding-set", f"-all,{kept}"], argv)


def _run(prefix: list[str], argv: tuple[str | Path, ...]) -> tuple[int, str]:
    # A home that another user can read is not needed: the checkout is imported as it is.
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "ctconsole", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 64)) as live:
        pins.pin(gate, live, bpffs / GLOBALS / "cilium_ct4_global")
    return bpffs


@pytest.mark.parametrize("verb", [("map", "users"), ("map", "calls")])
def test_what_goes_by_ids_wants_sys_admin(node: Path, verb: tuple[str, str]) -> None:
    code, told = as_root_with(*THREE, argv=(*verb, "--bpf-root", node))
    assert code == 3
    assert told.strip().endswith("Operation not permitted. Run as root with CAP_SYS_ADMIN")


def test_entries_are_listed_without_sys_admin(node: Path) -> None:
    code, told = as_root_with(*THREE, argv=("ct", "list", "--bpf-root", node))
    assert (code, "Run as root" in told) == (0, False)


def test_a_lab_wants_to_administer_the_network(tmp_path: Path) -> None:
    argv = ["env", f"CTCONSOLE_RUN_DIR={tmp_path}"]
    code, told = _run(
        [*argv, "setpriv", "--bounding-set", "-net_admin"], ("lab", "up", f"t{os.getpid()}")
    )
    assert code == 3
    assert "with CAP_NET_ADMIN" in told
    assert "CAP_BPF" not in told


@pytest.mark.parametrize(
    ("command", "number", "hint"),
    [
        ("BPF_MAP_GET_NEXT_ID", 1, "Run as root, or with CAP_SYS_ADMIN"),
        ("BPF_MAP_GET_FD_BY_ID", 1, "Run as root, or with CAP_SYS_ADMIN"),
        ("BPF_PROG_QUERY", 1, "Run as root, or with CAP_NET_ADMIN"),
        ("BPF_PROG_LOAD", 1, "Run as root, or with CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON"),
        ("BPF_MAP_CREATE", 1, "Run as root, or with CAP_BPF"),
        ("BPF_OBJ_GET", 13, "Run as root or as the owner of it, or with CAP_DAC_OVERRIDE"),
        ("mkdir", 13, "Run as root or as the owner of it, or with CAP_DAC_OVERRIDE"),
        ("RTM_NEWLINK", 1, "Run as root, or with CAP_NET_ADMIN"),
        ("netns add", 1, "Run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"),
        ("perf_event_open", 13, "Run as root, or with CAP_PERFMON"),
    ],
)
def test_a_refusal_names_what_this_process_lacks(command: str, number: int, hint: str) -> None:
    code = (
        "from ctconsole.errors import bpf_error; import sys;"
        f"print(bpf_error({number}, {command!r}, 'x').hint)"
    )
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == hint


def test_who_has_the_capability_is_not_told_to_get_it() -> None:
    error = bpf_error(1, "BPF_MAP_CREATE", "m")
    assert isinstance(error, DeniedError)
    assert error.hint.startswith("This process has CAP_BPF")
