"""Which map, and which agent, the words of a command line mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.agent.state import AgentSettings
    from ctconsole.model.spec import MapInfo


def running_agent(path: Path, state_dir: Path | None) -> AgentSettings | None:
    """The running agent that looks after a map."""
    from ctconsole.agent import control
    from ctconsole.agent.state import AgentSettings

    if state_dir is None:
        return control.agent_of(path)
    found = control.status(AgentSettings(state_dir.absolute()))
    if not found.running or found.settings is None:
        raise AgentError(f"No agent runs on {state_dir}", hint="Start it, or drop --state-dir")
    if not path.absolute().is_relative_to(found.settings.bpf_root):
        raise UsageError(f"The agent on {state_dir} does not look after {path}")
    return found.settings


def find_map(name: str, pinned: Mapping[Path, MapInfo]) -> MapInfo:
    """The map that a name, path or id means.

    Raises:
        UsageError: none or several.
    """
    if "/" in name:
        found = [info for path, info in pinned.items() if path == Path(name).absolute()]
    elif name.isdigit():
        found = [info for info in pinned.values() if info.id == int(name)]
    else:
        found = [info for path, info in pinned.items() if path.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        pins = ", ".join(str(info.pin) for info in found)
        raise UsageError(f"{name} is pinned several times: {pins}", hint="Give the path")
    raise UsageError(f"No map {name} is pinned there", hint="See ctconsole map list")
