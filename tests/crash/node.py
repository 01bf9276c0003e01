"""A lab with live connections, and what must be true of it after whatever was done to it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.errors import CtconsoleError
from ctconsole.kernel import iproute, netns, tc
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import all_maps
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.kernel.programs import all_programs
from ctconsole.lab import lifecycle, look, topology
from ctconsole.lab.names import PREFIX
from ctconsole.manager.resize.journal import journal_of
from tests.support import flows
from tests.support.guard import marked

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.lab.folders import Lab

CONNECTIONS = 12
OPTION = "bpf-ct-global-tcp-max"
SIZES = {OPTION: "4096", "bpf-ct-global-any-max": "2048", "bpf-nat-global-max": "4096"}

PATIENCE = 30.0
"""Seconds that an agent has to finish what it is at, and the kernel to free what was replaced."""

START = 120.0
"""Seconds in which an agent has compiled its programs, on a machine under load."""

NOT_OURS_TO_COUNT = ("history.db-wal", "history.db-shm", "agent.sock")
"""Files that come and go with the process that has them open."""


WAIT = 600.0
"""Seconds in which whatever was begun must have ended, on a machine that does much else."""


def run(*argv: str, timeout: float = WAIT) -> subprocess.CompletedProcess[str]:
    """The command line, to its end.

    Raises:
        subprocess.TimeoutExpired: it does not end.
    """
    return subprocess.run(
        [sys.executable, "-m", "ctconsole", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@dataclass
class Node:
    """A lab and its connections.

    Attributes:
        lab: its agent is expected to run.
        clients: connections that have been answered.
        pins: names pinned when all was well.
        files: of state and config folder, then.
    """

    lab: Lab
    clients: list[socket.socket]
    pins: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    _bystanders: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        self.pins, self.files = self._pins(), self._files()
        self._bystanders = frozenset(marked()) - self._inside()

    @property
    def flags(self) -> tuple[str, ...]:
        """Which agent a verb means."""
        return ("--state-dir", str(self.lab.state_dir))

    def faults(self) -> list[str]:
        """What is not as it must be, once everything has come to rest."""
        found = self._heal()
        end = time.monotonic() + PATIENCE
        while (wrong := self._look()) and time.monotonic() < end:
            time.sleep(0.2)
        lost = [client for client in self.clients if not _lives(client)]
        if lost:
            found.append(f"loss: {len(lost)} of {len(self.clients)} connections do not live on")
            self._connect_again(lost)
        return found + wrong

    def close(self) -> None:
        """Close the connections."""
        for client in self.clients:
            client.close()

    def _heal(self) -> list[str]:
        """Start an agent that was killed; what keeps it from being ready."""
        end = time.monotonic() + START
        while True:
            status = control.status(self.lab.settings)
            if status.ready:
                return []
            if time.monotonic() > end:
                return ["agent: is not ready"]
            if not status.running:
                done = run("agent", "start", *self.flags)
                # What a killed starter began goes on, and keeps others from starting.
                waits = "are being changed" in done.stderr
                if done.returncode and not (waits or control.status(self.lab.settings).running):
                    return [f"agent: does not start again: {done.stderr.strip()[-300:]}"]
            time.sleep(0.1)

    def _look(self) -> list[str]:
        info = look.map_info(self.lab, look.TCP_MAP)
        option = (self.lab.config_dir / OPTION).read_text("ascii").strip()
        found = []
        if option != str(info.max_entries):
            found.append(f"option != map: {OPTION} is {option}, the map has {info.max_entries}")
        found += self._split_brain(info.id)
        found += _differ("pin", self._pins(), self.pins)
        found += _differ("file", self._files(), self.files)
        if journal_of(self.lab.globals).path.exists():
            found.append("journal: of a resize is left")
        mounts = [path for path in find_bpffs() if path.is_relative_to(self.lab.root)]
        if mounts != [self.lab.bpf_root]:
            found.append(f"mounts: {mounts}")
        others = {
            pid: argv
            for pid, argv in marked().items()
            if pid not in self._bystanders | self._inside()
        }
        if others:
            found.append(f"processes: {others}")
        agents = [argv for argv in marked().values() if f'{self.lab.state_dir}"' in argv]
        if len(agents) > 1:
            found.append(f"processes: {len(agents)} agents on one state folder")
        return found

    def _split_brain(self, pinned: int) -> list[str]:
        """Programs attached in the node that use another map of the pinned one's name."""
        node = self.lab.namespace(topology.NODE)
        attached = {
            one.prog_id
            for link in iproute.links(netns=node)
            for one in tc.filters(link.index, netns=node)
        }
        alike = {info.id for info in all_maps() if info.name == look.TCP_MAP[:15]} - {pinned}
        return [
            f"split brain: program {one.id} uses {sorted(set(one.map_ids) & alike)}, not {pinned}"
            for one in all_programs()
            if one.id in attached and set(one.map_ids) & alike
        ]

    def _pins(self) -> frozenset[str]:
        return frozenset(path.name for path in pinned_maps(self.lab.bpf_root))

    def _files(self) -> frozenset[str]:
        return frozenset(
            path.name
            for folder in (self.lab.state_dir, self.lab.config_dir)
            for path in folder.rglob("*")
            if path.name not in NOT_OURS_TO_COUNT
        )

    def _inside(self) -> set[int]:
        """Processes in the lab's namespaces: its servers and its agent."""
        return {pid for role in self.lab.roles for pid in netns.pids(self.lab.namespace(role))}

    def _connect_again(self, lost: list[socket.socket]) -> None:
        for client in lost:
            client.close()
            self.clients.remove(client)
            fresh = flows.connect(self.lab)
            flows.talk(fresh)
            self.clients.append(fresh)


@contextmanager
def node(name: str) -> Iterator[Node]:
    """A lab called ``name`` for as long as the block runs."""
    lab = lifecycle.up(name, config=SIZES)
    try:
        with ExitStack() as stack:
            made = Node(lab, [flows.connect(lab) for _ in range(CONNECTIONS)])
            stack.callback(made.close)
            for client in made.clients:
                flows.talk(client)
            yield made
    finally:
        lifecycle.down(lab)


def remains_of(name: str, run_dir: Path) -> list[str]:
    """What is still there of a lab that was taken down, after waiting for it to go."""
    end = time.monotonic() + PATIENCE
    while (found := _remains(name, run_dir)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def _remains(name: str, run_dir: Path) -> list[str]:
    labs = run_dir / "labs"
    prefix = f"{PREFIX}{name}-"
    # What follows is a role; a number makes it another lab's name.
    found = [f"namespace: {one}" for one in netns.names(prefix) if not one[len(prefix)].isdigit()]
    found += [
        f"file: {path}" for path in labs.glob("*") if path.name == name or path.name[0] == "."
    ]
    found += [f"mount: {path}" for path in find_bpffs() if path.is_relative_to(labs / name)]
    mine = (f"{labs / name}/", f"--lab {name} ", f"lab up {name}")
    found += [
        f"process: {pid} {argv}" for pid, argv in marked().items() if any(m in argv for m in mine)
    ]
    return found


def _lives(client: socket.socket) -> bool:
    try:
        return flows.talk(client).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _differ(what: str, now: frozenset[str], before: frozenset[str]) -> list[str]:
    more = [f"{what}: {name} is left" for name in sorted(now - before)]
    return more + [f"{what}: {name} is gone" for name in sorted(before - now)]


def quietly_down(name: str) -> str:
    """Take a lab down through the verb; what it complained of."""
    try:
        done = run("lab", "down", name)
    except (CtconsoleError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() if done.returncode or "Traceback" in done.stderr else ""
