"""Where programs are attached on this machine: tc, XDP, links, and every hook that can be asked."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import BpfError, GoneError, bpf_error
from ctconsole.kernel import netns
from ctconsole.kernel.cgroups import cgroup_roots, in_cgroups
from ctconsole.kernel.hooks import HOOKS, Asker, Attachment, Target
from ctconsole.kernel.ids import fd_by_id, ids
from ctconsole.kernel.interfaces import on_interfaces
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramType
from ctconsole.kernel.syscall import F_RDONLY, Cmd, LinkInfoStruct, read_info
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ctconsole.kernel.hooks import Place
    from ctconsole.kernel.programs import ProgramInfo
    from ctconsole.model.spec import MapInfo

IN_NAMESPACES = frozenset(
    {
        ProgramType.SCHED_CLS,
        ProgramType.SCHED_ACT,
        ProgramType.XDP,
        ProgramType.FLOW_DISSECTOR,
        ProgramType.SK_LOOKUP,
    }
)
"""Types of programs that are attached to a network namespace or to its interfaces."""

_STRUCT_OPS = "struct ops"

_LINK_TYPES = {
    1: "raw tracepoint",
    2: "tracing",
    3: "cgroup",
    4: "iterator",
    5: "netns",
    6: "xdp",
    7: "perf event",
    8: "kprobe multi",
    9: _STRUCT_OPS,
    10: "netfilter",
    11: "tcx",
    12: "uprobe multi",
    13: "netkit",
    14: "sockmap",
}
"""``enum bpf_link_type`` (Linux 6.18)."""

_PLACES = {
    "xdp": "interface",
    "tcx": "interface",
    "netkit": "interface",
    "cgroup": "cgroup",
    "netns": "network namespace",
    "sockmap": "map",
    _STRUCT_OPS: "map",
}
"""What the number is that a link gives as its place."""

_HOOK_NAMES = {(hook.kind, hook.number): hook.name for hooks in HOOKS.values() for hook in hooks}


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that can be entered.

    Attributes:
        name: how a person calls it; empty for the calling thread's own.
        path: its file.
        inode: of the file, which is what links call it.
    """

    name: str
    path: Path
    inode: int


@dataclass(frozen=True, slots=True)
class Attachments:
    """What a look at every hook has found.

    Attributes:
        found: the attached programs.
        unknown: a sentence for each network namespace that could not be asked; a program that
            is not among ``found`` may be attached there.
    """

    found: tuple[Attachment, ...]
    unknown: tuple[str, ...] = ()


def attachments(programs: Iterable[ProgramInfo], maps: Iterable[MapInfo]) -> Attachments:
    """Every attached program that can be found from here.

    Looked through are all bpf links, the interfaces and hooks of every network namespace that has
    a name or a process, every cgroup of the hierarchies mounted here, and the maps that run
    programs of their own. What goes meanwhile is left out.

    Args:
        programs: those loaded.
        maps: every map of the machine.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    programs = list(programs)
    asker = Asker({program.type for program in programs})
    found = in_cgroups(asker, cgroup_roots())
    unknown = []
    for space in namespaces():
        try:
            found += in_namespace(space, asker)
        except BpfError as error:
            unknown.append(f"{space.name or 'the own network namespace'}: {error.message}")
    callbacks = {program.id for program in programs if program.type is ProgramType.STRUCT_OPS}
    for info in maps:
        if info.type in {MapType.SOCKMAP, MapType.SOCKHASH}:
            found += in_sockmap(info, asker)
        elif info.type is MapType.STRUCT_OPS:
            found += in_struct_ops(info, callbacks)
    # A link knows less of its place than whoever looked there.
    seen = {(one.place, one.prog_id) for one in found if one.place}
    found += [one for one in links() if one.prog_id and (one.place, one.prog_id) not in seen]
    return Attachments(tuple(dict.fromkeys(found)), tuple(unknown))


def link_ids() -> Iterator[int]:
    """The id of every bpf link of the machine (Linux 5.8); none on an older kernel.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    try:
        yield from ids(Cmd.BPF_LINK_GET_NEXT_ID)
    except BpfError as error:
        if error.errno != errno.EINVAL:
            raise


