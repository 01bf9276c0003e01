"""Building, finding and removing labs.

A lab is a folder below ``paths.run_dir()/labs``: its private bpffs, the agent's state and
configuration, the server's files and ``lab.json``. A lab with an owner goes with its owner: the
owner takes it down, and where the owner was killed the next start does (`clean_dead`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole import paths, private
from ctconsole.agent import control
from ctconsole.agent.state import AgentSettings, StateDir, save_endpoint
from ctconsole.config import AgentConfig, write_option
from ctconsole.errors import AgentError, BpfError, CtconsoleError, DeniedError, LabError, bpf_error
from ctconsole.kernel import netns, pins
from ctconsole.kernel.files import write_whole
from ctconsole.kernel.gate import Gate
from ctconsole.lab import names, server, topology
from ctconsole.lab.owner import Owner
from ctconsole.lab.server import ServerKind
from ctconsole.lab.signals import Stop, stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DRAFT = ".new-"
"""What folders start with that are not labs yet or no more; the process id follows."""

OPTIONS: Mapping[str, str] = {"enable-node-port": "true", "enable-session-affinity": "true"}
"""Where a lab's agent differs from Cilium's defaults."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A folder among the labs that does not say what lab it is; `lab down NAME` removes it.

    Attributes:
        name: of the folder, and so the lab's.
        root: the folder.
        reason: what is wrong with it.
    """

    name: str
    root: Path
    reason: str

    @property
    def lab(self) -> Lab:
        """What may be left of the lab that this was, for `down` to remove."""
        return Lab(self.name, self.root, None, ServerKind.NONE, 0.0)


class _TakenError(LabError):
    """Somebody has a lab of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a lab called {name} already",
            hint="Take it down, or give another name",
        )


@dataclass(frozen=True, slots=True)
class Lab:
    """An embedded node that is up.

    Attributes:
        name: unique among the labs of this machine.
        root: its folder.
        owner: the process it goes with; None stays until it is taken down.
        server: what answers in the server pod.
        created: seconds since the Unix epoch.
    """

    name: str
    root: Path
    owner: Owner | None
    server: ServerKind
    created: float

    @property
    def bpf_root(self) -> Path:
        """Where the private bpffs is mounted."""
        return self.root / "bpf"

    @property
    def globals(self) -> Path:
        """The folder of pinned maps, as on a Cilium node."""
        return self.bpf_root / paths.GLOBALS

    @property
    def state_dir(self) -> Path:
        """The agent's state: log, history, socket, endpoints."""
        return self.root / "state"

    @property
    def config_dir(self) -> Path:
        """The agent's configuration, one file for each option."""
        return self.root / "config"

    @property
    def pods_dir(self) -> Path:
        """A file for each pod added later, by its role; made before the pod and removed after."""
        return self.root / "pods"

    @property
    def roles(self) -> tuple[str, ...]:
        """Every host there is or may be: `topology.ROLES` and the pods added later."""
        folder = self.pods_dir
        added = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return (*topology.ROLES, *added)

    @property
    def settings(self) -> AgentSettings:
        """How the lab's agent is started."""
        return AgentSettings(
            state_dir=self.state_dir,
            config_dir=self.config_dir,
            bpf_root=self.bpf_root,
            netns=self.namespace(topology.NODE),
        )

    def namespace(self, role: str) -> str:
        """The network namespace of one of `topology.ROLES`."""
        return names.namespace(self.name, role)


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
    lab = _claim(name, server) if name else _claim_free(base, server)
    try:
        _build(lab, options, say)
        lab = replace(lab, owner=owner)
        _save(lab, lab.root)
    except BaseException:
        down(lab)
        raise
    return lab


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
    with _locked(lab.root) as present:
        if not present:
            return
        say(f"Taking lab {lab.name} down")
        with suppress(CtconsoleError):
            control.stop(lab.settings)
        _end_processes(lab)
        topology.destroy(gate, lab.name, lab.roles)
        if lab.bpf_root.is_mount():
            pins.unmount_bpffs(gate, lab.bpf_root)
        _remove_folder(lab.root)


def find(name: str | None = None) -> Lab:
    """The lab of that name; without a name the only lab there is.

    Raises:
        LabError: there is none, or there are several.
    """
    labs = {lab.name: lab for lab in all_labs()}
    if name is None:
        if len(labs) == 1:
            return next(iter(labs.values()))
        if labs:
            raise LabError("There are several labs", hint=f"Name one of {', '.join(labs)}")
    elif name in labs:
        return labs[name]
    what = f"There is no lab called {name}" if name else "There is no lab"
    known = f"There are {', '.join(labs)}" if labs else "Make one with: ctconsole lab up"
    for each in broken_labs():
        if name in {None, each.name}:
            what = f"The lab {each.name} is broken: {each.reason}"
            known = f"Remove it with: ctconsole lab down {each.name}"
    raise LabError(what, hint=known)


