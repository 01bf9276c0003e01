"""The README's list of what commands need: enough to work, and what is lacking is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

README = (Path(__file__).parents[3] / "README.md").read_text()

NONE = ("ct list", "ct stats", "nat list", "node")
SYS_ADMIN = (
    "map list",
    "map users",
    "map calls",
    "map advise",
    "explain",
    "ct flush cilium_ct4_global --yes",
    "map resize cilium_ct4_global 8192 --yes",
)


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    nat = MapSpec("cilium_snat_v4_external", MapType.LRU_HASH, 14, 40, 256)
    with mapwrite.create(gate, nat) as live:
        pins.pin(gate, live, bpffs / GLOBALS / nat.name)
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=2**31))
    return bpffs


def run(verb: str, node: Path, kept: str) -> tuple[int, str]:
    argv = ["setpriv", "--bounding-set", kept, sys.executable, "-m", "ctconsole", *verb.split()]
    done = subprocess.run(
        [*argv, "--bpf-root", str(node)], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("verb", NONE)
def test_root_alone_is_enough(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all")
    assert code == 0, said


@pytest.mark.parametrize("verb", SYS_ADMIN)
def test_what_wants_sys_admin(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all,+sys_admin")
    assert code == 0, said


@pytest.mark.parametrize("verb", ["map users", "map calls", "map resize cilium_ct4_global 8192"])
def test_what_lacks_it_says_so(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all,+bpf,+perfmon,+net_admin")
    assert (code, "with CAP_SYS_ADMIN" in said) == (3, True), said


@pytest.mark.parametrize(("verbs", "needed"), [(NONE, "none"), (SYS_ADMIN, "`CAP_SYS_ADMIN`")])
def test_the_readme_lists_them(verbs: tuple[str, ...], needed: str) -> None:
    rows = [line.split("|") for line in README.splitlines() if line.count("|") == 3]
    listed = " ".join(row[1] for row in rows if row[2].strip() == needed)
    for verb in verbs:
        words = verb.split()
        short = " ".join(words[:2]) if words[0] in {"ct", "map", "nat"} else words[0]
        assert f"`{short}`" in listed, verb
