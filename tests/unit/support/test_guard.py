"""The guard that all tests stand on, seen from outside: small suites under a parent of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

REPOSITORY = Path(__file__).parents[3]

IGNORING = "import os, signal, sys; {}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def run_suite(folder: Path, body: str, *options: str, ignored: str = "") -> str:
    """Run a suite of one file under the guard; what pytest prints."""
    file = folder / "test_inner.py"
    file.write_text(dedent(body))
    ini = folder / "pytest.ini"
    ini.write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    started = IGNORING.format(f"[signal.signal(n, signal.SIG_IGN) for n in ({ignored})]")
    pytest_argv = ["-m", "pytest", "-p", "tests.support.guard", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [sys.executable, "-c", started, *pytest_argv, "-c", str(ini), *options, str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    return done.stdout + done.stderr


def test_children_of_a_suite_under_nohup_end_by_the_usual_signals(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import os, signal, subprocess
        import pytest

        @pytest.mark.parametrize("number", [1, 2, 3, 15])
        def test_one(number):
            with subprocess.Popen(["sleep", "50"]) as child:
                child.send_signal(number)
                assert child.wait(5) == -number
            os.kill(os.getpid(), number)  # what it was told to ignore, it ignores
        """,
        ignored="1, 2, 3, 15,",
    )
    assert "4 passed" in said


def test_a_failing_test_does_not_wait_for_what_it_began(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import subprocess

        def test_fails():
            with subprocess.Popen(["sleep", "500"]):
                assert 1 == 2
        """,
    )
    assert "assert 1 == 2" in said
    assert "1 failed" in said


def test_a_test_that_waits_without_a_limit_comes_back_after_its_time(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import subprocess
        import tests.support.guard as guard

        guard.AFTER_TIMEOUT = 0.5

        def test_hangs():
            child = subprocess.Popen(["sleep", "500"])
            try:
                child.wait()
            finally:
                child.wait()
        """,
        "--override-ini=timeout=1",
    )
    assert "Timeout" in said
    assert "1 failed" in said


def test_what_a_test_leaves_running_is_ended_and_told(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import subprocess

        def test_leaves():
            subprocess.Popen(["sleep", "501"])
        """,
    )
    assert "1 passed, 1 error" in said
    assert "leaves running: sleep 501" in said


def test_what_outlives_a_module_is_ended_and_told(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import subprocess
        import tests.support.guard as guard

        guard.GRACE = 0.2

        def test_leaves():
            subprocess.run(["setsid", "--fork", "sh", "-c", "echo $$ >pid; exec sleep 502"],
                           stdout=subprocess.DEVNULL, cwd=__file__.rpartition("/")[0])
        """,
    )
    assert "1 passed, 1 error" in said
    assert "sleep 502" in said
    number = int((tmp_path / "pid").read_text())
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return
    # Whoever adopted it has not reaped it yet.
    assert " Z " in Path(f"/proc/{number}/stat").read_text()
