"""Building labs and taking them down.

A lab with an owner goes with its owner: the owner takes it down, and where the owner was killed
the next start does (`clean_dead`).
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.agent.state import StateDir, save_endpoint
from ctconsole.config import AgentConfig, write_option
from ctconsole.errors import AgentError, CtconsoleError, LabError
from ctconsole.kernel import netns, pins
from ctconsole.kernel.gate import Gate
from ctconsole.lab import folders, names, server, topology
from ctconsole.lab.owner import Owner
from ctconsole.lab.server import ServerKind
from ctconsole.lab.signals import Stop, stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ctconsole.lab.folders import Lab

OPTIONS: Mapping[str, str] = {"enable-node-port": "true", "enable-session-affinity": "true"}
"""Where a lab's agent differs from Cilium's defaults."""


def up(
    name: str | None = None,
    *,
    base: str = names.DEFAULT,
    config: Mapping[str, str] | None = None,
    owner: Owner | None = None,
    server: ServerKind = ServerKind.SMALL,
    say: Callable[[str], None] = lambda _: None,
) -> Lab:
    """Build a lab and start its server and agent; nothing is left of one that fails.

    Args:
        name: None takes ``base``, or ``base-2``, ... where that is taken.
        base: see ``name``.
        config: agent options beside `OPTIONS` and the defaults.
        owner: the process the lab goes with.
        server: what answers in the server pod.
        say: told each stage before it starts.

    Raises:
        ConfigError: a bad option; nothing was done.
        LabError: the name is taken, or something did not start.
        MissingFeatureError, DeniedError: this node cannot run a lab.
    """
    options = AgentConfig.from_options({**OPTIONS, **(config or {})}).as_options()
    clean_dead(say)
    lab = _claim(name, base, server)
    try:
        _build(lab, options, say)
        lab = replace(lab, owner=owner)
        folders.save(lab, lab.root)
    except BaseException:
        down(lab)
        raise
    return lab


def _claim(name: str | None, base: str, server: ServerKind) -> Lab:
    """Take a name: its folder, which is this run directory's, and its namespace, the machine's.

    Somebody with another run directory may be building one of that name: it stays untouched.
    """
    gate = Gate.open()
    while True:
        lab = folders.claim(name, server) if name else folders.claim_free(base, server)
        ours = False
        try:
            ours = topology.claim(gate, lab.name)
        finally:
            if not ours:
                folders.remove(lab.root)
        if ours:
            return lab
        if name:
            raise folders.TakenError(name)


@contextmanager
def owned(
    base: str,
    *,
    config: Mapping[str, str] | None = None,
    server: ServerKind = ServerKind.SMALL,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Lab, Stop]]:
    """A lab for as long as a ``with`` block runs, called ``base`` or ``base-2``, ...

    SIGINT, SIGTERM and SIGHUP end the block (see `Stop`), and the lab goes in any case.
    Only the main thread can use it.
    """
    with stopping() as stop:
        lab = up(base=base, config=config, owner=Owner.me(), server=server, say=say)
        try:
            yield lab, stop
        finally:
            stop.hold()
            down(lab, _harmless(say))


def down(lab: Lab, say: Callable[[str], None] = lambda _: None) -> None:
    """Remove a lab with all its processes, namespaces, filters, maps and files.

    Removing one that is gone, or half gone, is no error.

    Raises:
        LabError: a process in one of its namespaces does not end.
    """
    gate = Gate.open()
    if lab.root.exists() and not lab.root.is_dir():
        lab.root.unlink()
        return
    with folders.locked(lab.root) as present:
        if not present:
            return
        say(f"Taking lab {lab.name} down")
        with suppress(CtconsoleError):
            control.stop_for_good(lab.settings)
        _end_processes(lab)
        topology.destroy(gate, lab.name, lab.roles)
        if lab.bpf_root.is_mount():
            pins.unmount_bpffs(gate, lab.bpf_root)
        folders.remove(lab.root)


def clean_dead(say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Take down every lab whose owner no longer runs; returns their names.

    Folders of labs that were never finished, or not removed to the end, go as well.
    """
    dead = [lab for lab in folders.all_labs() if lab.owner and not lab.owner.alive]
    folders.remove_drafts()
    for lab in dead:
        say(f"Lab {lab.name} outlived its owner, process {lab.owner.pid if lab.owner else ''}")
        down(lab, say)
    return [lab.name for lab in dead]


def _build(lab: Lab, options: Mapping[str, str], say: Callable[[str], None]) -> None:
    gate = Gate.open()
    say(f"Building lab {lab.name}: namespaces, links, a private bpffs")
    pins.mount_bpffs(gate, lab.bpf_root)
    for option, value in options.items():
        write_option(lab.config_dir, option, value)
    lab.state_dir.mkdir(mode=0o700)
    for endpoint in topology.build(gate, lab.name):
        save_endpoint(lab.state_dir, endpoint)
    say("Starting the web server in its pod")
    server.start(lab.server, lab.namespace(topology.SERVER), lab.root / "server")
    say("Starting the agent: it makes the maps and compiles the programs")
    try:
        control.start(lab.settings)
    except AgentError as error:
        # Its log goes with the lab, so the error must not refer to it.
        log = StateDir(lab.state_dir).log
        said = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        told = said and said[-1].removeprefix("ctconsole: ") in error.message
        raise LabError(error.message, hint=said[-1] if said and not told else "") from error


def _harmless(say: Callable[[str], None]) -> Callable[[str], None]:
    """``say`` for the clearing up, which goes on when the terminal is closed already."""

    def quietly(text: str) -> None:
        with suppress(OSError):
            say(text)

    return quietly


def _end_processes(lab: Lab) -> None:
    """End whatever still runs in the lab's namespaces, first politely."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        for pid in _pids(lab):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _pids(lab):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return
    raise LabError(f"Processes {_pids(lab)} of lab {lab.name} do not end")


def _pids(lab: Lab) -> list[int]:
    spaces = (lab.namespace(role) for role in lab.roles)
    found = {pid for space in spaces if netns.exists(space) for pid in netns.pids(space)}
    return sorted(found - {os.getpid()})
