"""Keys byte for byte as a Cilium agent wrote them for the same packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.packets import ECHO, SYN, icmp, tcp, udp

if TYPE_CHECKING:
    from tests.support.wire import Wire

A, B = "10.244.1.40", "10.244.1.70"

# Seen in cilium_ct4_global and cilium_ct_any4_global of a 1.18 agent while A connected to B,
# sent it datagrams and pinged it; flags 00 are A's entries, 01 are B's.
TCP_KEYS = (
    "0af40128 0af40146 1f90 857c 06 00",
    "0af40128 0af40146 1f90 8578 06 00",
    "0af40128 0af40146 1f90 acc8 06 00",
)
ANY_KEYS = (
    "0af40128 0af40146 14e9 b846 11 00",
    "0af40128 0af40146 14e9 8866 11 00",
    "0af40128 0af40146 0000 7e9f 01 00",
    "0af40128 0af40146 0000 7f34 01 00",
    "0af40128 0af40146 0000 0000 01 02",
)


def frames() -> list[bytes]:
    return [
        *(tcp((A, port), (B, 8080), SYN) for port in (34172, 34168, 44232)),
        *(udp((A, port), (B, 5353), b"?") for port in (47174, 34918)),
        *(icmp(A, B, ECHO, identifier) for identifier in (32415, 32564)),
    ]


def seen_by(keys: tuple[str, ...], side: int) -> set[bytes]:
    """The captured keys as A's (0) or B's (1) program makes them."""
    return {bytes([*raw[:-1], raw[-1] | side]) for raw in map(bytes.fromhex, keys)}


@pytest.mark.parametrize("side", [0, 1], ids=["sender", "receiver"])
def test_keys_are_cilium_s(pod: Wire, side: int) -> None:
    handle = pod.into if side else pod.out
    assert all(handle(frame) for frame in frames())
    assert {key.tobytes() for key in pod.table("ct4").keys} == seen_by(TCP_KEYS, side)
    assert {key.tobytes() for key in pod.table("ct_any4").keys} == seen_by(ANY_KEYS, side)
