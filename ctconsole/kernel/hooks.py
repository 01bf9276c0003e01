"""The hooks that tell which programs are attached to them, with a link or without (BPF_PROG_QUERY).

Numbers and names are those of ``enum bpf_attach_type`` in ``include/uapi/linux/bpf.h`` (Linux
6.18).
"""

from __future__ import annotations

import ctypes
import errno
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ctconsole.errors import bpf_error
from ctconsole.kernel.programs import ProgramType
from ctconsole.kernel.syscall import Cmd, ProgQueryAttr, prepared, retrying

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST_PROGRAMS = 64
"""No hook holds more: ``BPF_CGROUP_MAX_PROGS`` and ``BPF_MPROG_MAX``."""

_NOWHERE = 0xFFFFFFFF
"""Neither a descriptor nor an interface."""

Place = tuple[str, int, int]
"""What a bpf link says of where it is: kind, number of interface, cgroup, namespace or map, hook
(0 where there is but one)."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A program at a hook.

    Attributes:
        kind: ``tc``, ``tcx``, ``xdp``, ``cgroup``, ``struct ops``, ...
        where: the hook and its interface, cgroup, namespace or map, for a person.
        prog_id: kernel program id.
        place: what a link attached there says of its place; None where links say nothing.
    """

    kind: str
    where: str
    prog_id: int
    place: Place | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.where}".rstrip()


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of a kind of target.

    Attributes:
        number: ``enum bpf_attach_type``.
        kind: of its attachments; a bpf link to it is of the same kind.
        name: for a person.
        type: of the programs that fit.
    """

    number: int
    kind: str
    name: str
    type: ProgramType


class Target(Enum):
    """What hooks are on; each is asked for in its own way."""

    INTERFACE = "interface"
    """By its number in the calling thread's namespace."""
    CGROUP = "cgroup"
    """By a descriptor of its folder in a cgroup v2 hierarchy."""
    NAMESPACE = "network namespace"
    """By a descriptor of its file."""
    SOCKMAP = "map"
    """By a descriptor of the map of sockets."""


_CGROUP_HOOKS = {
    ProgramType.CGROUP_SKB: {0: "ingress", 1: "egress"},
    ProgramType.CGROUP_SOCK: {
        2: "sock create",
        12: "post bind4",
        13: "post bind6",
        34: "sock release",
    },
    ProgramType.SOCK_OPS: {3: "sock ops"},
    ProgramType.CGROUP_DEVICE: {6: "device"},
    ProgramType.CGROUP_SOCK_ADDR: {
        8: "bind4",
        9: "bind6",
        10: "connect4",
        11: "connect6",
        14: "sendmsg4",
        15: "sendmsg6",
        19: "recvmsg4",
        20: "recvmsg6",
        29: "getpeername4",
        30: "getpeername6",
        31: "getsockname4",
        32: "getsockname6",
        49: "unix connect",
        50: "unix sendmsg",
        51: "unix recvmsg",
        52: "unix getpeername",
        53: "unix getsockname",
    },
    ProgramType.CGROUP_SYSCTL: {18: "sysctl"},
    ProgramType.CGROUP_SOCKOPT: {21: "getsockopt", 22: "setsockopt"},
}

HOOKS = {
    # tcx is in Linux 6.6, netkit in 6.7; a netkit peer's programs are asked of its primary.
    Target.INTERFACE: (
        Hook(46, "tcx", "ingress", ProgramType.SCHED_CLS),
        Hook(47, "tcx", "egress", ProgramType.SCHED_CLS),
        Hook(54, "netkit", "primary", ProgramType.SCHED_CLS),
        Hook(55, "netkit", "peer", ProgramType.SCHED_CLS),
    ),
    Target.CGROUP: tuple(
        Hook(number, "cgroup", name, type_)
        for type_, names in _CGROUP_HOOKS.items()
        for number, name in names.items()
    ),
    Target.NAMESPACE: (
        Hook(17, "netns", "flow dissector", ProgramType.FLOW_DISSECTOR),
        Hook(36, "netns", "sk lookup", ProgramType.SK_LOOKUP),
    ),
    Target.SOCKMAP: (
        Hook(4, "sockmap", "stream parser", ProgramType.SK_SKB),
        Hook(5, "sockmap", "stream verdict", ProgramType.SK_SKB),
        Hook(7, "sockmap", "message verdict", ProgramType.SK_MSG),
        Hook(38, "sockmap", "verdict", ProgramType.SK_SKB),
    ),
}
"""Every hook that can be asked."""


class Asker:
    """Asks hooks for their programs. Not for several threads at once.

    Args:
        loaded: types of the programs there are; a hook that none of them fits is not asked.
    """

    def __init__(self, loaded: Collection[ProgramType]) -> None:
        self._hooks = {
            target: tuple(hook for hook in hooks if hook.type in loaded)
            for target, hooks in HOOKS.items()
        }
        self._room = (ctypes.c_uint32 * _MOST_PROGRAMS)()
        self._attr = ProgQueryAttr(prog_ids=ctypes.addressof(self._room))
        self._query = prepared(Cmd.BPF_PROG_QUERY, self._attr)

    def worth(self, target: Target) -> bool:
        """Whether any loaded program fits a target of this kind."""
        return bool(self._hooks[target])

    def at(self, target: Target, handle: int, number: int, where: str) -> list[Attachment]:
        """The programs attached to a target itself, not those in effect there by inheritance.

        A hook that the kernel lacks, or a target that went meanwhile, has none.

        Args:
            target: its kind.
            handle: the descriptor or number it is asked for by.
            number: its number as links give it.
            where: its name, for a person.
        """
        found: list[Attachment] = []
        attr = self._attr
        attr.target_fd = handle
        for hook in self._hooks[target]:
            attr.attach_type, attr.prog_cnt = hook.number, _MOST_PROGRAMS
            # Answers of the query before, which some hooks refuse to be given.
            attr.attach_flags = attr.revision = 0
            if self._query() and attr.prog_cnt:
                name, place = f"{hook.name} of {where}", (hook.kind, number, hook.number)
                programs = self._room[: attr.prog_cnt]
                found += [Attachment(hook.kind, name, prog_id, place) for prog_id in programs]
        return found


def known(hook: Hook) -> bool:
    """Whether this kernel has the hook and tells what is attached to it.

    It answers EINVAL for a hook it does not know, and something else for a missing target.

    Raises:
        DeniedError: without CAP_NET_ADMIN.
    """
    result = retrying(
        Cmd.BPF_PROG_QUERY, ProgQueryAttr(target_fd=_NOWHERE, attach_type=hook.number)
    )
    if result == -errno.EPERM:
        raise bpf_error(errno.EPERM, Cmd.BPF_PROG_QUERY.name, f"{hook.kind} {hook.name}")
    return result not in {-errno.EINVAL, -errno.EOPNOTSUPP}
