"""``map list`` as Cilium's own tool prints it: what the node's agent says of its maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path


def agents_list(bpf_root: Path, *, as_json: bool, verbose: bool) -> str:
    """The list of the agent that uses this bpffs, byte for byte as its tool shows it.

    Raises:
        AgentError: no such agent runs, or it does not answer.
        FormatError: what it answers is no list of maps.
    """
    from ctconsole.model.cilium.lists import go_json
    from ctconsole.model.cilium.maps import api_maps, maps_text, maps_verbose
    from ctconsole.observe import agentapi
    from ctconsole.observe.agents import find_agent, find_globals

    folder = find_globals(bpf_root)
    agent = find_agent(folder)
    if agent is None:
        raise AgentError(
            f"No cilium-agent that uses {folder} is running, and this list is the agent's own",
            hint="Without --output cilium the pinned maps themselves are listed",
        )
    answer = agentapi.ask(agent.socket, "map")
    maps = api_maps(answer, f"{agent.socket} {agentapi.BASE}/map")
    if as_json:
        return go_json(answer)
    if not maps:
        return ""
    return maps_verbose(maps) if verbose else maps_text(maps)
