"""The folders of labs: what a lab is, how one is found, claimed and removed.

A lab is a folder below ``paths.run_dir()/labs``: its private bpffs, the agent's state and
configuration, the server's files and ``lab.json``. It comes into being by a rename, complete, so
that of two processes one gets the name.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole import paths, private
from ctconsole.agent.state import AgentSettings
from ctconsole.errors import BpfError, DeniedError, LabError, bpf_error
from ctconsole.kernel import netns
from ctconsole.kernel.files import write_whole
from ctconsole.lab import names, topology
from ctconsole.lab.owner import Owner
from ctconsole.lab.server import ServerKind

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRAFT = ".new-"
"""What folders start with that are not labs yet or no more; the process id follows."""


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


class TakenError(LabError):
    """Somebody has a lab of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is a lab called {name} already",
            hint="Take it down, or give another name",
        )


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
    """Every folder among the labs that is no lab, by name; see `all_labs`."""
    return [found for folder in _folders() if isinstance(found := _load(folder), Broken)]


def claim(name: str, kind: ServerKind) -> Lab:
    """Make the lab's folder; while it is being built it belongs to this process.

    A folder is renamed into place complete, so that of two processes one gets the name and
    nobody sees a lab without its description.
    """
    names.check(name)
    labs = paths.labs_dir()
    try:
        private.make_folder(labs)
        if name in _taken():
            raise TakenError(name)
        draft = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{os.getpid()}-", dir=labs))
    except BpfError:
        raise
    except OSError as error:
        raise bpf_error(error.errno or 0, "mkdir", str(labs)) from error
    lab = Lab(name, labs / name, Owner.me(), kind, time.time())
    try:
        save(lab, draft)
        draft.rename(lab.root)
    except OSError as error:
        shutil.rmtree(draft)
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise TakenError(name) from error
        raise bpf_error(error.errno or 0, "rename", str(lab.root)) from error
    return lab


def claim_free(base: str, kind: ServerKind) -> Lab:
    """`claim` the first free name; another process may be quicker, then the next one."""
    while True:
        name = names.free(base, _taken())
        with suppress(TakenError):
            return claim(name, kind)


def save(lab: Lab, folder: Path) -> None:
    """Write into a folder what lab it is."""
    owner = {"pid": lab.owner.pid, "start": lab.owner.start} if lab.owner else None
    text = json.dumps({"owner": owner, "server": lab.server, "created": lab.created})
    write_whole(folder / "lab.json", f"{text}\n")


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
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


def remove(folder: Path) -> None:
    """Remove a lab's folder, its description last: until then the lab can still be found."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != "lab.json":
            entry.unlink()
    # Nobody sees it without its description.
    gone = Path(tempfile.mkdtemp(prefix=f"{_DRAFT}{os.getpid()}-", dir=folder.parent))
    shutil.rmtree(folder.rename(gone))


def remove_drafts() -> None:
    """Remove folders that processes made or renamed which were killed before they went on."""
    for draft in paths.labs_dir().glob(f"{_DRAFT}*"):
        pid = draft.name.removeprefix(_DRAFT).partition("-")[0]
        if not pid.isdigit() or not Path(f"/proc/{pid}").exists():
            shutil.rmtree(draft, ignore_errors=True)


def _load(folder: Path) -> Lab | Broken | None:
    """The lab of a folder; None where it went while we looked."""
    file = folder / "lab.json"
    try:
        data = json.loads(file.read_bytes())
        if not isinstance(data, dict):
            return Broken(folder.name, folder, f"{file} does not describe a lab: it is no object")
        owner = Owner(**data["owner"]) if data["owner"] else None
        kind = ServerKind(data["server"])
        return Lab(folder.name, folder, owner, kind, float(data["created"]))
    except FileNotFoundError:
        return Broken(folder.name, folder, f"there is no {file}") if folder.exists() else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return Broken(folder.name, folder, f"{file} does not describe a lab: {what}")


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
