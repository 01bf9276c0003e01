"""An endpoint's programs without a network: packets go in by hand, tables are read back."""

from __future__ import annotations

import struct
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.config import AgentConfig
from ctconsole.datapath import loader
from ctconsole.kernel import clock, mapwrite, pins
from ctconsole.kernel.maps import BpfMap, possible_cpus
from ctconsole.kernel.programs import run_program
from ctconsole.kernel.tc import TcHook
from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import CtTable
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

POD = Endpoint(
    id=10,
    name="pod",
    ifname="lxc00010",
    ifindex=0,
    mac="02:00:00:00:00:01",
    node_mac="02:00:00:00:00:02",
    ipv4="10.5.5.5",
    identity=70_000,
)
EGRESS, INGRESS = 2, 1
_MARK_OFFSET = 8

NO_PREALLOC = 1

SPECS = (
    MapSpec("cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096),
    MapSpec("cilium_ct_any4_global", MapType.LRU_HASH, 14, 56, 4096),
    MapSpec("cilium_metrics", MapType.PERCPU_HASH, 8, 16, 1024),
    MapSpec("cilium_ct6_global", MapType.LRU_HASH, 38, 56, 4096),
    MapSpec("cilium_ct_any6_global", MapType.LRU_HASH, 38, 56, 4096),
    MapSpec("cilium_lb4_services_v2", MapType.HASH, 12, 12, 256),
    MapSpec("cilium_lb4_backends", MapType.HASH, 2, 8, 256),
    MapSpec("cilium_lb4_reverse_nat", MapType.HASH, 2, 6, 256),
    MapSpec("cilium_lb6_services_v2", MapType.HASH, 24, 12, 256),
    MapSpec("cilium_lb6_backends", MapType.HASH, 2, 20, 256),
    MapSpec("cilium_lb6_reverse_nat", MapType.HASH, 2, 18, 256),
    MapSpec("cilium_policy_00010", MapType.HASH, 8, 24, 256),
    MapSpec("cilium_policy_00011", MapType.HASH, 8, 24, 256),
    MapSpec("cilium_ipcache", MapType.LPM_TRIE, 24, 12, 256, flags=NO_PREALLOC),
    MapSpec("cilium_lxc", MapType.HASH, 20, 48, 256),
    MapSpec("cilium_call_policy", MapType.PROG_ARRAY, 4, 4, 256),
    MapSpec("cilium_events", MapType.PERF_EVENT_ARRAY, 4, 4, possible_cpus()),
    MapSpec("cilium_signals", MapType.PERF_EVENT_ARRAY, 4, 4, possible_cpus()),
    MapSpec("cilium_ipv4_frag_datagrams", MapType.LRU_HASH, 12, 4, 256),
)

MAGLEV_SIZE = 251

AFFINITY_SPECS = (
    MapSpec("cilium_lb_affinity_match", MapType.HASH, 8, 1, 256),
    MapSpec("cilium_lb4_affinity", MapType.LRU_HASH, 16, 16, 256),
    MapSpec("cilium_lb6_affinity", MapType.LRU_HASH, 24, 16, 256),
)

MAGLEV_SPECS = tuple(
    MapSpec(
        f"cilium_lb{family}_maglev",
        MapType.HASH_OF_MAPS,
        2,
        4,
        256,
        inner=MapSpec("table", MapType.ARRAY, 4, 2 * MAGLEV_SIZE, 1),
    )
    for family in (4, 6)
)


def pin_maps(gate: Gate, root: Path, specs: tuple[MapSpec, ...] = SPECS) -> dict[str, Path]:
    """Create and pin maps; their pins by name."""
    for spec in specs:
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / spec.name)
    return {spec.name: root / spec.name for spec in specs}


def hash_tables(entries: int) -> tuple[MapSpec, ...]:
    """`SPECS` with conntrack tables that refuse instead of evicting."""
    return tuple(
        replace(spec, type=MapType.HASH, max_entries=entries)
        if spec.name.startswith("cilium_ct")
        else spec
        for spec in SPECS
    )


