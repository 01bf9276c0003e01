"""Programs on an interface: clsact and direct-action bpf filters.

One filter for each hook, always under the same priority and handle, so that attaching again is a
replacement. cls_bpf replaces a filter with one pointer exchange under RCU
(``net/sched/cls_bpf.c``): each packet meets the old program or the new one, never none.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError
from ctconsole.kernel.rtnl import talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroute2 import IPRoute
    from pyroute2.netlink import nlmsg

    from ctconsole.kernel.gate import Gate

PRIORITY = 1
HANDLE = 1
"""Where our one filter of a hook sits; Cilium uses the same (``pkg/datapath/loader``, 1.9)."""

_ETH_P_ALL = 0x0003
_TCA_BPF_ID = 11
_NLA_HEADER = 4


class TcHook(StrEnum):
    """A side of an interface, as the kernel names it: ingress is what the interface receives."""

    INGRESS = "ingress"
    EGRESS = "egress"

    @property
    def parent(self) -> int:
        """``TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or _EGRESS)``."""
        return 0xFFFFFFF2 if self is TcHook.INGRESS else 0xFFFFFFF3


@dataclass(frozen=True, slots=True)
class TcFilter:
    """One attached program.

    Attributes:
        hook: which side.
        prio: priority; the lowest number runs first.
        handle: tells filters of one priority apart.
        prog_id: kernel program id, 0 where the kernel does not say (before Linux 4.13).
        name: the filter's name.
    """

    hook: TcHook
    prio: int
    handle: int
    prog_id: int
    name: str


def ensure_clsact(_gate: Gate, ifindex: int, *, netns: str | None = None) -> bool:
    """Make the hooks of an interface (Linux 4.5).

    Returns:
        False where they were there already.

    Raises:
        BpfError: no such interface (ENODEV), or the kernel lacks clsact.
    """
    try:
        talk(
            "RTM_NEWQDISC",
            f"clsact on interface {ifindex}",
            lambda route: route.tc("add", "clsact", ifindex),
            netns=netns,
        )
    except BpfError as error:
        if error.errno != errno.EEXIST:
            raise
        return False
    return True


def replace_filter(
    _gate: Gate, ifindex: int, hook: TcHook, prog_fd: int, name: str, *, netns: str | None = None
) -> None:
    """Attach a program, atomically in place of the one there is.

    Args:
        ifindex: an interface with clsact.
        hook: which side.
        prog_fd: a loaded SCHED_CLS program; may be closed afterwards.
        name: the filter's name, for people and tools.
        netns: the interface's namespace; None is the calling thread's.
    """
    talk(
        "RTM_NEWTFILTER",
        f"{name} on {hook} of interface {ifindex}",
        lambda route: route.tc(
            "replace-filter",
            "bpf",
            ifindex,
            HANDLE,
            fd=prog_fd,
            name=name,
            parent=hook.parent,
            prio=PRIORITY,
            protocol=_ETH_P_ALL,
            direct_action=True,
        ),
        netns=netns,
    )


def remove_filter(_gate: Gate, ifindex: int, hook: TcHook, *, netns: str | None = None) -> bool:
    """Detach our program; False where there was none."""
    return _gone(
        f"{hook} of interface {ifindex}",
        lambda route: route.tc(
            "del-filter",
            "bpf",
            ifindex,
            HANDLE,
            parent=hook.parent,
            prio=PRIORITY,
            protocol=_ETH_P_ALL,
        ),
        netns,
        "RTM_DELTFILTER",
    )


def filters(ifindex: int, *, netns: str | None = None) -> list[TcFilter]:
    """The bpf filters of both hooks, in the order they run; empty without clsact."""
    return talk(
        "RTM_GETTFILTER",
        f"interface {ifindex}",
        lambda route: read_filters(route, ifindex),
        netns=netns,
    )


def read_filters(route: IPRoute, ifindex: int) -> list[TcFilter]:
    """`filters` over a conversation that is open already, for many interfaces in a row."""
    return [
        _filter(hook, message)
        for hook in TcHook
        for message in route.get_filters(ifindex, parent=hook.parent)
        if message.get_attr("TCA_KIND") == "bpf" and message["handle"]
    ]


def _gone(subject: str, work: Callable[[IPRoute], object], netns: str | None, what: str) -> bool:
    try:
        talk(what, subject, work, netns=netns)
    except BpfError as error:
        if error.errno not in {errno.ENOENT, errno.EINVAL, errno.ENODEV}:
            raise
        return False
    return True


def _filter(hook: TcHook, message: nlmsg) -> TcFilter:
    options = message.get_attr("TCA_OPTIONS")
    return TcFilter(
        hook=hook,
        prio=message["info"] >> 16,
        handle=message["handle"],
        prog_id=_program_id(options),
        name=options.get_attr("TCA_BPF_NAME") or "",
    )


def _program_id(options: nlmsg) -> int:
    """``TCA_BPF_ID``, which pyroute2 0.9 hands over undecoded."""
    for _, value in options["attrs"]:
        header = value.get("header") if hasattr(value, "get") else None
        if header and header["type"] == _TCA_BPF_ID:
            return int(struct.unpack_from("=I", value.data, value.offset + _NLA_HEADER)[0])
    return 0
