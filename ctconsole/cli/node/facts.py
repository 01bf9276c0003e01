"""``ctconsole node``: what is known of this node, and where each fact comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.options import bpf_root_option
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option
from ctconsole.paths import lab_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.loops import LoopState
    from ctconsole.observe.discovery import Fact, NodeFacts

_SIZES = ("bpf-ct-global-tcp-max", "bpf-ct-global-any-max", "bpf-nat-global-max")


@click.command(name="node")
@bpf_root_option
@json_option
def command(bpf_root: Path, as_json: bool) -> None:
    """Say what is known of this node: agent, release, clock, layout, options.

    Found without configuration, also for an agent in a container. The agent's API is asked
    first, then the file it leaves of its configuration, then its command line.

    \b
    Examples:
      ctconsole node
      ctconsole node --json | jq .options
    """
    from ctconsole.node.owner import discover_node

    facts = discover_node(bpf_root)
    threads = _own_loops(facts)
    if as_json:
        print_json({**_as_dict(facts), "loops": [state.as_dict() for state in threads]})
        return
    for name, text in _lines(facts):
        click.echo(f"{name:<9}{text}")
    for state in threads:
        if state.error:
            click.echo(f"{'trouble':<9}{state}")


def _lines(facts: NodeFacts) -> Iterator[tuple[str, str]]:
    from ctconsole.node.owner import own_agent
    from ctconsole.observe.discovery import OWN_RELEASE

    lab = lab_of(facts.globals)
    yield "maps", f"{facts.globals}, of the lab {lab}" if lab else str(facts.globals)
    agent, own = facts.agent, facts.own
    if own is not None:
        yield "agent", f"{own_agent(own)}, state folder {own.state_dir}"
    elif agent is None:
        yield "agent", "none runs"
    else:
        where = ", in a container" if agent.contained else ""
        yield "agent", f"process {agent.process.pid}{where}, socket {agent.socket}"
    yield "release", _told(facts.version if own is None else OWN_RELEASE)
    clock = facts.clock
    unit = f"jiffies of {clock.value.hertz} Hz" if clock.value.uses_jiffies else "seconds"
    yield "clock", f"{unit} ({clock.origin})"
    yield "layout", _told(facts.layout, otherwise="told by the entries themselves")
    for name in _SIZES:
        if name in facts.options:
            yield "option", f"{name}={facts.options[name]}"
    if facts.options:
        yield "", f"{len(facts.options)} options in all, from {facts.options_origin}"
    for note in facts.notes:
        yield "note", note


def _own_loops(facts: NodeFacts) -> tuple[LoopState, ...]:
    """How the threads of our own agent are doing, where one looks after these maps."""
    if facts.own is None:
        return ()
    from ctconsole.agent.control import status
    from ctconsole.agent.state import agent_at

    settings = agent_at(facts.own.state_dir, facts.globals / "any")
    return status(settings).loops if settings is not None else ()


def _told(fact: Fact[Any] | None, otherwise: str = "not known") -> str:
    return f"{fact.value} ({fact.origin})" if fact else otherwise


def _as_dict(facts: NodeFacts) -> dict[str, Any]:
    from ctconsole.agent.state import StateDir

    agent, own = facts.agent, facts.own
    return {
        "bpf_root": str(facts.bpf_root),
        "lab": lab_of(facts.bpf_root) or None,
        "globals": str(facts.globals),
        "agent": agent
        and {
            "pid": agent.process.pid,
            "started": agent.process.started,
            "contained": agent.contained,
            "socket": str(agent.socket),
            "state_dir": str(agent.state_dir),
        },
        "own_agent": own
        and {
            "pid": own.pid,
            "state_dir": str(own.state_dir),
            "socket": str(StateDir(own.state_dir).socket),
        },
        "version": _fact(facts.version),
        "clock": {
            "mode": facts.clock.value.mode,
            "hertz": facts.clock.value.hertz,
            "origin": facts.clock.origin,
            "certain": facts.clock.certain,
        },
        "layout": _fact(facts.layout),
        "options": dict(facts.options),
        "options_origin": facts.options_origin,
        "notes": list(facts.notes),
    }


def _fact(fact: Fact[Any] | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    return {"value": str(fact.value), "origin": fact.origin, "certain": fact.certain}
