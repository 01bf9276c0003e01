"""What a test leaves at the machine's own interfaces fails it; here a namespace is that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.support.namespaces import namespace

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

REPOSITORY = Path(__file__).parents[3]

LEAVING = """
    import subprocess

    from ctconsole.kernel import iproute, tc
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.programs import load_program
    from tests.support.bpf_insns import TC_ACT_OK, returning

    def test_leaves():
        gate = Gate.open()
        index = iproute.get("lo").index
        tc.ensure_clsact(gate, index)
        program = load_program(gate, returning(TC_ACT_OK), name="left")
        tc.replace_filter(gate, index, tc.TcHook.INGRESS, program, "left")
"""


def run_in(space: str, folder: Path, body: str) -> str:
    """Run a suite of one file with a namespace's interfaces for the machine's."""
    (folder / "test_inner.py").write_text(dedent(body))
    (folder / "pytest.ini").write_text("[pytest]\n")
    argv = [f"--net=/run/netns/{space}", sys.executable, "-m", "pytest", "-q"]
    argv += [f"-p{one}" for one in ("pytest_timeout", "tests.support.guard", "no:cacheprovider")]
    argv += ["-c", str(folder / "pytest.ini"), str(folder / "test_inner.py")]
    done = subprocess.run(
        ["nsenter", *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.stdout + done.stderr


def test_a_filter_that_stays_fails_the_test_that_left_it(gate: Gate, tmp_path: Path) -> None:
    with namespace(gate) as space:
        told = run_in(space, tmp_path, LEAVING)
        assert "The test leaves at the machine's own interfaces: program " in told, told
        assert "at ingress of lo" in told
        assert "1 passed, 1 error" in told
        # What was there before a test is none of its business.
        assert "1 passed" in run_in(space, tmp_path, "def test_does_nothing(): pass")
