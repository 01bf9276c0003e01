"""One conversation with rtnetlink: in the right namespace, closed afterwards, errors translated."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from ctconsole.errors import bpf_error
from ctconsole.kernel import netns as namespaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroute2 import IPRoute

T = TypeVar("T")


def talk(what: str, subject: str, work: Callable[[IPRoute], T], *, netns: str | None = None) -> T:
    """Call ``work`` with an open ``IPRoute`` socket.

    Args:
        what: the request, for the message of an error, e.g. ``RTM_NEWLINK``.
        subject: the link, route or filter it is about.
        work: does the talking; must return values, no generators over the socket.
        netns: name of the namespace to talk in; None is the calling thread's.

    Raises:
        BpfError: with the errno the kernel answered.
        GoneError: no such namespace, or ENOENT from the kernel.
    """
    # pyroute2 drives an event loop of its own, which cannot nest in a running one.
    results: list[T] = []

    def converse() -> None:
        results.append(_talk(what, subject, work))

    with namespaces.inside(netns):
        if _in_event_loop():
            namespaces.in_thread(converse)
        else:
            converse()
    return results[0]


def _talk(what: str, subject: str, work: Callable[[IPRoute], T]) -> T:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as route:
            return work(route)
    except NetlinkError as error:
        raise bpf_error(int(error.code), what, subject) from error


def _in_event_loop() -> bool:
    if "asyncio" not in sys.modules:
        # Then none runs, and a verb that does without is spared its import.
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
