"""Whose maps these are: our own agent's, another's, or nobody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.observe.discovery import find_agent, find_globals
from ctconsole.paths import DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT, GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.agent.state import AgentSettings


def agent_of(path: Path, state_dir: Path | None) -> AgentSettings | None:
    """The running agent of ours that looks after the map pinned at ``path``."""
    if state_dir is not None:
        state = StateDir(state_dir)
        settings = state.load_settings()
        ours = settings is not None and path.absolute().is_relative_to(settings.bpf_root)
        if ours and state.running_pid() is not None:
            return settings
    return control.agent_of(path)


def is_foreign(bpf_root: Path) -> bool:
    """Whether the maps below ``bpf_root`` belong to an agent that is not ours.

    A foreign agent that is down, as in a restart, still has its maps: on the node's own bpffs
    Cilium's pins count as another's unless our agent looks after them.
    """
    folder = find_globals(bpf_root)
    if control.agent_of(folder / "any") is not None:
        return False
    if find_agent(folder) is not None:
        return True
    return folder.is_dir() and any(
        usual.is_dir() and usual.samefile(folder) and any(usual.glob("cilium_*"))
        for usual in (root / GLOBALS for root in (DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT))
    )