def links() -> Iterator[Attachment]:
    """Every bpf link of the machine (Linux 5.8); none on an older kernel.

    Left out are links that lost their place, as those do whose interface or cgroup was deleted:
    nothing reaches their programs. One to a struct_ops map has no program (0) but the map's.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    for number in link_ids():
        try:
            fd = fd_by_id(Cmd.BPF_LINK_GET_FD_BY_ID, number, f"link {number}")
        except GoneError:
            continue
        try:
            info = LinkInfoStruct()
            read_info(fd, info, f"link {number}")
        finally:
            os.close(fd)
        found = link_attachment(info)
        if found:
            yield found


def link_attachment(info: LinkInfoStruct) -> Attachment | None:
    """Where a link is, as far as it says itself; None where it has lost its place."""
    kind = _LINK_TYPES.get(info.type, f"link type {info.type}")
    if kind not in _PLACES:
        return Attachment(kind, "", info.prog_id)
    number, hook = info.target[0], info.target[1]
    if kind == "cgroup":
        number, hook = number | hook << 32, info.target[2]
    if not number:
        return None
    name = _HOOK_NAMES.get((kind, hook), "")
    where = f"{_PLACES[kind]} {number}"
    place: Place = (kind, number, hook)
    return Attachment(kind, f"{name} of {where}" if name else where, info.prog_id, place)


def namespaces() -> list[Namespace]:
    """Every network namespace reached from here, each once."""
    found: dict[tuple[int, int], Namespace] = {}
    own = Path("/proc/thread-self/ns/net")
    kind = own.stat().st_dev

    def add(path: Path, name: str) -> None:
        with suppress(OSError):
            status = path.stat()
            # A name has a plain file while it is being given or taken away.
            if status.st_dev == kind:
                place = (status.st_dev, status.st_ino)
                found.setdefault(place, Namespace(name, path, status.st_ino))

    add(own, "")
    for name in netns.names():
        add(netns.FOLDER / name, name)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            add(Path(entry.path, "ns/net"), f"namespace of process {entry.name}")
    return list(found.values())


def in_namespace(space: Namespace, asker: Asker) -> list[Attachment]:
    """What is attached to a network namespace and to its interfaces; nothing if it went.

    Raises:
        BpfError: it is there and cannot be asked.
    """
    try:
        return _asked(space, asker)
    except BpfError:
        if _has_gone(space):
            return []
        raise


def _has_gone(space: Namespace) -> bool:
    """Whether its file leads somewhere else by now, or nowhere."""
    try:
        return space.path.stat().st_ino != space.inode
    except OSError:
        return True


def _asked(space: Namespace, asker: Asker) -> list[Attachment]:
    found = []
    if asker.worth(Target.NAMESPACE):
        with suppress(FileNotFoundError, ProcessLookupError), _opened(space.path) as fd:
            name = space.name or "the own namespace"
            found += asker.at(Target.NAMESPACE, fd, space.inode, name)
    inside = f" in {space.name}" if space.name else ""
    try:
        with netns.inside(str(space.path) if space.name else None):
            found += on_interfaces(inside, asker)
    except GoneError:
        return []
    return found


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise bpf_error(error.errno or errno.EACCES, "setns", str(path)) from error
    try:
        yield fd
    finally:
        os.close(fd)


def in_sockmap(info: MapInfo, asker: Asker) -> list[Attachment]:
    """The programs a map of sockets runs on their messages and streams."""
    if not asker.worth(Target.SOCKMAP):
        return []
    try:
        fd = fd_by_id(Cmd.BPF_MAP_GET_FD_BY_ID, info.id, f"map {info.id}", open_flags=F_RDONLY)
    except GoneError:
        return []
    try:
        return asker.at(Target.SOCKMAP, fd, info.id, f"map {info.id} {info.name}")
    finally:
        os.close(fd)


def in_struct_ops(info: MapInfo, callbacks: Collection[int]) -> list[Attachment]:
    """The programs of a struct_ops map (Linux 5.6) that the kernel may call.

    The map's one value starts with two words of 32 bits, of which the first counts who holds it:
    what it is registered with, by itself or by a link, and what still uses it after that. From
    the next cache line on it is the kernel's structure, with the id of a program in the place of
    each function pointer (``kernel/bpf/bpf_struct_ops.c``, Linux 6.18). Which places those are
    the value does not say, so that any number in it that is the id of a callback is taken for it.

    Args:
        info: the map.
        callbacks: ids of the loaded programs of type STRUCT_OPS.
    """
    try:
        with BpfMap.from_id(info.id) as live:
            value = live.lookup(bytes(info.key_size)) or b""
    except GoneError:
        return []
    if not int.from_bytes(value[:4], sys.byteorder):
        return []
    words = np.frombuffer(value, "=u8", count=len(value) // 8)[1:]
    where, place = f"map {info.id} {info.name}", (_STRUCT_OPS, info.id, 0)
    found = sorted(set(words.tolist()) & set(callbacks))
    return [Attachment(_STRUCT_OPS, where, number, place) for number in found]
