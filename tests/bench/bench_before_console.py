"""The console against the build before: its first screen, and what it costs at rest.

At rest both run at once on the same table, so that whatever else goes on meets both alike: alone
on the node, and with three other labs beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench import before
from tests.bench.bench_before import table
from tests.bench.bench_ct_list import SIZES
from tests.bench.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTS: Final = {"full": 15, "small": 2}
WARM: Final = {"full": 12.0, "small": 6.0}
"""Seconds in which a table comes to rest: it is read three times."""
MEASURED: Final = {"full": 60.0, "small": 10.0}
"""Seconds, in which also what is asked seldom comes round."""
LABS: Final = 3

SCREEN_GOAL: Final = 1.05
IDLE_GOAL: Final = 0.6
ALIKE_GOAL: Final = 1.5
"""By how much other labs may make it dearer; the programs and processes are there to be seen."""


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; none without a build before. See tests/bench/__main__.py."""
    base = before.base()
    if base is None:
        return []
    builds = {"old": base, "new": before.HERE}
    with table(size) as root:
        rows = [_first_screen(root, builds, size)]
        alone = _idle(root, builds, size)
        with _labs(LABS):
            beside = _idle(root, builds, size)
    for view, share in alone.items():
        what = f"idle {view} of {SIZES[size][1]:,} entries"
        for where, told in (("", share), (f", {LABS} other labs", beside[view])):
            rows.append(
                before.row(
                    what + where, told["new"] * 100, told["old"] * 100, goal=IDLE_GOAL, unit="%"
                )
            )
        rows.append(_alike(what, share["new"], beside[view]["new"]))
    return rows


def _alike(what: str, alone: float, beside: float) -> dict[str, Any]:
    return {
        "name": f"{what}, with labs over without",
        "value": beside * 100,
        "unit": "%",
        "peer": "without other labs",
        "peer_value": alone * 100,
        "ratio": beside / alone,
        "goal": f"<= {ALIKE_GOAL:g}",
        "ok": beside <= ALIKE_GOAL * alone,
    }


def _first_screen(root: Path, builds: dict[str, Path], size: str) -> dict[str, Any]:
    """CPU from the start of the process until the entries of the table are on the screen."""
    least = dict.fromkeys(builds, float("inf"))
    for turn in range(STARTS[size] + 1):
        for name, build in builds.items():
            with (
                tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as state,
                Terminal(root, Path(state), build).open() as terminal,
            ):
                terminal.wait_for(f"{SIZES[size][1]:,}".encode())
                spent = terminal.cpu()
            # The first start compiles bytecode.
            if turn:
                least[name] = min(least[name], spent)
    return before.row("first screen, CPU", least["new"], least["old"], goal=SCREEN_GOAL)


def _idle(root: Path, builds: dict[str, Path], size: str) -> dict[str, dict[str, float]]:
    """Shares of a core by view and build."""
    shares: dict[str, dict[str, float]] = {}
    shown = f"{SIZES[size][1]:,}"
    with ExitStack() as stack:
        terminals = {}
        for name, build in builds.items():
            state = stack.enter_context(tempfile.TemporaryDirectory(prefix="ctconsole-bench-"))
            terminals[name] = stack.enter_context(Terminal(root, Path(state), build).open())
        for view, key, text in (("overview", b"", shown), ("table", b"2", f"{shown} entries")):
            for terminal in terminals.values():
                if key:
                    terminal.press(key)
                terminal.wait_for(text.encode())
            time.sleep(WARM[size])
            spent, started = _spent(terminals), time.monotonic()
            time.sleep(MEASURED[size])
            after, seconds = _spent(terminals), time.monotonic() - started
            shares[view] = {name: (after[name] - spent[name]) / seconds for name in terminals}
    return shares


def _spent(terminals: dict[str, Terminal]) -> dict[str, float]:
    return {name: terminal.cpu() for name, terminal in terminals.items()}


@contextmanager
def _labs(count: int) -> Iterator[None]:
    """So many labs with an agent each, in a run directory of their own."""
    with tempfile.TemporaryDirectory(prefix="ctconsole-bench-") as folder, ExitStack() as stack:
        given = {**os.environ, "CTCONSOLE_RUN_DIR": folder}
        for one in range(count):
            name = f"b{os.getpid()}-{one}"
            # Also of a lab that was broken off on its way up.
            stack.callback(_lab, "down", name, given, check=False)
            _lab("up", name, given)
        yield


def _lab(verb: str, name: str, given: dict[str, str], *, check: bool = True) -> None:
    command = [sys.executable, "-m", "ctconsole", "lab", verb, name]
    subprocess.run(command, env=given, check=check, stdout=subprocess.DEVNULL)
