"""The console as a person has it: a real process in a real terminal on real maps."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.fakes import random_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ctconsole.kernel.gate import Gate

pytestmark = pytest.mark.privileged

ROWS = 3000
PATIENCE = 60.0


class Terminal:
    """A tmux server of its own with one pane of 100 x 30."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self.socket), "-f", "/dev/null", *words]
        # A size in the environment would outdo the terminal's own.
        ours = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES", "TMUX"}}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=20, env=ours
        )
        return done.stdout

    def start(self, *command: str) -> None:
        keep = f"{' '.join(command)}; echo exit code $?; exec sleep 600"
        self.tmux("new-session", "-d", "-x", "100", "-y", "30", keep)

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def child(self) -> int:
        """The process id of what `start` started."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        pid: int = psutil.Process(int(shell)).children()[0].pid
        return pid

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def styled(self, words: str) -> str:
        """The line with these words, its colours included."""
        lines = self.tmux("capture-pane", "-p", "-e").splitlines()
        return next((line for line in lines if words in line), "")

    def until(self, condition: Callable[[str], object]) -> str:
        end = time.monotonic() + PATIENCE
        while not condition(shown := self.screen()):
            assert time.monotonic() < end, f"the screen never got there:\n{shown}"
            time.sleep(0.05)
        return shown

    def until_shown(self, *words: str) -> None:
        """Wait for each of these words, wherever their lines wrap."""
        self.until(lambda text: all(each in unwrapped(text) for each in words))

    def press_away(self, words: str, *keys: str) -> None:
        """Take words that are on the screen, wherever they wrap, from it by these keys."""
        assert words in unwrapped(self.screen()), f"{words!r} was not on the screen"
        self.press(*keys)
        self.until(lambda text: words not in unwrapped(text))


def unwrapped(text: str) -> str:
    """The screen as one line, without the frames of dialogues."""
    return " ".join(re.sub("[│┃▏▕▊▎█]", " ", text).split())


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path / "tmux")
    yield opened
    opened.tmux("kill-server")


@pytest.fixture
def ct_map(gate: Gate, bpffs: Path) -> Path:
    """A pinned CT map with `ROWS` entries."""
    path = bpffs / GLOBALS / "cilium_ct4_global"
    path.parent.mkdir(parents=True)
    with mapwrite.create(gate, MapSpec(path.name, MapType.LRU_HASH, 14, 56, 65536)) as made:
        pins.pin(gate, made, path)
        table = random_table(made.info, ROWS)
        values = table.values.copy()
        values["lifetime"] = ktime() + 3600
        raw_keys = np.ascontiguousarray(table.keys).view(np.uint8).reshape(ROWS, 14)
        mapwrite.update_batch(gate, made, raw_keys, values.view(np.uint8).reshape(ROWS, 56), 0)
    return path


def test_a_map_is_watched_and_recreated_from_the_keyboard(
    terminal: Terminal, ct_map: Path, bpffs: Path, tmp_path: Path
) -> None:
    with BpfMap.open(ct_map) as live:
        before = live.info
    terminal.start(
        *(sys.executable, "-m", "ctconsole", "console", "--bpf-root", str(bpffs)),
        *("--state-dir", str(tmp_path / "state"), "--interval", "0.3"),
    )
    shown = terminal.until(lambda text: "3,000" in text)
    line = next(x for x in shown.splitlines() if x.strip().startswith("cilium_ct4_global"))
    for words in ("3,000", "65,536", "5%"):
        assert words in line

    terminal.press("Enter")
    shown = terminal.until(lambda text: "established" in text and "TCP" in text)
    assert "10.244." in shown
    terminal.press("End")
    terminal.until(lambda text: "3,000 entries" in text)

    terminal.press("1")
    terminal.until(lambda text: "MEMORY" in text)
    terminal.press("r")
    terminal.until_shown("3,000 entries", "Type the name")
    # Keys that come before the focus has moved would go into the field above.
    unfocused = terminal.styled("Type the name")
    terminal.press("Tab")
    terminal.until(lambda _: terminal.styled("Type the name") != unfocused)
    terminal.press("wrong_name", "Enter")
    terminal.until_shown("wrong_name")
    with BpfMap.open(ct_map) as live:
        assert live.info.id == before.id

    terminal.press_away("wrong_name", *["BSpace"] * len("wrong_name"))
    terminal.press("cilium_ct4_global")
    terminal.until(
        lambda text: "cilium_ct4_global" in text.split("Type the name")[-1].splitlines()[0]
    )
    terminal.press("Enter")
    terminal.until_shown("3,000 entries lost")
    with BpfMap.open(ct_map) as live:
        assert live.info.id != before.id
        assert live.info.max_entries == 131072
        assert live.count() == 0

    terminal.press_away("3,000 entries lost", "Escape")
    terminal.press("4")
    terminal.until(lambda text: "map-recreated" in text)
    terminal.press("q")
    terminal.until(lambda text: "exit code 0" in text)


def test_read_only_makes_no_gate_and_sigterm_gives_the_terminal_back(
    terminal: Terminal, ct_map: Path, bpffs: Path, tmp_path: Path
) -> None:
    terminal.start(
        *(sys.executable, "-m", "ctconsole", "console", "--read-only"),
        *("--bpf-root", str(bpffs), "--state-dir", str(tmp_path / "state"), "--interval", "0.3"),
    )
    terminal.until(lambda text: "READ-ONLY" in text and ct_map.name in text)
    terminal.press("r")
    terminal.until_shown("read-only: drop --read-only")
    os.kill(terminal.child(), signal.SIGTERM)
    terminal.until(lambda text: "exit code 143" in text)


def press_until(terminal: Terminal, key: str, word: str) -> None:
    """Press until it has worked: what is typed while the terminal is set up again is lost."""

    def there(text: str) -> bool:
        if word not in text:
            terminal.press(key)
        return word in text

    terminal.until(there)


def test_a_console_that_was_stopped_from_outside_can_still_be_left(
    terminal: Terminal, ct_map: Path, bpffs: Path, tmp_path: Path
) -> None:
    terminal.start(
        *(sys.executable, "-m", "ctconsole", "console"),
        *("--bpf-root", str(bpffs), "--state-dir", str(tmp_path / "state"), "--interval", "0.3"),
    )
    terminal.until(lambda text: ct_map.name in text)
    process = psutil.Process(terminal.child())
    before = process.num_threads()
    for key, word in (("2", "PROTO"), ("1", "MEMORY")) * 3:
        process.suspend()
        terminal.until(lambda _: process.status() == psutil.STATUS_STOPPED)
        process.resume()
        terminal.until(lambda _: process.status() != psutil.STATUS_STOPPED)
        press_until(terminal, key, word)
    assert process.num_threads() <= before + 2
    press_until(terminal, "q", "exit code 0")


def test_a_closed_terminal_ends_the_console(
    terminal: Terminal, ct_map: Path, bpffs: Path, tmp_path: Path
) -> None:
    terminal.start(
        *(sys.executable, "-m", "ctconsole", "console"),
        *("--bpf-root", str(bpffs), "--state-dir", str(tmp_path / "state"), "--interval", "0.3"),
    )
    terminal.until(lambda text: ct_map.name in text)
    child = terminal.child()
    terminal.tmux("kill-server")
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < end, "the console outlives its terminal"
        time.sleep(0.05)


def test_a_missing_bpffs_is_said_on_the_screen(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start(
        *(sys.executable, "-m", "ctconsole", "console", "--bpf-root", str(tmp_path / "none")),
        *("--state-dir", str(tmp_path / "state")),
    )
    terminal.until_shown("No such file or directory")


def test_without_a_terminal_it_says_so() -> None:
    command = [sys.executable, "-m", "ctconsole", "console"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert not done.stdout
