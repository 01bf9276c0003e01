"""The README's list of what commands need: enough to work, and what is lacking is said."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.terminals import console, read

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

README = (Path(__file__).parents[3] / "README.md").read_text()

ENTRIES = 30

NONE = (
    "ct list",
    "ct stats",
    "ct risk",
    "ct snapshot --parquet {folder}/snapshots",
    "nat list",
    "node",
)
COUNTING = ("map advise", "explain")
SYS_ADMIN = (
    "map list",
    "map users",
    "map calls",
    "ct flush cilium_ct4_global --yes",
    "ct delete cilium_ct4_global --filter proto:tcp --yes",
    "map resize cilium_ct4_global 8192 --yes",
    "map recreate cilium_ct4_global --entries 8192 --yes",
    "guard --for 0.5",
    "record {folder}/x.ctrec --for 0.5",
)
CONSOLE = "the console"
ALL_BUT_THAT = "-all,+bpf,+perfmon,+net_admin"


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    nat = MapSpec("cilium_snat_v4_external", MapType.LRU_HASH, 14, 40, 256)
    with mapwrite.create(gate, nat) as live:
        pins.pin(gate, live, bpffs / GLOBALS / nat.name)
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(ENTRIES, lifetime=2**31))
    return bpffs


def run(verb: str, node: Path, kept: str) -> tuple[int, str]:
    words = verb.format(folder=node.parent).split()
    argv = ["setpriv", "--bounding-set", kept, sys.executable, "-m", "ctconsole", *words]
    done = subprocess.run(
        [*argv, "--bpf-root", str(node)], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize("verb", NONE)
def test_root_alone_is_enough(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all")
    assert code == 0, said


def test_watching_goes_on_without_programs_and_says_so(node: Path) -> None:
    code, said = run("watch --for 1", node, "-all")
    assert code == 0, said
    assert "with CAP_SYS_ADMIN" in said
    code, said = run("watch --for 1", node, "-all,+sys_admin")
    assert (code, "CAP_" in said) == (0, False), said
    assert "| `watch` | none for pins and the agent; `CAP_SYS_ADMIN` follows programs |" in README


@pytest.mark.parametrize("verb", COUNTING)
def test_what_only_counts_needs_what_counting_needs(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all,+bpf,+perfmon")
    assert code == 0, said
    code, said = run(verb, node, "-all")
    assert (code, "with CAP_SYS_ADMIN" in said) == (3, True), said


@pytest.mark.parametrize("verb", SYS_ADMIN)
def test_what_wants_sys_admin(node: Path, verb: str) -> None:
    code, said = run(verb, node, "-all,+sys_admin")
    assert code == 0, said


@pytest.mark.parametrize("verb", SYS_ADMIN)
def test_what_lacks_it_says_so_and_changes_nothing(node: Path, verb: str) -> None:
    code, said = run(verb, node, ALL_BUT_THAT)
    assert (code, "with CAP_SYS_ADMIN" in said) == (3, True), said
    with BpfMap.open(node / GLOBALS / CT4.name) as live:
        assert (live.info.max_entries, live.count()) == (CT4.max_entries, ENTRIES)


@pytest.mark.parametrize(
    ("kept", "says"), [(ALL_BUT_THAT, "CAP_SYS_ADMIN"), ("-all,+sys_admin", "")]
)
def test_the_console(node: Path, kept: str, says: str) -> None:
    shown, end = "", time.monotonic() + 60
    wanted = says or CT4.name
    under = ("setpriv", "--bounding-set", kept)
    with console("console", "--bpf-root", str(node), under=under) as (process, ours):
        while wanted not in shown and time.monotonic() < end and process.poll() is None:
            shown += read(ours).decode("utf-8", "replace")
            time.sleep(0.01)
    assert wanted in shown
    assert ("CAP_SYS_ADMIN" in shown) == bool(says)


@pytest.mark.parametrize(
    ("verbs", "needed"),
    [
        (NONE, "none"),
        (COUNTING, "`CAP_BPF` and `CAP_PERFMON`, which count entries"),
        ((*SYS_ADMIN, CONSOLE), "`CAP_SYS_ADMIN`"),
    ],
)
def test_the_readme_lists_them(verbs: tuple[str, ...], needed: str) -> None:
    rows = [line.split("|") for line in README.splitlines() if line.count("|") == 3]
    listed = " ".join(row[1] for row in rows if row[2].strip() == needed)
    for verb in verbs:
        words = verb.split()
        short = " ".join(words[:2]) if words[0] in {"ct", "map", "nat"} else words[0]
        assert f"`{short}`" in listed or verb == CONSOLE in listed, verb
