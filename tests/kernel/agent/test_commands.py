"""The verbs ``map``, ``events`` and ``agent`` on real maps and a real agent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.cli import agent
from ctconsole.cli.map import verbs as maps
from ctconsole.cli.node import events
from ctconsole.errors import AgentError, CtconsoleError, ReadOnlyError, UsageError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.restart import RestartPlan
from ctconsole.manager.running import ENOUGH, HookRuns, Running
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import ct4_rows
from tests.support.terminals import typed_to

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from ctconsole.agent.control import AgentSettings
    from ctconsole.kernel.gate import Gate


def run(command: click.Command, *words: str) -> Result:
    return CliRunner().invoke(command, list(words), standalone_mode=False, catch_exceptions=False)


def as_json(command: click.Command, *words: str) -> Any:  # noqa: ANN401 - whatever was printed
    return json.loads(run(command, *words, "--json").stdout)


@pytest.fixture
def root(settings: AgentSettings, gate: Gate) -> str:
    """The bpffs of a running agent with 50 conntrack entries."""
    control.start(settings)
    with BpfMap.open(settings.bpf_root / GLOBALS / "cilium_ct4_global") as live:
        mapwrite.update_batch(gate, live, *ct4_rows(50, lifetime=ktime() + 100))
    return str(settings.bpf_root)


def test_list_shows_exact_fill_and_the_articles_groups(root: str) -> None:
    found = {row["name"]: row for row in as_json(maps.command, "list", "--bpf-root", root)}
    ct4 = found["cilium_ct4_global"]
    assert (ct4["entries"], ct4["max_entries"], ct4["fill"]) == (50, 2048, round(50 / 2048, 6))
    assert ct4["entries_exact"]
    assert ct4["group"] == "connection tracking"
    lines = run(maps.command, "list", "--bpf-root", root).stdout.splitlines()
    head = ["NAME", "TYPE", "ID", "ENTRIES", "MAX", "FILL", "MEMORY", "GROUP", "USE"]
    assert lines[0].split() == head
    assert any(line.split()[:2] == ["cilium_ct4_global", "LRU_HASH"] for line in lines)
    assert len(lines) == len(found) + 1


def test_show_finds_a_map_by_name_path_and_id(root: str) -> None:
    by_name = as_json(maps.command, "show", "cilium_ct4_global", "--bpf-root", root)
    for word in (by_name["path"], str(by_name["id"])):
        assert as_json(maps.command, "show", word, "--bpf-root", root)["id"] == by_name["id"]
    assert (
        "entries        50"
        in run(maps.command, "show", "cilium_ct4_global", "--bpf-root", root).stdout
    )
    with pytest.raises(UsageError, match="No map cilium_ct5_global"):
        run(maps.command, "show", "cilium_ct5_global", "--bpf-root", root)


def test_recreate_without_yes_prints_the_plan_and_changes_nothing(root: str) -> None:
    words = ("recreate", "cilium_ct4_global", "--entries", "4k", "--bpf-root", root)
    before = as_json(maps.command, "show", "cilium_ct4_global", "--bpf-root", root)
    planned = run(maps.command, *words)
    assert planned.return_value == 1
    assert "50 entries, 50 alive, 50 established" in planned.stdout
    assert "Nothing was changed" in planned.stderr
    plan = as_json(maps.command, *words)
    assert (plan["max_entries"], plan["new_max_entries"], plan["entries"]) == (2048, 4096, 50)
    after = as_json(maps.command, "show", "cilium_ct4_global", "--bpf-root", root)
    assert after["id"] == before["id"]


def test_recreate_with_yes_does_it_through_the_agent(root: str, settings: AgentSettings) -> None:
    words = ("recreate", "cilium_ct4_global", "--entries", "4k", "--bpf-root", root)
    report = as_json(maps.command, *words, "--yes", "--state-dir", str(settings.state_dir))
    assert report["ok"]
    assert report["lost"] == 50
    status = as_json(agent.command, "status", "--state-dir", str(settings.state_dir))
    assert status["maps"]["cilium_ct4_global"] == report["new_id"]
    assert status["config"]["bpf-ct-global-tcp-max"] == "4096"
    kinds = ("--kind", "map-recreated", "--state-dir", str(settings.state_dir))
    [line] = run(events.command, *kinds, "--json").stdout.splitlines()
    assert json.loads(line)["fields"]["lost"] == 50


def test_closed_gate_refuses_and_changes_nothing(root: str) -> None:
    words = ("cilium_ct4_global", "--entries", "4k", "--bpf-root", root, "--yes", "--read-only")
    with pytest.raises(ReadOnlyError):
        run(maps.command, "recreate", *words)
    found = as_json(maps.command, "show", "cilium_ct4_global", "--bpf-root", root)
    assert (found["max_entries"], found["entries"]) == (2048, 50)


def test_map_without_agent_is_recreated_and_remembered_all_the_same(
    root: str, settings: AgentSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    control.stop(settings)
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    words = ("cilium_ct4_global", "--entries", "4k", "--bpf-root", root, "--yes")
    assert as_json(maps.command, "recreate", *words)["lost"] == 50
    assert "Re-created BPF map" in run(events.command).stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("cilium_ct4_global", "--entries", "5"), "1024 to 16777216"),
        (("cilium_ct4_global", "--entries", "many"), "is not a size"),
        (("cilium_call_policy", "--entries", "16"), "cannot be re-created"),
    ],
)
def test_bad_recreate_is_one_clear_sentence(
    root: str, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(maps.command, "recreate", *words, "--bpf-root", root, "--yes")


def test_state_folder_without_agent_is_refused(root: str, settings: AgentSettings) -> None:
    control.stop(settings)
    words = ("cilium_ct4_global", "--entries", "4096", "--bpf-root", root, "--yes")
    with pytest.raises(AgentError, match="No agent runs"):
        run(maps.command, "recreate", *words, "--state-dir", str(settings.state_dir))


def test_events_are_shown_without_debug_unless_asked(root: str, settings: AgentSettings) -> None:
    del root
    control.restart(settings)
    where = ("--state-dir", str(settings.state_dir))
    assert "Opened BPF map" not in run(events.command, *where).stdout
    assert "Opened BPF map" in run(events.command, *where, "--all").stdout
    assert len(run(events.command, *where, "-n", "3").stdout.splitlines()) == 3
    with pytest.raises(UsageError, match="nonsense is no kind of event"):
        run(events.command, *where, "--kind", "nonsense")
    with pytest.raises(CtconsoleError, match="There is no history"):
        run(events.command, "--history", "/nowhere/history.db")


def test_agent_verbs_start_and_stop(settings: AgentSettings) -> None:
    where = ("--state-dir", str(settings.state_dir))
    assert run(agent.command, "status", *where).return_value == 1
    given = ("--bpf-root", str(settings.bpf_root), "--config-dir", str(settings.config_dir))
    assert run(agent.command, "start", *where, *given).stdout.startswith("ready, process ")
    # What is not given again is as it was.
    assert as_json(agent.command, "restart", *where)["bpf_root"] == str(settings.bpf_root)
    assert run(agent.command, "status", *where).return_value == 0
    assert "has stopped" in run(agent.command, "stop", *where).stderr
    with pytest.raises(UsageError, match="has no value"):
        run(agent.command, "start", *where, "--option", "tunnel")


def test_a_restart_that_would_recreate_maps_wants_yes(root: str, settings: AgentSettings) -> None:
    where = ("--state-dir", str(settings.state_dir))
    wish = (*where, "--option", "bpf-ct-global-tcp-max=4096")
    before = control.status(settings)
    done = run(agent.command, "restart", *wish)
    assert done.return_value == 1
    assert "cilium_ct4_global: 2,048 -> 4,096 entries; lost: 50 entries" in done.stdout
    assert "Give --yes" in done.stderr
    resize = "ctconsole map resize cilium_ct4_global 4096"
    assert f"{resize} carries the entries over: of cilium_ct4_global\n" in done.stdout
    told = as_json(agent.command, "restart", *wish)
    [one] = told["maps"]
    assert (one["path"], one["entries"]) == (f"{root}/{GLOBALS}/cilium_ct4_global", 50)
    assert told["lossless"] == [{"command": resize, "maps": ["cilium_ct4_global"]}]
    assert control.status(settings).pid == before.pid
    # What is not re-created needs no word more than before.
    same = run(agent.command, "restart", *where, "--option", "conntrack-gc-interval=9s")
    assert same.stdout.startswith("ready, process ")
    done = run(agent.command, "restart", *wish, "--yes")
    assert done.return_value == 0
    assert "50 entries were lost with the maps that were re-created" in done.stderr
    assert "0 of 50 entries are back by now" in done.stderr
    assert "lost" not in same.stderr
    assert control.status(settings).config["bpf-ct-global-tcp-max"] == "4096"


WISH = ("--option", "bpf-ct-global-tcp-max=4096")


def test_a_start_that_would_lose_entries_wants_yes(root: str, settings: AgentSettings) -> None:
    del root
    where = ("--state-dir", str(settings.state_dir))
    kept = StateDir(settings.state_dir).settings_file
    control.stop(settings)
    before = kept.read_text()
    done = run(agent.command, "start", *where, *WISH)
    assert done.return_value == 1
    assert done.stdout.startswith(f"Start the agent on {settings.state_dir}: one map is re-created")
    assert "cilium_ct4_global: 2,048 -> 4,096 entries; lost: 50 entries, 50 alive" in done.stdout
    # No program uses the map, so that it can be resized before there is an agent.
    resize = "ctconsole map resize cilium_ct4_global 4096"
    assert f"{resize} carries the entries over: of cilium_ct4_global\n" in done.stdout
    assert "Give --yes" in done.stderr
    told = as_json(agent.command, "start", *where, *WISH)
    assert (told["entries"], told["lossless"][0]["command"]) == (50, resize)
    assert sum(one["entries"] for one in told["verdicts"]) == 50
    assert not control.status(settings).running
    assert kept.read_text() == before
    done = run(agent.command, "start", *where, *WISH, "--yes")
    assert (done.return_value, done.stdout[:15]) == (0, "ready, process ")
    assert "50 entries were lost with the maps that were re-created" in done.stderr
    assert "0 of 50 entries are back by now" in done.stderr
    assert control.status(settings).config["bpf-ct-global-tcp-max"] == "4096"


def test_a_start_that_loses_no_entry_asks_nothing(root: str, settings: AgentSettings) -> None:
    where = ("--state-dir", str(settings.state_dir))
    control.stop(settings)
    # What is in the table is not what these options are about.
    same = run(agent.command, "start", *where, "--option", "bpf-ct-global-any-max=2048")
    assert (same.stdout[:15], same.stderr) == ("ready, process ", "")
    found = {row["name"]: row for row in as_json(maps.command, "list", "--bpf-root", root)}
    assert found["cilium_ct4_global"]["entries"] == 50
    assert found["cilium_ct_any4_global"]["max_entries"] == 2048
    with pytest.raises(AgentError, match="already runs"):
        run(agent.command, "start", *where, *WISH)


@pytest.mark.parametrize(("typed", "code"), [("cilium_ct4", 1), ("cilium_ct4_global", 0)])
def test_a_terminal_is_asked_for_the_name(
    root: str, settings: AgentSettings, typed: str, code: int
) -> None:
    del root
    control.stop(settings)
    words = ("agent", "start", "--state-dir", str(settings.state_dir), *WISH)
    ended, shown = typed_to("to leave it: ", typed, *words)
    assert ended == code
    assert "cilium_ct4_global: 2,048 -> 4,096 entries; lost: 50 entries" in shown
    assert "Type cilium_ct4_global to do it all the same" in shown
    assert ("Nothing was changed" in shown) == bool(code)
    assert control.status(settings).running == (not code)


def test_an_agent_begins_on_no_map_that_it_would_empty_unless_it_was_told(
    root: str, settings: AgentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    del root
    larger = replace(settings, options={"bpf-ct-global-tcp-max": "4096"})
    pid = control.status(settings).pid
    kept = StateDir(settings.state_dir).settings_file.read_text()
    lost = "Entries would be lost .*: 50 of cilium_ct4_global"
    with pytest.raises(AgentError, match=lost):
        control.restart(larger, losing=False)
    assert control.status(settings).pid == pid
    control.stop(settings)
    with pytest.raises(AgentError, match=f"did not start: {lost}"):
        control.start(larger)
    # An agent has a process to itself, whose signals it waits for.
    argv = [sys.executable, "-m", "ctconsole", "agent", "run", "--settings", larger.to_json()]
    by_hand = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert by_hand.returncode == 1
    assert re.search(lost, by_hand.stderr)
    assert StateDir(settings.state_dir).settings_file.read_text() == kept
    # They have come since the plan was made.
    monkeypatch.setattr(
        "ctconsole.node.acts.plan_begin",
        lambda *_: RestartPlan(settings.state_dir, {}, (), is_start=True),
    )
    words = ("start", "--state-dir", str(settings.state_dir), *WISH)
    with pytest.raises(AgentError, match=lost):
        run(agent.command, *words)
    assert run(agent.command, *words, "--yes").return_value == 0


def test_a_restart_whose_programs_never_run_is_a_failure(
    root: str, settings: AgentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    del root
    hidden = Running((HookRuns("ingress of lxc1", 41, 0, (40,), ENOUGH),))
    monkeypatch.setattr("ctconsole.node.acts.watch", lambda *_: hidden)
    words = ("--state-dir", str(settings.state_dir), "--option", "bpf-ct-global-tcp-max=4096")
    with pytest.raises(AgentError, match="but program 41 never runs on ingress of lxc1"):
        run(agent.command, "restart", *words, "--yes")