@dataclass
class Wire:
    """Loaded programs and the pins of their maps.

    Attributes:
        at: CLOCK_MONOTONIC in seconds when the last packet was through.
    """

    gate: Gate
    maps: Mapping[str, Path]
    programs: loader.LoadedPrograms
    at: int = field(default_factory=clock.ktime, init=False)

    def out(self, packet: bytes) -> bool:
        """Let the pod send a packet; whether it was forwarded."""
        return self._run(TcHook.INGRESS, packet, b"")

    def into(self, packet: bytes, *, mark: int = 0) -> bool:
        """Let a packet arrive for the pod; whether it was delivered."""
        context = struct.pack("=8xI", mark) if mark else b""
        assert len(context) in {0, _MARK_OFFSET + 4}
        return self._run(TcHook.EGRESS, packet, context)

    def sent(self, packet: bytes) -> bytes | None:
        """A packet of the pod's as it goes on, translated or not; None where it is dropped."""
        return self._through(TcHook.INGRESS, packet, b"")

    def received(self, packet: bytes) -> bytes | None:
        """A packet for the pod as it is delivered; None where it is dropped."""
        return self._through(TcHook.EGRESS, packet, b"")

    def _run(self, hook: TcHook, packet: bytes, context: bytes) -> bool:
        after = self._through(hook, packet, context)
        assert after in {None, packet}
        return after is not None

    def _through(self, hook: TcHook, packet: bytes, context: bytes) -> bytes | None:
        verdict, after, _ = run_program(self.programs.on(hook).fd, packet, context=context)
        self.at = clock.ktime()
        assert verdict in {0, 2}
        return after if verdict == 0 else None

    def table(self, name: str = "ct4") -> CtTable:
        """A sample of ``cilium_<name>_global``."""
        with BpfMap.open(self.maps[f"cilium_{name}_global"]) as live:
            dump = live.read()
            now = clock.ktime()
            return CtTable.from_raw(live.info, Layout.V1_9, dump.keys, dump.values, now=now)

    def titles(self, name: str = "ct4") -> set[str]:
        """What Cilium's listing says of each entry before its numbers."""
        lines = b"".join(render_text(self.table(name))).decode().split("\n")
        return {line.split(" expires=")[0] for line in lines if line}

    def entry(self, name: str = "ct4", *, related: bool = False) -> np.void:
        """The only entry of a table that is (not) for ICMP errors."""
        table = self.table(name)
        (row,) = np.flatnonzero(table.related == related)
        value: np.void = table.values[row]
        return value

    def lives(self, name: str = "ct4") -> int:
        """Seconds the only entry had left after the last packet, give or take one."""
        return int(self.entry(name)["lifetime"]) - self.at

    def change(self, name: str = "ct4", **fields: int) -> None:
        """Write fields of the only entry, as if time had passed."""
        table = self.table(name)
        (row,) = np.flatnonzero(~table.related)
        value = table.values[row : row + 1].copy()
        for word, content in fields.items():
            value[word] = content
        with BpfMap.open(self.maps[f"cilium_{name}_global"]) as live:
            mapwrite.update(self.gate, live, table.keys[row].tobytes(), value.tobytes())

    def metrics(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Packets and bytes of all CPUs by reason and direction."""
        with BpfMap.open(self.maps["cilium_metrics"]) as live:
            dump = live.read()
        sums = dump.values.view("<u8").reshape(len(dump.keys), -1, 2).sum(axis=1)
        return {
            (int(key[0]), int(key[1])): (int(packets), int(size))
            for key, (packets, size) in zip(dump.keys, sums, strict=True)
        }


@contextmanager
def wire(
    gate: Gate,
    root: Path,
    *,
    config: AgentConfig | None = None,
    specs: tuple[MapSpec, ...] = SPECS,
    endpoint: Endpoint = POD,
) -> Iterator[Wire]:
    """Programs of one endpoint on maps of their own."""
    maps = pin_maps(gate, root, specs)
    with ExitStack() as stack:
        programs = loader.load(gate, config or AgentConfig(), maps, endpoint)
        stack.enter_context(programs)
        loader.publish(gate, endpoint, programs)
        yield Wire(gate, maps, programs)
