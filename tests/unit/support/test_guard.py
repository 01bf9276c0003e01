"""The guard that all tests stand on, seen from outside: small suites under a parent of our own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.foreign import until

REPOSITORY = Path(__file__).parents[3]

IGNORING = "import os, signal, sys; {}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def suite_argv(folder: Path, body: str, *options: str, ignored: str = "") -> list[str]:
    """What runs a suite of one file under the guard, with these signals ignored."""
    file = folder / "test_inner.py"
    file.write_text(dedent(body))
    ini = folder / "pytest.ini"
    ini.write_text("[pytest]\n")
    started = IGNORING.format(f"[signal.signal(n, signal.SIG_IGN) for n in ({ignored})]")
    plugins = [
        f"-p{name}" for name in ("pytest_timeout", "tests.support.guard", "no:cacheprovider")
    ]
    pytest_argv = ["-m", "pytest", *plugins, "-q", "-c", str(ini)]
    return [sys.executable, "-c", started, *pytest_argv, *options, str(file)]


ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(REPOSITORY),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the others take long to import
}


def run_suite(folder: Path, body: str, *options: str, ignored: str = "") -> str:
    """Run a suite to its end; what pytest prints."""
    done = subprocess.run(
        suite_argv(folder, body, *options, ignored=ignored),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=REPOSITORY,
        env=ENVIRONMENT,
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


def test_a_test_that_leaves_signals_blocked_fails_and_the_next_ones_children_end(
    tmp_path: Path,
) -> None:
    said = run_suite(
        tmp_path,
        """
        import signal, subprocess

        def test_blocks():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

        def test_ends():
            with subprocess.Popen(["sleep", "50"]) as child:
                child.terminate()
                assert child.wait(5) == -signal.SIGTERM
        """,
    )
    assert "The test leaves signals blocked: SIGINT, SIGTERM" in said
    assert "2 passed, 1 error" in said


def test_a_failing_test_shows_what_its_commands_said(tmp_path: Path) -> None:
    said = run_suite(
        tmp_path,
        """
        import subprocess

        def test_fails():
            done = subprocess.run(["sh", "-c", "echo why >&2; exit $(( 3 + 4 ))"],
                                  capture_output=True)
            assert done.returncode == 0
        """,
    )
    assert "exit code 7 of sh -c" in said
    assert "\nwhy\n" in said


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
    assert not runs(number)


BUILDING = """
    import subprocess, pathlib
    import pytest

    folder = pathlib.Path(__file__).parent

    @pytest.fixture(scope="session")
    def made():
        (folder / "made").touch()
        yield
        (folder / "made").rename(folder / "taken down")

    def test_builds(made):
        child = subprocess.Popen(["sleep", "503"])
        (folder / "pid").write_text(str(child.pid))
        child.wait()
"""
"""A test that has made something and waits for a child."""

IN_PARALLEL = ("-pxdist", "-n1")


@pytest.mark.parametrize("options", [(), IN_PARALLEL], ids=["alone", "in parallel"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_takes_down_what_it_made(
    tmp_path: Path, number: int, options: tuple[str, ...]
) -> None:
    end_one_that_builds(tmp_path, number, options)


@pytest.mark.parametrize("ignored", ["", "1, 2, 3,"], ids=["as usual", "under nohup"])
def test_a_worker_whose_controller_was_killed_takes_down_what_it_made(
    tmp_path: Path, ignored: str
) -> None:
    end_one_that_builds(tmp_path, signal.SIGKILL, IN_PARALLEL, ignored)


def end_one_that_builds(
    folder: Path, number: int, options: tuple[str, ...], ignored: str = ""
) -> None:
    """Send a signal to a suite in its middle; nothing of what it made is left."""
    argv = suite_argv(folder, BUILDING, *options, ignored=ignored)
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(argv, stdout=said, stderr=said, cwd=REPOSITORY, env=ENVIRONMENT) as suite,
    ):
        assert until((folder / "pid").exists)
        assert until(lambda: bool((folder / "pid").read_text()))
        suite.send_signal(number)
        suite.wait(30)
    assert until((folder / "taken down").exists), (folder / "said").read_text()
    child = int((folder / "pid").read_text())
    assert until(lambda: not runs(child))


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
