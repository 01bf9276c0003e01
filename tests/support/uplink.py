"""The uplink's programs without a network, and what their maps hold."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.config import AgentConfig
from ctconsole.datapath import netdev
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import run_program
from ctconsole.kernel.tc import TcHook
from ctconsole.model.ct.layout import KEY4
from ctconsole.model.plane.uplink import Uplink
from ctconsole.model.spec import MapSpec, MapType
from tests.support.wire import SPECS, pin_maps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

NODE, POD, OUTSIDE = "10.5.224.90", "10.5.5.5", "192.0.2.7"
UPLINK = Uplink("eth0", 0, NODE, native_cidr="10.5.0.0/16")
VALUE = np.dtype(
    [
        ("created", "u8"),
        ("host_local", "u8"),
        ("pad", "u8", (2,)),
        ("addr", "u1", (4,)),
        ("port", ">u2"),
        ("end", "u2"),
    ]
)


def nat_specs(entries: int = 4096, kind: MapType = MapType.LRU_HASH) -> tuple[MapSpec, ...]:
    """`wire.SPECS` and a table of translations."""
    return (*SPECS, MapSpec("cilium_snat_v4_external", kind, 14, 40, entries))


@dataclass
class Node:
    """Loaded programs and the pins of their maps."""

    gate: Gate
    maps: Mapping[str, Path]
    programs: netdev.LoadedNetdev

    def out(self, packet: bytes) -> bytes | None:
        """A packet that leaves the node as it does so; None where it is dropped."""
        return self._run(TcHook.EGRESS, packet)

    def into(self, packet: bytes) -> bytes | None:
        """A packet that comes in as it goes on."""
        return self._run(TcHook.INGRESS, packet)

    def _run(self, hook: TcHook, packet: bytes) -> bytes | None:
        verdict, after, _ = run_program(self.programs.fds[hook], packet)
        assert verdict in {0, 2}
        return after if verdict == 0 else None

    def mappings(self) -> dict[tuple[str, str], tuple[str, int]]:
        """What is filed: ``OUT a:p -> b:p`` or ``IN ...`` to address and port."""
        with BpfMap.open(self.maps["cilium_snat_v4_external"]) as live:
            dump = live.read()
        keys = dump.keys.view(KEY4).reshape(-1)
        values = dump.values.view(VALUE).reshape(-1)
        return {
            (
                "IN" if key["flags"] else "OUT",
                f"{_dotted(key['saddr'])}:{key['sport']} -> {_dotted(key['daddr'])}:{key['dport']}",
            ): (_dotted(value["addr"]), int(value["port"]))
            for key, value in zip(keys, values, strict=True)
        }

    def metrics(self) -> dict[tuple[int, int], int]:
        """Packets by reason and direction."""
        with BpfMap.open(self.maps["cilium_metrics"]) as live:
            dump = live.read()
        sums = dump.values.view("<u8").reshape(len(dump.keys), -1, 2).sum(axis=1)
        return {
            (int(key[0]), int(key[1])): int(count[0])
            for key, count in zip(dump.keys, sums, strict=True)
        }


@contextmanager
def node(
    gate: Gate,
    root: Path,
    *,
    specs: tuple[MapSpec, ...] | None = None,
    uplink: Uplink = UPLINK,
) -> Iterator[Node]:
    """The uplink's programs on maps of their own; the pod is known as the node's."""
    maps = pin_maps(gate, root, specs or nat_specs())
    add_pod(gate, maps["cilium_lxc"], POD)
    with netdev.load_netdev(gate, AgentConfig(), maps, uplink) as programs:
        yield Node(gate, maps, programs)


def add_pod(gate: Gate, endpoints: Path, address: str) -> None:
    """File a pod in ``cilium_lxc``."""
    with BpfMap.open(endpoints) as live:
        key = socket.inet_aton(address) + bytes(12) + struct.pack("=BBH", 1, 0, 0)
        mapwrite.update(gate, live, key, bytes(48))


def _dotted(raw: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return socket.inet_ntoa(raw.tobytes())
