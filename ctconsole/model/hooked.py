"""Where a program is attached, taken apart: the words in which attachments tell it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ON_INTERFACE: Final = re.compile(
    r"(?P<kind>tc|tcx|xdp|netkit)(?: (?P<side>\S+) of)? (?P<interface>interface \d+|\S+)"
    r"(?: in (?P<namespace>.+))?"
)


class Hooked(NamedTuple):
    """One hook.

    Attributes:
        interface: its name; empty for a hook that is of none.
        namespace: the network namespace it is in; empty for this one.
        hook: ``tcx ingress``; of what is no interface's hook all that is told.
    """

    interface: str
    namespace: str
    hook: str


def hooked(where: str) -> Hooked:
    """What a text says that an attachment tells of itself, as ``tc ingress of eth0 in client``."""
    found = _ON_INTERFACE.fullmatch(where)
    if found is None:
        return Hooked("", "", where)
    hook = " ".join(filter(None, (found["kind"], found["side"])))
    return Hooked(found["interface"], found["namespace"] or "", hook)
