"""Where names come from: the maps, and the agent where one answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError, FormatError
from ctconsole.model.names import RESERVED, Names, names_of_agent, names_of_maps, names_of_nodes
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ctconsole.model.raw import Raw
    from ctconsole.observe.discovery import NodeFacts

KINDS: Final = (RecordKind.IPCACHE, RecordKind.ENDPOINT, RecordKind.SERVICE, RecordKind.REVERSE_NAT)


def names_of_node(root: Path) -> tuple[Names, tuple[str, ...]]:
    """What the node's maps tell, and the agent in charge of that bpffs where one answers.

    Returns:
        The names, and in words what could not be asked.
    """
    from ctconsole.node.records import from_pins

    warnings: tuple[str, ...] = ()
    try:
        names = _of(from_pins(root, KINDS))
    except CtconsoleError as error:
        warnings = (f"no names from the maps: {error}",)
        names = Names()
    from ctconsole.agent.state import agent_of
    from ctconsole.observe import agentapi, agents

    folder = agents.find_globals(root)
    own = agent_of(folder / "any")
    if own is not None:
        found, untold = _names_of_own_agent(own.state_dir)
        return names.merged(found), (*warnings, *untold)
    agent = agents.find_agent(folder)
    if agent is None:
        return names, warnings
    told = agentapi.read(agent.socket)
    names = names.merged(names_of_agent(told.endpoints, told.identities, told.services))
    return names, (*warnings, *told.warnings)


def _names_of_own_agent(state_dir: Path) -> tuple[Names, tuple[str, ...]]:
    """What an agent of ours keeps of its pods and services: their names, and labels.

    Returns:
        The names, and in words what it did not tell.
    """
    from ipaddress import ip_address

    from ctconsole.agent import wire
    from ctconsole.agent.state import StateDir, load_endpoints

    pods = load_endpoints(state_dir)
    named = {
        ip_address(address).packed: pod.name
        for pod in pods
        for address in (pod.ipv4, pod.ipv6)
        if address
    }
    labels = {pod.identity: ",".join(pod.labels) for pod in pods if pod.labels}
    try:
        told = wire.request(StateDir(state_dir).socket, "service-list")["services"]
        services = {int(one["id"]): str(one["name"]) for one in told}
    except CtconsoleError as error:
        return Names(named, labels), (f"no names of services: {error}",)
    return Names(named, labels, services), ()


def names_of_files(paths: Sequence[Path]) -> tuple[Names, tuple[str, ...]]:
    """What the maps in the same files tell, and the agent where bugtool asked it.

    RevNAT ids mean something on their node only: of several nodes each has its own.

    Returns:
        The names, and in words why there are none.
    """
    from ctconsole.node.records import wanted
    from ctconsole.observe.offline import read_offline
    from ctconsole.observe.offline_nodes import NodeFiles

    offline = read_offline(paths)
    tables: dict[str, list[Raw]] = {}
    for one in offline.maps:
        if wanted(one.info.label, KINDS):
            tables.setdefault(one.node, []).append(one)
    folders = [*offline.nodes, *(folder for folder in tables if folder not in offline.nodes)]
    files = {folder: offline.nodes.get(folder, NodeFiles()) for folder in folders}
    nodes = {
        folder: _of(tables.get(folder, ())).merged(found.names()) for folder, found in files.items()
    }
    warnings: tuple[str, ...] = ()
    if not tables and not any(node.told.endpoints for node in offline.nodes.values()):
        named = ", ".join(path.name for path in paths)
        warnings = (f"no names: nothing in {named} tells any",)
    own = {files[folder].whose: names for folder, names in nodes.items() if files[folder].whose}
    return replace(names_of_nodes(list(nodes.values())), nodes=own), warnings


def labels_of_node(facts: NodeFacts) -> tuple[dict[int, tuple[str, ...]], tuple[str, ...]]:
    """The labels of identities, from the agent in charge of a bpffs.

    Returns:
        Labels by identity, none where no agent answers; and in words what could not be asked.
    """
    from ctconsole.observe import agentapi

    if facts.agent is None:
        return {}, ()
    told = agentapi.read(facts.agent.socket)
    return dict(told.identities), told.warnings


def labels_of_files(paths: Sequence[Path]) -> tuple[dict[int, tuple[str, ...]], tuple[str, ...]]:
    """The labels of identities, where the files tell some: of the endpoints bugtool asked for.

    Returns:
        Labels by identity, those that every cluster has among them; none where nothing tells any.
    """
    from ctconsole.observe.offline import read_offline

    labels: dict[int, tuple[str, ...]] = {}
    for node in read_offline(paths).nodes.values():
        labels |= {
            number: tuple(sorted(text.split(",")))
            for number, text in node.names().identities.items()
        }
    if labels:
        labels = {number: (text,) for number, text in RESERVED.items()} | labels
    return labels, ()


def _of(found: Iterable[Raw]) -> Names:
    from ctconsole.node.records import decoded

    tables = (decoded(one) for one in found)
    return names_of_maps(table for table in tables if not isinstance(table, FormatError))
