"""Looking at a lab's conntrack tables and log from a test case."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.agent.state import StateDir
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import Layout, TupleFlag
from ctconsole.model.ct.table import CtTable
from ctconsole.model.plane.encode import keys_in, values_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.lab.folders import Lab
    from ctconsole.model.spec import MapInfo

TCP_MAP = "cilium_ct4_global"
TCP6_MAP = "cilium_ct6_global"
ANY_MAP = "cilium_ct_any4_global"

SECONDS = 60.0
"""How long `until` waits for what is bound to follow, on a machine that may be under load."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection's two ends, as the side that opened it sees them.

    Attributes:
        source: address and port of the client.
        destination: address and port of the server.
    """

    source: tuple[str, int]
    destination: tuple[str, int]

    @classmethod
    def of(cls, client: socket.socket) -> Flow:
        """The flow of a connected TCP socket."""
        return cls(client.getsockname()[:2], client.getpeername()[:2])

    def __str__(self) -> str:
        """As Cilium's tool prints it: an IPv6 address has no brackets."""
        (source, sport), (destination, dport) = self.source, self.destination
        return f"{source}:{sport} -> {destination}:{dport}"

    def of_its_own(self, direction: str) -> str:
        """How Cilium's tool begins its line in a table of one endpoint: with one end's address."""
        (_, sport), (destination, dport) = self.source, self.destination
        ports = f"{dport}:{sport}" if direction == "OUT" else f"{sport}:{dport}"
        return f"TCP {direction} {destination} {ports} "


def map_info(lab: Lab, name: str) -> MapInfo:
    """What the kernel says of the map pinned under ``name`` now."""
    with BpfMap.open(lab.globals / name) as live:
        return live.info


def table(lab: Lab, name: str = TCP_MAP) -> CtTable:
    """All entries of a CT map."""
    with BpfMap.open(lab.globals / name) as live:
        dump = live.read()
        return CtTable.from_raw(
            live.info,
            Layout.V1_9,
            dump.keys,
            dump.values,
            now=ktime(),
            taken_at=time.time(),
            walk=dump.walk,
        )


def entries(lab: Lab, flow: Flow, name: str = TCP_MAP) -> CtTable:
    """The entries of one flow, whichever direction they take it for."""
    return entries_in(table(lab, name), flow)


def entries_in(whole: CtTable, flow: Flow) -> CtTable:
    """The entries of one flow in a table that was read."""
    ends = whole.ends
    forward = _is(ends.source, ends.source_port, flow.source)
    forward &= _is(ends.destination, ends.destination_port, flow.destination)
    backward = _is(ends.source, ends.source_port, flow.destination)
    backward &= _is(ends.destination, ends.destination_port, flow.source)
    return whole.take(forward | backward)


def counted_of(
    whole: CtTable, client: tuple[str, int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """What the entries of a client's connection count: packets and bytes to the server and back.

    An entry that let it in counts what its client sent as received, one that let it out as
    sent. Entries of services are none of these.
    """
    found = entries_of(whole, client)
    counted = []
    for key, value in zip(found.keys, found.values, strict=True):
        rx, tx = (
            (int(value[f"{way}_packets"]), int(value[f"{way}_bytes"])) for way in ("rx", "tx")
        )
        counted.append((rx, tx) if key["flags"] & TupleFlag.TUPLE_F_IN else (tx, rx))
    return counted


def entries_of(whole: CtTable, client: tuple[str, int]) -> CtTable:
    """The entries of a client's connection, but for those of services."""
    ends = whole.ends
    mine = _is(ends.source, ends.source_port, client)
    mine |= _is(ends.destination, ends.destination_port, client)
    mine &= whole.keys["flags"] & TupleFlag.TUPLE_F_SERVICE == 0
    return whole.take(mine)


def dropped(lab: Lab) -> int:
    """Packets the datapath has dropped, for any reason."""
    name = "cilium_metrics"
    with BpfMap.open(lab.globals / name) as live:
        dump = live.read()
    reasons = keys_in(name, dump.keys.tobytes())["reason"]
    counts = values_in(name, dump.values.tobytes())["count"]
    of_each_cpu = np.repeat(reasons, len(counts) // max(1, len(reasons)))
    return int(counts[of_each_cpu >= _DROPS].sum())


_DROPS = 130
"""Reasons from here on are drops (``DROP_UNUSED1`` of ``bpf/lib/common.h``)."""


def text(found: CtTable) -> str:
    """Entries as ``cilium bpf ct list global`` (1.9) prints them, ``nothing found`` for none."""
    lines = b"".join(render_text(found)).decode().splitlines()
    return "\n".join(line.rstrip() for line in lines if line.strip()) or "nothing found"


def segments_sent(client: socket.socket) -> int:
    """TCP segments this socket has sent, of any kind, by the kernel's own count.

    ``tcpi_segs_out`` of ``struct tcp_info``, at byte 136 since Linux 4.2.
    """
    raw = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return int(struct.unpack_from("=I", raw, 136)[0])


def until(check: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Ask again and again until ``check`` says yes; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def log_size(lab: Lab) -> int:
    """Bytes in the agent's log; where `log_since` starts to read."""
    return log_file(lab).stat().st_size


def log_since(lab: Lab, size: int) -> list[str]:
    """Lines the agent logged after its log had ``size`` bytes."""
    with log_file(lab).open("rb") as file:
        file.seek(size)
        return file.read().decode("utf-8", "replace").splitlines()


def log_file(lab: Lab) -> Path:
    """The agent's log."""
    return StateDir(lab.state_dir).log


def _is(
    addresses: npt.NDArray[np.uint8], ports: npt.NDArray[np.uint16], end: tuple[str, int]
) -> npt.NDArray[np.bool_]:
    """Which rows have this address and port; ``addresses`` is u1 of shape (n, 4) or (n, 16)."""
    wanted = np.frombuffer(ip_address(end[0]).packed, np.uint8)
    if addresses.shape[1] != len(wanted):
        return np.zeros(len(addresses), np.bool_)
    return np.asarray((addresses == wanted).all(axis=1) & (ports == end[1]))
