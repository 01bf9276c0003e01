"""Where programs are attached on this machine: tc, XDP, cgroups, and every kind of bpf link."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, NoSuchMapError
from ctconsole.kernel import netns
from ctconsole.kernel.ids import fd_by_id, ids
from ctconsole.kernel.rtnl import talk
from ctconsole.kernel.syscall import (
    Cmd,
    InfoAttr,
    LinkInfoStruct,
    ProgQueryAttr,
    bpf,
    retrying,
)
from ctconsole.kernel.tc import read_filters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroute2 import IPRoute

_LINK_TYPES = {
    1: "raw tracepoint",
    2: "tracing",
    3: "cgroup",
    4: "iterator",
    5: "netns",
    6: "xdp",
    7: "perf event",
    8: "kprobe multi",
    9: "struct ops",
    10: "netfilter",
    11: "tcx",
    12: "uprobe multi",
    13: "netkit",
    14: "sockmap",
}
"""``enum bpf_link_type`` (Linux 6.18)."""

_XDP = 6
"""Its links name no hook: there is but one."""

_ATTACH_TYPES = {
    0: "ingress",
    1: "egress",
    2: "sock create",
    3: "sock ops",
    8: "bind4",
    9: "bind6",
    10: "connect4",
    11: "connect6",
    12: "post bind4",
    13: "post bind6",
    14: "sendmsg4",
    15: "sendmsg6",
    19: "recvmsg4",
    20: "recvmsg6",
    29: "getpeername4",
    30: "getpeername6",
    31: "getsockname4",
    32: "getsockname6",
    34: "sock release",
    46: "ingress",
    47: "egress",
    54: "primary",
    55: "peer",
}
"""``enum bpf_attach_type``: those by which a datapath is attached to cgroups and interfaces."""

_CGROUP_HOOKS = (0, 1, 2, 3, *range(8, 16), 19, 20, *range(29, 33), 34)
_BY_INTERFACE = frozenset({6, 11, 13})
_CGROUP, _STRUCT_OPS = 3, 9
_MOST_PROGRAMS = 64
"""``BPF_CGROUP_MAX_PROGS``."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A program at a hook.

    Attributes:
        kind: ``tc``, ``xdp``, ``tcx``, ``cgroup``, ``struct ops``, ...
        where: the interface, cgroup or hook, for a person.
        prog_id: kernel program id.
    """

    kind: str
    where: str
    prog_id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.where}".rstrip()


def attachments() -> list[Attachment]:
    """Every attached program that can be found from here.

    Looked through are all bpf links, the interfaces of every network namespace that has a name
    or a process, and the cgroup hierarchy's root. A namespace that goes meanwhile is left out.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    found = list(links())
    for name, where in namespaces():
        with suppress(BpfError):
            found.extend(interfaces(where, name))
    for root in cgroup_roots():
        found.extend(cgroup(root))
    # One program may be found as a link and at its hook.
    return list(dict.fromkeys(found))


def links() -> Iterator[Attachment]:
    """Every bpf link of the machine (Linux 5.8); none on an older kernel.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    numbers = ids(Cmd.BPF_LINK_GET_NEXT_ID)
    while True:
        try:
            number = next(numbers, None)
        except BpfError as error:
            if error.errno == errno.EINVAL:
                return
            raise
        if number is None:
            return
        try:
            fd = fd_by_id(Cmd.BPF_LINK_GET_FD_BY_ID, number, f"link {number}")
        except NoSuchMapError:
            continue
        try:
            info = LinkInfoStruct()
            attr = InfoAttr(bpf_fd=fd, info_len=ctypes.sizeof(info), info=ctypes.addressof(info))
            bpf(Cmd.BPF_OBJ_GET_INFO_BY_FD, attr, f"link {number}")
        finally:
            os.close(fd)
        yield Attachment(
            _LINK_TYPES.get(info.type, f"link type {info.type}"), _target(info), info.prog_id
        )


def _target(info: LinkInfoStruct) -> str:
    first, second, third = info.target[0], info.target[1], info.target[2]
    if info.type in _BY_INTERFACE:
        hook = _ATTACH_TYPES.get(second, "") if info.type != _XDP else ""
        return f"{hook} of interface {first}".lstrip()
    if info.type == _CGROUP:
        return f"{_ATTACH_TYPES.get(third, '')} of cgroup {first | second << 32}".lstrip()
    return f"map {first}" if info.type == _STRUCT_OPS else ""


def namespaces() -> list[tuple[str, str | None]]:
    """Every network namespace reached from here: how a person names it, and how to enter it."""
    found: dict[tuple[int, int], tuple[str, str | None]] = {}

    def add(path: Path, name: str, where: str | None) -> None:
        with suppress(OSError):
            status = path.stat()
            found.setdefault((status.st_dev, status.st_ino), (name, where))

    add(Path("/proc/thread-self/ns/net"), "", None)
    for name in netns.names():
        add(netns.FOLDER / name, name, name)
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            path = Path(entry.path, "ns/net")
            add(path, f"namespace of process {entry.name}", str(path))
    return list(found.values())


def interfaces(where: str | None, name: str) -> list[Attachment]:
    """The tc filters and XDP programs of one network namespace.

    Args:
        where: its name or the path of its file; None is the calling thread's.
        name: how a person calls it; empty for the own one.
    """
    inside = f" in {name}" if name else ""

    def work(route: IPRoute) -> list[Attachment]:
        found = []
        for message in route.get_links():
            label, index = message.get_attr("IFLA_IFNAME"), message["index"]
            xdp = message.get_attr("IFLA_XDP")
            number = xdp.get_attr("IFLA_XDP_PROG_ID") if xdp else None
            if number:
                found.append(Attachment("xdp", f"{label}{inside}", number))
            found.extend(
                Attachment("tc", f"{one.hook} of {label}{inside}", one.prog_id)
                for one in read_filters(route, index)
                if one.prog_id
            )
        return found

    return talk("RTM_GETTFILTER", name, work, netns=where)


def cgroup_roots() -> list[Path]:
    """Where cgroup v2 hierarchies are mounted; Cilium mounts one at /run/cilium/cgroupv2."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            found.append(Path(before.split()[4]))
    return found


def cgroup(folder: Path) -> list[Attachment]:
    """Programs attached to one cgroup without a link (BPF_PROG_QUERY, Linux 4.15)."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    found = []
    try:
        for hook in _CGROUP_HOOKS:
            room = (ctypes.c_uint32 * _MOST_PROGRAMS)()
            attr = ProgQueryAttr(
                target=fd,
                attach_type=hook,
                prog_ids=ctypes.addressof(room),
                prog_cnt=_MOST_PROGRAMS,
            )
            # A kernel that lacks a hook answers EINVAL.
            if retrying(Cmd.BPF_PROG_QUERY, attr) < 0:
                continue
            where = f"{_ATTACH_TYPES[hook]} of {folder}"
            found += [Attachment("cgroup", where, number) for number in room[: attr.prog_cnt]]
    finally:
        os.close(fd)
    return found
