"""Verbs that write, on maps of ours and on maps of somebody else's agent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import ReadOnlyError, UsageError
from ctconsole.history import History
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.model.event import EventKind
from ctconsole.node import acts, flushing
from ctconsole.node.owner import is_foreign
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.foreign import foreign_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from ctconsole.kernel.gate import Gate
    from ctconsole.node.flush_plan import FlushPlan, FlushProgress, FlushReport


def ctconsole(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments], standalone_mode=False)


@pytest.fixture
def path(gate: Gate, bpffs: Path) -> Path:
    """Two living and five dead entries."""
    path = bpffs / GLOBALS / "cilium_ct4_global"
    pins.make_folder(gate, path.parent)
    with open_or_create_map(gate, path, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(2, lifetime=ktime() + 100))
        mapwrite.update_batch(gate, live, *ct4_rows(5, lifetime=1, first=100))
    return path


def entries(path: Path) -> int:
    with BpfMap.open(path) as live:
        return live.count()


def test_without_yes_only_the_plan_is_printed(path: Path, bpffs: Path) -> None:
    done = ctconsole("ct", "flush", "--bpf-root", bpffs)
    assert done.return_value == 1
    assert "7 of 7 entries" in done.stdout
    assert "dead        5: its lifetime is over" in done.stdout
    assert "Give --yes" in done.stderr
    assert entries(path) == 7


def test_delete_by_filter_is_journaled(path: Path, bpffs: Path, tmp_path: Path) -> None:
    done = ctconsole(
        *("ct", "delete", "--filter", "state:dead", "--yes", "--json"),
        *("--bpf-root", bpffs, "--state-dir", tmp_path),
    )
    assert done.return_value == 0
    [report] = json.loads(done.stdout)
    assert (report["deleted"], report["kept"]) == (5, 0)
    assert entries(path) == 2
    with History(tmp_path / "history.db") as history:
        [(_, event)] = history.read()
    assert (event.kind, event.fields["filter"]) == (EventKind.ENTRIES_DELETED, "state:dead")


def test_delete_by_key(path: Path, bpffs: Path, tmp_path: Path) -> None:
    key = ct4_rows(1, lifetime=0)[0][0].tobytes().hex()
    options = ("--bpf-root", bpffs, "--state-dir", tmp_path, "--key", key, "--yes")
    assert ctconsole("ct", "delete", "cilium_ct4_global", *options).return_value == 0
    assert entries(path) == 6
    gone = ctconsole("ct", "delete", "cilium_ct4_global", *options)
    assert isinstance(gone.exception, UsageError)


@pytest.mark.parametrize(
    "arguments",
    [
        ("ct", "flush"),
        ("ct", "delete", "--filter", "proto:tcp"),
        ("map", "recreate", "cilium_ct4_global", "--entries", "8192"),
    ],
)
def test_read_only_closes_the_gate(path: Path, bpffs: Path, arguments: tuple[str, ...]) -> None:
    done = ctconsole(*arguments, "--yes", "--read-only", "--bpf-root", bpffs)
    assert isinstance(done.exception, ReadOnlyError)
    assert entries(path) == 7


def test_maps_of_another_agent_need_allow_writes(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        assert is_foreign(bpffs)
        options = ("--yes", "--bpf-root", bpffs, "--state-dir", tmp_path / "state")
        refused = ctconsole("ct", "flush", *options)
        assert isinstance(refused.exception, ReadOnlyError)
        assert "--allow-writes" in str(refused.exception)
        assert ctconsole("ct", "flush", *options, "--allow-writes").return_value == 0


def test_private_maps_without_an_agent_are_ours(path: Path, bpffs: Path) -> None:
    assert path.exists()
    assert not is_foreign(bpffs)


def test_listing_and_statistics_take_a_filter(path: Path, bpffs: Path) -> None:
    listed = ctconsole("ct", "list", "-o", "json", "--filter", "alive", "--bpf-root", bpffs)
    assert len(json.loads(listed.stdout)) == entries(path) - 5
    told = ctconsole("ct", "stats", "--json", "--bpf-root", bpffs)
    [stats] = json.loads(told.stdout)
    assert (stats["entries"], stats["alive"], stats["expired"]) == (7, 2, 5)
    some = ctconsole("ct", "stats", "--json", "--filter", "dead", "--bpf-root", bpffs)
    assert json.loads(some.stdout)[0]["entries"] == 5


def test_every_map_is_flushed_and_told_where_nothing_can_be_recorded(
    gate: Gate, path: Path, bpffs: Path, tmp_path: Path
) -> None:
    other = path.with_name("cilium_ct_any4_global")
    with open_or_create_map(gate, other, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=1))
    no_folder = tmp_path / "state"
    no_folder.write_text("a file where the folder should be")
    done = ctconsole("ct", "flush", "--yes", "--bpf-root", bpffs, "--state-dir", no_folder)
    assert done.return_value == 0
    assert entries(path) == entries(other) == 0
    assert "7 entries deleted" in done.stdout
    assert "3 entries deleted" in done.stdout
    assert "not in the history" in done.stderr


def test_a_map_that_cannot_be_flushed_keeps_no_other_from_it(
    gate: Gate, path: Path, bpffs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = path.with_name("cilium_ct_any4_global")
    with open_or_create_map(gate, other, CT4).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=1))
    really = flushing.flush

    def flush(gate: Gate, plan: FlushPlan, *more: Callable[..., Any]) -> FlushReport:
        if plan.path == path:
            raise UsageError(f"{path} is another map now")
        return really(gate, plan, *more)

    monkeypatch.setattr(acts, "flush", flush)
    options = ("--yes", "--bpf-root", bpffs, "--state-dir", tmp_path / "state")
    done = ctconsole("ct", "flush", *options)
    assert done.return_value == UsageError.exit_code
    assert "is another map now" in done.stderr
    assert "3 entries deleted" in done.stdout
    assert (entries(path), entries(other)) == (7, 0)


def test_ctrl_c_ends_it_where_it_is_and_begins_no_other_map(
    gate: Gate, bpffs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [bpffs / GLOBALS / name for name in ("cilium_ct4_global", "cilium_ct_any4_global")]
    pins.make_folder(gate, paths[0].parent)
    for path in paths:
        with open_or_create_map(gate, path, CT4).map as live:
            mapwrite.update_batch(gate, live, *ct4_rows(300, lifetime=ktime() + 100))
    really = flushing.flush

    def flush(
        gate: Gate,
        plan: FlushPlan,
        tell: Callable[[FlushProgress], None],
        is_cancelled: Callable[[], bool],
    ) -> FlushReport:
        def interrupted(progress: FlushProgress) -> None:
            tell(progress)
            signal.raise_signal(signal.SIGINT)

        return really(gate, plan, interrupted, is_cancelled)

    monkeypatch.setattr(acts, "flush", flush)
    options = ("--yes", "--json", "--bpf-root", bpffs, "--state-dir", tmp_path)
    done = ctconsole("ct", "flush", *options)
    assert done.return_value == 128 + signal.SIGINT
    [report] = json.loads(done.stdout)
    assert (report["ok"], report["deleted"], report["left"]) == (False, 64, 236)
    assert "64 of 300 entries deleted; the other 236 stay: it was cancelled" in done.stderr
    assert "cilium_ct_any4_global was not begun: it was cancelled" in done.stderr
    assert [entries(path) for path in paths] == [236, 300]


def test_a_long_one_shows_how_far_it_is_on_a_terminal(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    many = 400_000
    path = bpffs / GLOBALS / CT4.name
    pins.make_folder(gate, path.parent)
    with open_or_create_map(gate, path, replace(CT4, max_entries=1 << 20)).map as live:
        mapwrite.update_batch(gate, live, *ct4_rows(many, lifetime=ktime() + 1000))
    ours, its = os.openpty()
    options = ("--yes", "--bpf-root", str(bpffs), "--state-dir", str(tmp_path))
    command = [sys.executable, "-m", "ctconsole", "ct", "flush", *options]
    shown = b""
    with (
        os.fdopen(ours, "rb", buffering=0) as screen,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its) as process,
    ):
        os.close(its)
        while b"400,000 entries done" not in shown:
            shown += screen.read(4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # EIO: the other end is closed
            while more := screen.read(4096):
                shown += more
        assert process.wait() == 128 + signal.SIGINT
    lines = shown.decode().split("\r")
    said = re.search(r"([\d,]+) of 400,000 entries deleted; the other ([\d,]+) stay", lines[-2])
    assert said, shown
    deleted, left = (int(number.replace(",", "")) for number in said.groups())
    assert deleted + left == many
    assert entries(path) == left