def all_labs() -> list[Lab]:
    """Every lab of this run directory by name, dead ones and those being built included.

    Those of `broken_labs` are not among them.

    Raises:
        DeniedError: the folder of labs is somebody else's.
    """
    return [found for folder in _folders() if isinstance(found := _load(folder), Lab)]


def broken_labs() -> list[Broken]:
    """Every folder among the labs that is none, by name; see `all_labs`."""
    return [found for folder in _folders() if isinstance(found := _load(folder), Broken)]


def clean_dead(say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Take down every lab whose owner no longer runs; returns their names.

    Folders of labs that were never finished, or not removed to the end, go as well.
    """
    dead = [lab for lab in all_labs() if lab.owner and not lab.owner.alive]
    _remove_drafts()
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


def _folders() -> list[Path]:
    """What lies in the folder of labs, by name, but for drafts; all of it takes a name."""
    labs = paths.labs_dir()
    try:
        found = labs.stat()
        if found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022:
            hint = "Remove it, or set CTCONSOLE_RUN_DIR to a folder of your own"
            raise DeniedError(errno.EACCES, "others may write to", str(labs), hint)
        return sorted(path for path in labs.iterdir() if path.name[0] != ".")
    except FileNotFoundError:
        return []
    except BpfError:
        raise
    except OSError as error:
        raise bpf_error(error.errno or 0, "readdir", str(labs)) from error


def _taken() -> set[str]:
    """Names in use: by a folder of this run directory, or by anybody's namespaces."""
    folders = {path.name for path in _folders()}
    spaces = {name.removeprefix(names.PREFIX) for name in netns.names(names.PREFIX)}
    return folders | {space.rpartition("-")[0] for space in spaces}


def _claim_free(base: str, kind: ServerKind) -> Lab:
    """`_claim` the first free name; another process may be quicker, then the next one."""
    while True:
        name = names.free(base, _taken())
        with suppress(_TakenError):
            return _claim(name, kind)


def _claim(name: str, kind: ServerKind) -> Lab:
    """Make the lab's folder; while it is being built it belongs to this process.

    A folder is renamed into place complete, so that of two processes one gets the name and
    nobody sees a lab without its description.
    """
    names.check(name)
    labs = paths.labs_dir()
    try:
        private.make_folder(labs)
        if name in _taken():
            raise _TakenError(name)
        draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{os.getpid()}-", dir=labs))
    except BpfError:
        raise
    except OSError as error:
        raise bpf_error(error.errno or 0, "mkdir", str(labs)) from error
    lab = Lab(name, labs / name, Owner.me(), kind, time.time())
    try:
        _save(lab, draft)
        draft.rename(lab.root)
    except OSError as error:
        shutil.rmtree(draft)
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise _TakenError(name) from error
        raise bpf_error(error.errno or 0, "rename", str(lab.root)) from error
    return lab


def _remove_folder(folder: Path) -> None:
    """Remove a lab's folder, its description last: until then the lab can still be found."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != "lab.json":
            entry.unlink()
    # Nobody sees it without its description.
    gone = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{os.getpid()}-", dir=folder.parent))
    shutil.rmtree(folder.rename(gone))


def _remove_drafts() -> None:
    """Remove folders that processes made or renamed which were killed before they went on."""
    for draft in paths.labs_dir().glob(f"{_DRAFT}*"):
        pid = draft.name.removeprefix(_DRAFT).partition("-")[0]
        if not pid.isdigit() or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(draft, ignore_errors=True)


def _save(lab: Lab, folder: Path) -> None:
    owner = {"pid": lab.owner.pid, "start": lab.owner.start} if lab.owner else None
    text = json.dumps({"owner": owner, "server": lab.server, "created": lab.created})
    write_whole(folder / "lab.json", f"{text}\n")


def _load(folder: Path) -> Lab | Broken | None:
    """The lab of a folder; None where it went while we looked."""
    file = folder / "lab.json"
    try:
        data = json.loads(file.read_bytes())
        owner = Owner(**data["owner"]) if data["owner"] else None
        kind = ServerKind(data["server"])
        return Lab(folder.name, folder, owner, kind, float(data["created"]))
    except FileNotFoundError:
        return Broken(folder.name, folder, f"there is no {file}") if folder.exists() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        return Broken(folder.name, folder, f"{file} does not describe a lab: {error!r}")


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a folder against other processes; False where it is gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield _is(folder, handle)
    finally:
        os.close(handle)


def _is(folder: Path, handle: int) -> bool:
    """Whether the folder is still the one that ``handle`` was opened on."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


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
