"""Whose pins a folder holds: the bpffs of this node, the agents' processes and their paths.

An agent mostly lives in a container: what it calls /run is found below ``/proc/<pid>/root``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel import procs
from ctconsole.kernel.mounts import find_bpffs, is_bpffs
from ctconsole.observe import agentflags
from ctconsole.paths import DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT, GLOBALS, run_dir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.kernel.procs import Process

SOCKET = Path("cilium.sock")
RUNTIME_CONFIG = Path("state/agent-runtime-config.json")
STATE_DIRS = (Path("/var/run/cilium"), Path("/run/cilium"))
"""Where an agent keeps its socket and state unless ``--state-dir`` says otherwise."""


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """An agent's process as seen from here.

    Attributes:
        process: who it is.
        root: its file system; ``/`` or ``/proc/<pid>/root``.
        contained: whether it lives in another mount namespace.
        flags: its options as its command line, its environment and its config folder give them.
        state_dir: its run-time folder, as a path from here.
        socket: its API socket, as a path from here.
    """

    process: Process
    root: Path
    contained: bool
    flags: Mapping[str, str]
    state_dir: Path
    socket: Path


def find_root() -> Path:
    """The bpffs of this node: the usual one, else another mounted one with Cilium's folder.

    Also one that is mounted only in a container in which an agent runs. A lab's private bpffs is
    never meant.
    """
    return next(iter(mounted_roots() or find_roots_in_containers()), DEFAULT_BPF_ROOT)


def mounted_roots() -> list[Path]:
    """Every bpffs of this mount namespace with Cilium's folder, the usual one first; no lab's."""
    labs = run_dir()
    roots = dict.fromkeys(
        (DEFAULT_BPF_ROOT, *(root for root in find_bpffs() if not root.is_relative_to(labs)))
    )
    return [root for root in roots if is_folder(root / GLOBALS)]


def find_roots_in_containers() -> list[Path]:
    """Those with Cilium's folder that are mounted where an agent runs, and not here."""
    return [root for root in _roots_in_containers() if is_folder(root / GLOBALS)]


def _roots_in_containers() -> Iterator[Path]:
    for process in reversed(procs.agents()):
        agent = describe(process)
        if agent is not None and agent.contained:
            yield from _bpf_roots(agent)


def _bpf_roots(agent: AgentProcess) -> list[Path]:
    """Where an agent's bpffs may be, as paths from here."""
    given = agent.flags.get("bpf-root")
    return [
        _below(agent.root, Path(path))
        for path in ((given,) if given else (DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT))
    ]


def find_globals(root: Path) -> Path:
    """The folder of Cilium's pins at ``root``; ``root`` itself where it has no such folder."""
    folder = root / GLOBALS
    return folder if is_folder(folder) or not is_bpffs(root) else root


def find_agent(folder: Path) -> AgentProcess | None:
    """The agent whose pins are in ``folder``, which may know it by another path.

    An agent that says where its bpffs is must mean this very folder. Of several the youngest is
    taken: an old one that is about to leave is not in charge any more.
    """
    for process in reversed(procs.agents()):
        agent = describe(process)
        if agent is not None and _uses(agent, folder):
            return agent
    return None


def describe(process: Process) -> AgentProcess | None:
    """What can be told of an agent's process from outside; None when it has gone."""
    root = Path(f"/proc/{process.pid}/root")
    try:
        own, other = Path("/proc/self/ns/mnt").readlink(), (root.parent / "ns/mnt").readlink()
        contained = own != other or not root.samefile("/")
    except OSError:
        if procs.find(process.pid) is None:
            return None
        contained = True
    root = root if contained else Path("/")
    flags = agentflags.collect(
        process.argv, procs.environment(process.pid), lambda path: _below(root, path)
    )
    state_dir = _state_dir(root, flags)
    socket = flags.get("socket-path")
    return AgentProcess(
        process=process,
        root=root,
        contained=contained,
        flags=MappingProxyType(flags),
        state_dir=state_dir,
        socket=_below(root, Path(socket)) if socket else state_dir / SOCKET,
    )


def path_in(agent: AgentProcess, path: Path) -> Path:
    """Where a path of the agent's file system is found from here."""
    return _below(agent.root, path)


def _uses(agent: AgentProcess, folder: Path) -> bool:
    """Whether the agent's bpffs is the one ``folder`` lies on, however it is mounted."""
    for place in (path for root in _bpf_roots(agent) for path in (root / GLOBALS, root)):
        try:
            if place.samefile(folder):
                return True
        except OSError:
            continue
    return False


def _state_dir(root: Path, flags: Mapping[str, str]) -> Path:
    given = flags.get("state-dir")
    if given:
        return _below(root, Path(given))
    places = [_below(root, place) for place in STATE_DIRS]
    return next((place for place in places if is_folder(place)), places[0])


def _below(root: Path, path: Path) -> Path:
    """An absolute path of another root as one of ours.

    An absolute symbolic link such as /var/run -> /run would lead out of the other root, so the
    links on the way are followed inside it.
    """
    if root == Path("/"):
        return path
    place = root
    for part in path.parts[1:] if path.is_absolute() else path.parts:
        place /= part
        for _ in range(10):
            try:
                target = place.readlink()
            except OSError:
                break
            place = (
                root.joinpath(*target.parts[1:])
                if target.is_absolute()
                else (place.parent / target)
            )
    return place


def is_folder(path: Path) -> bool:
    """Whether it is one; what may not be looked at is none."""
    try:
        return path.is_dir()
    except OSError:
        return False
