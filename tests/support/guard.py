"""What every test stands on: children with default signals, and no process outlives its tests.

A plugin of pytest (`tests/conftest.py` names it). What a test begins with `subprocess.Popen` and
leaves running is ended and fails the test. Agents, servers and terminals are nobody's children;
they inherit a mark in their environment, and those alive after the last test of their module are
ended and fail it. Nobody waits for ever: a ``with Popen`` that an error leaves kills its process
first, and so does a clock where a test has hung beyond its time.

Nothing that a test attaches stays at the machine's own interfaces: what is found there after it
and was not there before fails it.

A test that fails shows how the commands ended that it ran, and what they said on stderr, which
`subprocess.run` takes from the terminal.

SIGTERM and SIGHUP end a run as Ctrl-C does, so that fixtures take down the namespaces and mounts
that they made; also in the workers of a run in parallel, and in those whose controller was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import FrameType, TracebackType

MARK = "CTCONSOLE_TEST_RUN"
"""Set in the environment of everything that the tests of this process begin."""

GRACE = 10.0
"""Seconds that a module's processes have to end by themselves, on a machine under load."""

AFTER_TIMEOUT = 10.0
"""Seconds between a test's time limit and the end of the processes it still waits for."""

ONCE_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""What ``nohup``, a shell's ``&`` and CI runners have their children ignore."""

_begun: list[subprocess.Popen[Any]] = []
"""What the running test's own body has begun."""

_said: list[tuple[subprocess.Popen[Any], object]] = []
"""What each command that it waited for said on stderr, None where that was not taken."""

MOST_SAID = 4000
"""Characters that are shown of it."""

_calling = False

_hooked: frozenset[tuple[str, int]] = frozenset()
"""What was attached to the machine's own interfaces before the running test."""

_ending = False
"""Whether this run is being interrupted; once is enough."""

ENDING = (signal.SIGHUP, signal.SIGTERM)
"""What ends a run in good order beside Ctrl-C."""


def default_signals() -> None:
    """Have children start with default signals; this process goes on ignoring what it did.

    An ignored signal stays ignored over execve(2), one with a handler becomes a default one.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ONCE_IGNORED)
    for number in ONCE_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)


def unblocked() -> list[str]:
    """Let through what ends a process again; the names of what was not."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, ONCE_IGNORED)
    return sorted(signal.Signals(number).name for number in before & set(ONCE_IGNORED))


def _nothing(number: int, frame: FrameType | None) -> None:
    del number, frame


def end_in_good_order(config: pytest.Config) -> None:
    """Have what asks this run to end unwind its fixtures first; what it ignores it goes on with."""
    here, above = os.getpid(), os.getppid()
    is_worker = hasattr(config, "workerinput")
    has_workers = not is_worker and config.getoption("dist", "no") != "no"

    def interrupt(number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != here:  # a test's fork, which has no fixtures
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if _ending:
            return
        pytest_keyboard_interrupt()
        for worker in psutil.Process().children() if has_workers else ():
            worker.terminate()
        raise KeyboardInterrupt

    def interrupt_an_orphan(number: int, frame: FrameType | None) -> None:
        # execnet sends it to a worker whose controller is gone.
        if os.getppid() != above:
            interrupt(number, frame)

    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, interrupt)
    if is_worker and signal.getsignal(signal.SIGINT) is _nothing:
        signal.signal(signal.SIGINT, interrupt_an_orphan)


