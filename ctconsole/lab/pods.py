"""Pods that come and go while a lab is up, each with an endpoint at the lab's agent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ctconsole.agent import wire
from ctconsole.agent.state import StateDir, load_endpoints, remove_endpoint, save_endpoint
from ctconsole.errors import UsageError
from ctconsole.kernel.gate import Gate
from ctconsole.lab import topology
from ctconsole.lab.topology import Pod

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.model.plane.endpoint import Endpoint

FIRST_HOST, LAST_HOST = 7, 254
"""Last part of the addresses of pods added later."""

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


def add(lab: Lab, name: str, identity: int | None = None) -> Endpoint:
    """Make a pod called ``name`` and have the agent take it in.

    Args:
        lab: which is up and whose agent runs.
        name: a pod's name, also that of its namespace.
        identity: its security identity; one of its own unless given.

    Raises:
        UsageError: the name cannot be one, is taken, or the addresses are all in use.
        AgentError: the agent refused; nothing is left of the pod.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a pod", hint="Use a-z and 0-9, at most 12")
    if name in lab.roles:
        raise UsageError(f"There is a host called {name} already")
    gate = Gate.open()
    pod = _free(lab, name, identity)
    lab.pods_dir.mkdir(mode=0o700, exist_ok=True)
    (lab.pods_dir / name).touch(mode=0o600)
    try:
        endpoint = topology.add_pod(gate, lab.name, pod)
        save_endpoint(lab.state_dir, endpoint)
        wire.request(StateDir(lab.state_dir).socket, "endpoint-add", id=endpoint.id)
    except BaseException:
        _remove(gate, lab, name, pod.id)
        raise
    return endpoint


def delete(lab: Lab, name: str) -> None:
    """Have the agent drop a pod's endpoint and remove the pod.

    Raises:
        UsageError: there is no such pod, or it is one of those a lab cannot do without.
        AgentError: the agent refused; the pod stays.
    """
    found = next((one for one in load_endpoints(lab.state_dir) if one.name == name), None)
    if found is None:
        raise UsageError(f"There is no pod {name}", hint="See lab endpoint list")
    if name in topology.ROLES:
        raise UsageError(f"{name} is part of every lab", hint="Delete pods you added")
    socket = StateDir(lab.state_dir).socket
    # One that the agent lost already, or never took in, has only its pod left.
    if any(one["id"] == found.id for one in listed(lab)):
        wire.request(socket, "endpoint-delete", id=found.id)
    _remove(Gate.open(), lab, name, found.id)


def listed(lab: Lab) -> list[dict[str, Any]]:
    """What the agent says of its endpoints, by id.

    Raises:
        AgentError: no agent runs.
    """
    answer = wire.request(StateDir(lab.state_dir).socket, "endpoint-list")
    return list(answer["endpoints"])


def _remove(gate: Gate, lab: Lab, name: str, endpoint_id: int) -> None:
    remove_endpoint(lab.state_dir, endpoint_id)
    topology.remove_pod(gate, lab.name, name)
    (lab.pods_dir / name).unlink(missing_ok=True)


def _free(lab: Lab, name: str, identity: int | None) -> Pod:
    """A pod with the first free addresses and endpoint id."""
    known = load_endpoints(lab.state_dir)
    taken = {one.ipv4 for one in known}
    ids = {one.id for one in known}
    for host in range(FIRST_HOST, LAST_HOST + 1):
        number = 3000 + host
        pod = Pod.numbered(name, number, host, identity or 20000 + number)
        if pod.ipv4 not in taken and number not in ids:
            return pod
    raise UsageError(f"Lab {lab.name} has no address left", hint="Delete a pod")
