"""Two connected network namespaces for one test."""

from __future__ import annotations

import os
import secrets
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ctconsole.kernel import iproute, netns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate


def unique(word: str) -> str:
    """A name no other test or lab of this machine has."""
    return f"ctt-{os.getpid()}-{secrets.token_hex(2)}-{word}"


@contextmanager
def namespace(gate: Gate, word: str = "ns") -> Iterator[str]:
    """A namespace with a unique name, deleted afterwards."""
    name = unique(word)
    try:
        netns.create(gate, name)
        yield name
    finally:
        netns.delete(gate, name)


@contextmanager
def connected_pair(gate: Gate) -> Iterator[tuple[str, str]]:
    """Namespaces left (veth ``left0``, 10.77.0.1/24) and right (``right0``, 10.77.0.2/24)."""
    with ExitStack() as stack:
        left = stack.enter_context(namespace(gate, "left"))
        right = stack.enter_context(namespace(gate, "right"))
        iproute.add_veth(gate, "left0", "right0", netns=left, peer_netns=right)
        iproute.add_address(gate, "left0", "10.77.0.1/24", netns=left)
        iproute.add_address(gate, "right0", "10.77.0.2/24", netns=right)
        iproute.set_up(gate, "left0", netns=left)
        iproute.set_up(gate, "right0", netns=right)
        yield left, right