def end_tree(pid: int) -> None:
    """Kill a process and all below it."""
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in (top, *top.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def marked() -> dict[int, str]:
    """The living processes that bear this run's mark, and what each is; never this one."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                argv = (
                    (folder / "cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode("utf-8", "replace")
                )
                found[int(folder.name)] = argv.strip()
    found.pop(os.getpid(), None)
    # Python's own helper lives as long as the process that once spawned a worker.
    return {pid: argv for pid, argv in found.items() if "resource_tracker" not in argv}


def own_hooks() -> frozenset[tuple[str, int]]:
    """Where on the machine's own interfaces which program is; empty for who may not look."""
    from ctconsole.errors import CtconsoleError
    from ctconsole.kernel.hooks import Asker
    from ctconsole.kernel.interfaces import on_interfaces
    from ctconsole.kernel.programs import ProgramType

    try:
        found = on_interfaces("", Asker({ProgramType.SCHED_CLS, ProgramType.XDP}))
        return frozenset((one.where, one.prog_id) for one in found)
    except CtconsoleError:
        return frozenset()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    global _hooked  # noqa: PLW0603 - one test runs at a time
    _hooked = own_hooks()


def pytest_configure(config: pytest.Config) -> None:
    default_signals()
    end_in_good_order(config)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setenv(MARK, f"{os.getpid()}-{time.monotonic_ns()}")
    begin, leave = subprocess.Popen.__init__, subprocess.Popen.__exit__
    talk = subprocess.Popen.communicate

    def begin_and_note(self: subprocess.Popen[Any], *args: Any, **given: Any) -> None:  # noqa: ANN401 - Popen's own
        begin(self, *args, **given)
        if _calling:
            _begun.append(self)

    def end_and_leave(
        self: subprocess.Popen[Any],
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and self.poll() is None:
            end_tree(self.pid)
        leave(self, kind, error, trace)

    def talk_and_note(self: subprocess.Popen[Any], *args: Any, **given: Any) -> tuple[Any, Any]:  # noqa: ANN401 - Popen's own
        heard = talk(self, *args, **given)
        if _calling:
            _said.append((self, heard[1]))
        return heard

    patch.setattr(subprocess.Popen, "communicate", talk_and_note)
    patch.setattr(subprocess.Popen, "__init__", begin_and_note)
    patch.setattr(subprocess.Popen, "__exit__", end_and_leave)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    global _calling  # noqa: PLW0603 - one test runs at a time
    clock = threading.Timer(_seconds(item) + AFTER_TIMEOUT, lambda: _end(_begun))
    clock.daemon = True
    clock.start()
    _calling = True
    try:
        return (yield)
    except KeyboardInterrupt:
        # Before the fixtures take down what it may be building.
        _end(_begun)
        raise
    finally:
        _calling = False
        clock.cancel()
        clock.join()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.when == "call":
        report.sections += [_ended(process, said) for process, said in _said]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    try:
        yield
    finally:
        left = [_words(process) for process in _end(_begun)]
        _begun.clear()
        _said.clear()
    if left:
        pytest.fail(f"The test leaves running: {'; '.join(left)}", pytrace=False)
    if blocked := unblocked():
        # Its children would inherit that, and neither Ctrl-C nor SIGTERM would end them.
        pytest.fail(f"The test leaves signals blocked: {', '.join(blocked)}", pytrace=False)
    if stayed := own_hooks() - _hooked:
        told = ", ".join(f"program {number} at {where}" for where, number in sorted(stayed))
        pytest.fail(f"The test leaves at the machine's own interfaces: {told}", pytrace=False)
    if nextitem is None or nextitem.path != item.path:
        outlived = _end_marked()
        if outlived:
            pytest.fail(f"Outlive the tests of {item.path.name}: {outlived}", pytrace=False)


def pytest_keyboard_interrupt() -> None:
    """From now on the fixtures take down what they made, undisturbed."""
    global _ending  # noqa: PLW0603 - one run in each process
    _ending = True


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what an interrupted run leaves; what a whole one left has been told."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        for pid in marked():
            end_tree(pid)


def _seconds(item: pytest.Item) -> float:
    """The time limit that pytest-timeout holds the test to."""
    own = item.get_closest_marker("timeout")
    return float(own.args[0] if own and own.args else item.config.getini("timeout") or 300)


def _ended(process: subprocess.Popen[Any], said: object) -> tuple[str, str]:
    """A command's title and text in the report of a failed test."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")
    return f"exit code {process.returncode} of {_words(process)}", text[-MOST_SAID:]


def _words(process: subprocess.Popen[Any]) -> str:
    argv: Any = process.args
    return argv if isinstance(argv, str) else " ".join(map(str, argv))


def _end(begun: Iterable[subprocess.Popen[Any]]) -> list[subprocess.Popen[Any]]:
    """Kill those that still run, and return them."""
    running = [process for process in tuple(begun) if process.poll() is None]
    for process in running:
        end_tree(process.pid)
        process.wait()
    return running


def _end_marked() -> dict[int, str]:
    """Wait for what the module's tests began; kill and return what does not end by itself."""
    end = time.monotonic() + GRACE
    while (left := marked()) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in left:
        end_tree(pid)
    return left
