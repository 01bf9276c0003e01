"""Whose maps these are: our own agent's, another's, or nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import state
from ctconsole.agent.state import StateDir, agent_at
from ctconsole.errors import AgentError, UsageError
from ctconsole.observe.agents import find_agent, find_globals
from ctconsole.observe.discovery import OwnAgent, discover
from ctconsole.paths import DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT, GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.agent.state import AgentSettings
    from ctconsole.model.ct.layout import Layout
    from ctconsole.observe.discovery import NodeFacts


def agent_of(path: Path, state_dir: Path | None = None) -> AgentSettings | None:
    """The running agent of ours that looks after the map pinned at ``path``.

    Args:
        path: the pin.
        state_dir: a state folder to look at before the usual ones.
    """
    found = agent_at(state_dir, path) if state_dir is not None else None
    return found or state.agent_of(path)


def named_agent(path: Path, state_dir: Path | None) -> AgentSettings | None:
    """The same, for whoever named a folder and means the agent there and no other.

    Raises:
        AgentError: no agent runs on the folder named.
        UsageError: the one that does looks after other maps.
    """
    if state_dir is None:
        return agent_of(path)
    found = agent_at(state_dir.absolute(), path)
    if found is not None:
        return found
    if StateDir(state_dir).running_pid() is None:
        raise AgentError(f"No agent runs on {state_dir}", hint="Start it, or drop --state-dir")
    raise UsageError(f"The agent on {state_dir} does not look after {path}")


def who(bpf_root: Path) -> str:
    """Who looks after the maps below ``bpf_root``, in words."""
    folder = find_globals(bpf_root)
    own = own_agent_at(folder)
    if own is not None:
        return own_agent(own)
    agent = find_agent(folder)
    return f"Cilium's agent, process {agent.process.pid}" if agent else "no agent runs"


def discover_node(bpf_root: Path | None = None, *, layout: Layout | None = None) -> NodeFacts:
    """What is known of a node, be its agent Cilium's or ours; see `discover`."""
    return discover(bpf_root, layout=layout, own=own_agent_at)


def own_agent_at(folder: Path) -> OwnAgent | None:
    """The agent of ours that looks after a folder of pins, None where none does."""
    settings = state.agent_of(folder / "any")
    pid = StateDir(settings.state_dir).running_pid() if settings else None
    return OwnAgent(pid, settings.state_dir) if settings and pid else None


def own_agent(own: OwnAgent) -> str:
    """A running agent of ours, in words."""
    return f"ctconsole's own agent, process {own.pid}"


def is_foreign(bpf_root: Path) -> bool:
    """Whether the maps below ``bpf_root`` belong to an agent that is not ours.

    A foreign agent that is down, as in a restart, still has its maps: on the node's own bpffs
    Cilium's pins count as another's unless our agent looks after them.
    """
    folder = find_globals(bpf_root)
    if state.agent_of(folder / "any") is not None:
        return False
    if find_agent(folder) is not None:
        return True
    return folder.is_dir() and any(
        usual.is_dir() and usual.samefile(folder) and any(usual.glob("cilium_*"))
        for usual in (root / GLOBALS for root in (DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT))
    )
