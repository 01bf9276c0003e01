"""A table that is too small: what a flood of new connections does to the old ones.

Cilium's tables are LRU: a new connection always finds room, and an idle one loses its entry for
it, which its next packet brings back. In a plain hash table there is no room: new connections
are dropped with reason 155, and the agent is called.
"""

from __future__ import annotations

import socket
import struct
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.agent.state import StateDir, load_endpoints
from ctconsole.datapath import loader
from ctconsole.history import History
from ctconsole.kernel import mapwrite, netns, pins
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look, talk, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.tour import Case
from ctconsole.manager.init_map_info import catalogue_spec
from ctconsole.model.event import EventKind
from ctconsole.model.plane.encode import key_of, values_in
from ctconsole.model.spec import MapSpec, MapType

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.event import Event

ENTRIES = 1024
"""The smallest table Cilium allows."""

FLOOD = 4000
MORE_FLOODS = 10
DROP_CT_CREATE_FAILED = 155
METRIC_INGRESS = 1
TOLD = 1.0
"""Seconds until the agent has read what programs tell of new connections."""

HASH_MAP = "cilium_ct4_hash"


def run(lab: Lab, report: CaseReport) -> None:
    """Flood an LRU table, then a hash table of the same size."""
    info = look.map_info(lab, look.TCP_MAP)
    report.step(
        "the table is small",
        ok=info.max_entries == ENTRIES,
        seen=f"{ENTRIES} entries, {info.type.name}",
    )
    with talk.connected(lab, topology.NODE2, topology.SERVER_IPV4) as client:
        flow = look.Flow.of(client)
        before = talk.wait_for_entry(lab, flow, look.TCP_MAP)
        report.step("a connection is opened and left idle", ok="TCP IN" in before, seen=before)
        _lru(lab, report, flow)
        head = talk.answer_head(client)
        seen = talk.wait_for_entry(lab, flow, look.TCP_MAP)
        report.step(
            "it lives on, and its entry comes back with its next packet",
            ok=head[0] == talk.BAD_REQUEST and "TCP IN" in seen,
            seen=f"> aaaaa\n{head[0]}\n{seen}",
        )
    _hash(lab, report)


def _lru(lab: Lab, report: CaseReport, idle: look.Flow) -> None:
    """Every new connection gets an entry, and takes the place of an older one."""
    control.collect(lab.settings)
    failed = _insert_failures(lab)
    _flood(lab)
    left = len(look.table(lab))
    report.step(
        f"{FLOOD} new connections later the table is full, and none was refused",
        ok=ENTRIES // 4 < left <= ENTRIES and _insert_failures(lab) == failed,
        seen=f"{left} entries, {_insert_failures(lab) - failed} insertions failed",
    )
    time.sleep(TOLD)
    evicted = control.collect(lab.settings)["evicted_estimate"]
    report.step(
        "the agent estimates how many entries were evicted",
        ok=evicted is not None and FLOOD - ENTRIES <= evicted <= FLOOD + ENTRIES,
        seen=f"about {evicted}",
    )
    for _ in range(MORE_FLOODS):
        # The kernel's LRU lists are approximate: one entry in many outlives a flood.
        if len(look.entries(lab, idle)) == 0:
            break
        _flood(lab)
    seen = look.text(look.entries(lab, idle))
    report.step("the idle connection's entry is among them", ok=seen == "nothing found", seen=seen)


def _hash(lab: Lab, report: CaseReport) -> None:
    """The pod's programs on a hash table of the same size: it refuses, and says so."""
    since = time.time()
    failed = _insert_failures(lab)
    _use_hash_table(lab)
    _flood(lab)
    refused = _insert_failures(lab) - failed
    left = len(look.table(lab, HASH_MAP))
    report.step(
        "a plain hash table of that size refuses what does not fit",
        # On a busy machine the collector makes room meanwhile, and packets are lost on their way.
        ok=left == ENTRIES and refused >= (FLOOD - ENTRIES) // 2,
        seen=f"{left} entries, {refused} packets dropped with reason {DROP_CT_CREATE_FAILED} "
        "(CT: Map insertion failed)",
    )
    told = {EventKind.INSERT_FAILED: "", EventKind.MAP_FULL: ""}

    def is_told() -> bool:
        for event in _events(lab, since):
            # The agent tells of full tables as well; these two are what the programs say.
            if event.kind in told and event.source == "datapath":
                told[event.kind] = event.message
        return all(told.values())

    report.step(
        "both are in the timeline: the drops and the call for the collector",
        ok=look.until(is_told),
        seen="\n".join(f"{kind.value}: {text}" for kind, text in told.items()),
    )
    control.regenerate(lab.settings)
    with talk.connected(lab, topology.NODE2, topology.SERVER_IPV4) as client:
        alive = talk.is_alive(client)
    report.step(
        "back on the LRU table a new connection comes about", ok=alive, seen=talk.BAD_REQUEST
    )


def _use_hash_table(lab: Lab) -> None:
    """Make a hash table beside the LRU one and bind the server pod's programs to it."""
    gate = Gate.open()
    like = catalogue_spec(look.TCP_MAP)
    spec = MapSpec(HASH_MAP, MapType.HASH, like.key_size, like.value_size, ENTRIES)
    with mapwrite.create(gate, spec) as live:
        pins.pin(gate, live, lab.globals / HASH_MAP)
    paths = {path.name: path for path in lab.globals.iterdir()}
    paths[look.TCP_MAP] = lab.globals / HASH_MAP
    config, _ = lab.settings.read_config()
    server = next(one for one in load_endpoints(lab.state_dir) if one.name == topology.SERVER)
    with (
        netns.inside(lab.namespace(topology.NODE)),
        loader.load(gate, config, paths, server) as programs,
    ):
        loader.replace(gate, server, programs)


def _flood(lab: Lab) -> None:
    """Open many connections from node2 to the pod and reset each at once."""
    reset = struct.pack("ii", 1, 0)
    with netns.inside(lab.namespace(topology.NODE2)):
        for _ in range(FLOOD):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                client.setblocking(False)  # noqa: FBT003 - socket has it so
                # Whether it comes about is for the table to say.
                client.connect_ex((topology.SERVER_IPV4, PORT))


def _insert_failures(lab: Lab) -> int:
    """What ``cilium_metrics`` counts as dropped for want of an entry, towards pods."""
    name = "cilium_metrics"
    with BpfMap.open(lab.globals / name) as live:
        value = live.lookup(key_of(name, reason=DROP_CT_CREATE_FAILED, dir=METRIC_INGRESS))
    return int(values_in(name, value)["count"].sum()) if value else 0


def _events(lab: Lab, since: float) -> list[Event]:
    with History(StateDir(lab.state_dir).history, create=False) as history:
        return [event for _, event in history.read() if event.time >= since]


CASE = Case(
    name="map-full",
    summary="a full LRU table evicts idle connections, a full hash table refuses new ones",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": str(ENTRIES)}),
)
