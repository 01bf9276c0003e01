"""What is attached to the interfaces of a network namespace: XDP, and bpf filters of tc.

One list of the interfaces, one of the queueing disciplines, and two of filters for each interface
that has hooks for them.
"""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError
from ctconsole.kernel.hooks import Attachment, Target
from ctconsole.kernel.netlink import Netlink, attributes, number, text
from ctconsole.kernel.tc import TcHook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.kernel.hooks import Asker

_GETLINK, _GETQDISC, _GETTFILTER = 18, 38, 46
_LINK = struct.Struct("=BxHiII")
"""``struct ifinfomsg``."""
_TC = struct.Struct("=BxxxiIII")
"""``struct tcmsg``: family, interface, handle, parent, info."""

_IFNAME, _XDP, _EXT_MASK = 3, 43, 29
_SKIP_STATS = struct.pack("=HHI", 8, _EXT_MASK, 1 << 3)
"""``RTEXT_FILTER_SKIP_STATS`` (Linux 4.4), more than half of a message."""

_XDP_PROG = 4
_XDP_MODES = {6: "generic", 5: "driver", 7: "offloaded"}
"""``IFLA_XDP_SKB_PROG_ID``, ``_DRV_`` and ``_HW_`` (Linux 4.18).

Several may be there at once, and then there is no ``IFLA_XDP_PROG_ID``.
"""

_KIND, _OPTIONS, _BPF_ID = 1, 2, 11
_SIDES = {"clsact": tuple(TcHook), "ingress": (TcHook.INGRESS,)}
"""The hooks of the queueing disciplines that have any (``net/sched/sch_ingress.c``)."""

_GONE = {errno.ENODEV, errno.ENOENT, errno.EINVAL}
"""The interface or its hooks went meanwhile."""


def on_interfaces(where: str, asker: Asker) -> Iterator[Attachment]:
    """Everything attached to the interfaces of the calling thread's namespace.

    Args:
        where: of the namespace, to be put behind an interface's name.
        asker: asks each interface for tcx and netkit.

    Raises:
        BpfError: the interfaces cannot be listed, or one of them cannot be asked.
    """
    with Netlink() as kernel:
        links = [
            _interface(body)
            for body in kernel.dump(
                _GETLINK,
                _LINK.pack(0, 0, 0, 0, 0) + _SKIP_STATS,
                "RTM_GETLINK",
                f"interfaces{where}",
            )
        ]
        sides = dict(_sides(kernel, where))
        for index, name, xdp in links:
            place = name + where
            yield from xdp_attachments(xdp, index, place)
            yield from asker.at(Target.INTERFACE, index, index, place)
            for side in sides.get(index, ()):
                for prog_id in _filters(kernel, index, side, place):
                    yield Attachment("tc", f"{side} of {place}", prog_id)


def xdp_attachments(xdp: Mapping[int, int], index: int, where: str) -> list[Attachment]:
    """The XDP programs of one interface.

    Args:
        xdp: the numbers in its IFLA_XDP, by attribute.
        index: its number.
        where: its name, for a person.
    """
    place = ("xdp", index, 0)
    found = [
        Attachment("xdp", f"{mode} of {where}", prog_id, place)
        for kind, mode in _XDP_MODES.items()
        if (prog_id := xdp.get(kind, 0))
    ]
    prog_id = xdp.get(_XDP_PROG, 0)
    return found or ([Attachment("xdp", where, prog_id, place)] if prog_id else [])


def _interface(body: bytes) -> tuple[int, str, dict[int, int]]:
    """Number, name and what IFLA_XDP says."""
    index, name, xdp = _LINK.unpack_from(body)[2], "", {}
    for kind, payload in attributes(body, _LINK.size):
        if kind == _IFNAME:
            name = text(payload)
        elif kind == _XDP:
            xdp = {inner: number(value) for inner, value in attributes(payload)}
    return index, name, xdp


def _sides(kernel: Netlink, where: str) -> Iterator[tuple[int, tuple[TcHook, ...]]]:
    """The hooks of every interface that has some, by its number."""
    question = _TC.pack(0, 0, 0, 0, 0)
    for body in kernel.dump(_GETQDISC, question, "RTM_GETQDISC", f"interfaces{where}"):
        index = _TC.unpack_from(body)[1]
        for kind, payload in attributes(body, _TC.size):
            if kind == _KIND and (sides := _SIDES.get(text(payload))):
                yield index, sides


def _filters(kernel: Netlink, index: int, side: TcHook, where: str) -> Iterator[int]:
    """The programs of one hook, in the order they run."""
    question = _TC.pack(0, index, 0, side.parent, 0)
    try:
        answer = kernel.dump(_GETTFILTER, question, "RTM_GETTFILTER", where)
    except BpfError as error:
        if error.errno in _GONE:
            return
        raise
    for body in answer:
        found = dict(attributes(body, _TC.size))
        if text(found.get(_KIND, b"")) == "bpf" and _TC.unpack_from(body)[2]:
            prog_id = number(dict(attributes(found.get(_OPTIONS, b""))).get(_BPF_ID, b""))
            if prog_id:
                yield prog_id
