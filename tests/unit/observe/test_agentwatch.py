from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.kernel import procs
from ctconsole.model.event import Event, EventKind
from ctconsole.observe import agents
from ctconsole.observe.agentwatch import AgentWatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest


def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentWatch:
    """A watch that takes this very process for the agent, with its state in ``tmp_path``."""
    me = procs.own()
    agent = agents.AgentProcess(
        me, tmp_path, contained=False, flags={}, state_dir=tmp_path, socket=tmp_path / "s"
    )
    monkeypatch.setattr(agents, "find_agent", lambda _: agent)
    (tmp_path / "state").mkdir()
    return AgentWatch(lambda: tmp_path)


def runtime_config(tmp_path: Path, written: float, fields: Mapping[str, object]) -> None:
    file = tmp_path / agents.RUNTIME_CONFIG
    file.write_text(json.dumps(fields))
    os.utime(file, (written, written))


def options(events: list[Event]) -> dict[str, tuple[object, object]]:
    return {
        event.subject: (event.fields["old"], event.fields["new"])
        for event in events
        if event.kind is EventKind.AGENT_OPTION
    }


def test_what_two_runtime_configs_hold_differently_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watched(tmp_path, monkeypatch)
    soon = procs.own().started + 10
    runtime_config(tmp_path, soon, {"CTMapEntriesGlobalTCP": 32768})
    assert options(watch.step()) == {}
    runtime_config(tmp_path, soon + 1, {"CTMapEntriesGlobalTCP": 8192})
    assert options(watch.step()) == {"bpf-ct-global-tcp-max": ("32768", "8192")}


def test_what_another_release_does_not_hold_any_more_was_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watched(tmp_path, monkeypatch)
    soon = procs.own().started + 10
    runtime_config(tmp_path, soon, {"CTMapEntriesGlobalTCP": 32768, "EnableIPv6": True})
    watch.step()
    runtime_config(tmp_path, soon + 1, {"EnableIPv6": False})
    assert options(watch.step()) == {"enable-ipv6": ("true", "false")}


def test_what_an_agent_was_started_with_is_told_as_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time() - 0.5
    me = replace(procs.own(), started=began)
    first = agents.AgentProcess(
        me, tmp_path, contained=False, flags={"debug": "1"}, state_dir=tmp_path, socket=tmp_path
    )
    found = [first, replace(first, flags={"debug": "2"})]
    monkeypatch.setattr(agents, "find_agent", lambda _: found.pop(0))
    watch = AgentWatch(lambda: tmp_path)
    watch.step()
    monkeypatch.setattr(procs, "is_same", lambda _: False)
    # The end was seen long ago; only the search for the next one comes late.
    ended, started, changed = watch.step()
    assert [one.kind for one in (ended, started, changed)] == [
        EventKind.AGENT_STOP,
        EventKind.AGENT_START,
        EventKind.AGENT_OPTION,
    ]
    assert ended.time <= started.time <= changed.time
    assert changed.time - started.time < 0.01


def test_an_agent_that_goes_between_being_found_and_the_first_look_is_told_as_one_that_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = agents.AgentProcess(
        procs.own(), tmp_path, contained=False, flags={}, state_dir=tmp_path, socket=tmp_path
    )
    monkeypatch.setattr(procs, "is_same", lambda _: False)
    monkeypatch.setattr(agents, "find_agent", lambda _: replace(known, flags={"debug": "1"}))
    watch = AgentWatch(lambda: tmp_path, agent=known)
    assert [one.kind for one in watch.step()] == [EventKind.AGENT_STOP, EventKind.AGENT_START]
