"""Load and attach the programs of the node's uplink, which translate what pods send outside."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole import paths
from ctconsole.datapath import build_logs
from ctconsole.datapath.bcc import compile_source
from ctconsole.datapath.code import EndpointSlot, MapSlot
from ctconsole.datapath.defines import DatapathConfig, node_defines
from ctconsole.errors import BpfError, DatapathError, UsageError
from ctconsole.handles import Handle
from ctconsole.happening import happened
from ctconsole.kernel import tc
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.kernel.tc import TcHook
from ctconsole.model.event import Event, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.datapath.code import Program
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.uplink import Uplink

SOURCE = "netdev.c"

FUNCTIONS: Mapping[TcHook, str] = MappingProxyType(
    {TcHook.EGRESS: "to_netdev", TcHook.INGRESS: "from_netdev"}
)
"""Which program runs at which side of the uplink."""

MAP_NAMES: Mapping[MapSlot, str] = MappingProxyType(
    {
        MapSlot.SNAT_MAPPING_IPV4: "cilium_snat_v4_external",
        MapSlot.CT_MAP_TCP4: "cilium_ct4_global",
        MapSlot.CT_MAP_ANY4: "cilium_ct_any4_global",
        MapSlot.ENDPOINTS_MAP: "cilium_lxc",
        MapSlot.METRICS_MAP: "cilium_metrics",
        MapSlot.EVENTS_MAP: "cilium_events",
        MapSlot.SIGNAL_MAP: "cilium_signals",
        MapSlot.IPV4_FRAG_DATAGRAMS_MAP: "cilium_ipv4_frag_datagrams",
    }
)
"""The pin name of the map of each slot; fragments' only where they are tracked."""

_NOWHERE = IPv4Network("0.0.0.0/32")


def filter_name(hook: TcHook) -> str:
    """The name of our filter on a hook; by it a filter is known to be ours."""
    return f"ctconsole:[{FUNCTIONS[hook].replace('_', '-')}]"


class LoadedNetdev(Handle):
    """Both programs of the uplink, by hook. Close it when they are attached."""

    def __init__(self, fds: Mapping[TcHook, int]) -> None:
        self.fds = dict(fds)

    @property
    def is_open(self) -> bool:
        """Whether it holds descriptors of programs."""
        return bool(self.fds)

    def close(self) -> None:
        """Let go of the descriptors; may be called again."""
        fds, self.fds = self.fds, {}
        for fd in fds.values():
            os.close(fd)


def load_netdev(
    gate: Gate,
    config: DatapathConfig,
    maps: Mapping[str, Path],
    uplink: Uplink,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> LoadedNetdev:
    """Compile if need be and load the uplink's programs.

    Args:
        gate: the write gate.
        config: as of `loader.load`. Translation needs the global conntrack tables.
        maps: path of the pin of each map, by name; those of `MAP_NAMES` at least.
        uplink: the interface, its address, and what is not translated.
        meanwhile: as of `compile_source`.

    Raises:
        UsageError: with ``conntrack-local``, where no table knows every connection.
        MissingFeatureError: bcc or kernel headers are not installed.
        GoneError: nothing is pinned at a path.
        DatapathError: a map is missing in ``maps``, or the kernel refused a program.
    """
    if config.conntrack_local:
        raise UsageError(
            "Masquerading needs global conntrack tables", hint="Set conntrack-local=false"
        )
    source = paths.bpf_sources() / SOURCE
    compiled = compile_source(source, node_defines(config), meanwhile=meanwhile)
    numbers = _numbers(uplink)
    with ExitStack() as release, ExitStack() as undo:
        wanted = frozenset[MapSlot]().union(*(one.map_slots() for one in compiled.values()))
        missing = sorted(MAP_NAMES[slot] for slot in wanted if MAP_NAMES[slot] not in maps)
        if missing:
            raise DatapathError(
                f"The uplink's programs want {', '.join(missing)}, which is not there"
            )
        opened = {
            slot: release.enter_context(BpfMap.open(maps[MAP_NAMES[slot]])) for slot in wanted
        }
        map_fds = {slot: live.writable_fd(gate) for slot, live in opened.items()}
        fds = {}
        for hook, name in FUNCTIONS.items():
            fds[hook] = _load(gate, compiled[name], compiled[name].bind(map_fds, numbers))
            undo.callback(os.close, fds[hook])
        undo.pop_all()
    return LoadedNetdev(fds)


def attach_netdev(gate: Gate, uplink: Uplink, programs: LoadedNetdev) -> list[Event]:
    """Attach both programs, each atomically in place of the one there may be.

    Returns:
        For each hook PROGRAM_LOADED, or PROGRAM_REPLACED with the old program's id.

    Raises:
        DatapathError: the interface is gone or takes no filters.
    """
    events = []
    try:
        tc.ensure_clsact(gate, uplink.ifindex)
        before = _attached(uplink)
        for hook, fd in programs.fds.items():
            tc.replace_filter(gate, uplink.ifindex, hook, fd, filter_name(hook))
            events.append(_event(uplink, hook, program_info(fd).id, before.get(hook)))
    except BpfError as error:
        raise DatapathError(
            f"The uplink {uplink.ifname} takes no programs: {error.message}", hint=error.hint
        ) from error
    return events


def detach_netdev(gate: Gate, uplink: Uplink) -> list[Event]:
    """Remove our programs from both hooks; connections they translated break.

    Returns:
        PROGRAM_DETACHED for each that was there; nothing for an interface already gone.
    """
    try:
        attached = _attached(uplink)
    except BpfError as error:
        if error.errno != errno.ENODEV:
            raise
        return []
    return [
        _event(uplink, hook, 0, number)
        for hook, number in attached.items()
        if tc.remove_filter(gate, uplink.ifindex, hook)
    ]


def _numbers(uplink: Uplink) -> dict[EndpointSlot, int]:
    """What the programs know of the uplink; addresses as they lie in memory."""
    native = IPv4Network(uplink.native_cidr) if uplink.native_cidr else _NOWHERE
    return {
        EndpointSlot.NETDEV_IPV4: _in_memory(IPv4Address(uplink.ipv4)),
        EndpointSlot.NETDEV_EXCLUDED: _in_memory(native.network_address),
        EndpointSlot.NETDEV_EXCLUDED_MASK: _in_memory(native.netmask),
    }


def _in_memory(address: IPv4Address) -> int:
    return int.from_bytes(address.packed, sys.byteorder)


def _load(gate: Gate, program: Program, insns: bytes) -> int:
    try:
        return load_program(gate, insns, ProgramType.SCHED_CLS, program.name)
    except DatapathError as error:
        raise DatapathError(
            error.message, hint=error.hint, log=build_logs.verifier_end(error.log)
        ) from error


def _attached(uplink: Uplink) -> dict[TcHook, int]:
    return {
        found.hook: found.prog_id
        for found in tc.filters(uplink.ifindex)
        if found.name == filter_name(found.hook)
    }


def _event(uplink: Uplink, hook: TcHook, new: int, old: int | None) -> Event:
    kind = EventKind.PROGRAM_LOADED if old is None else EventKind.PROGRAM_REPLACED
    verb = "attached to" if old is None else "replaced on"
    if not new:
        kind, verb = EventKind.PROGRAM_DETACHED, "detached from"
    fields: dict[str, str | int] = {
        "interface": uplink.ifname,
        "hook": str(hook),
        "program": FUNCTIONS[hook],
    }
    if new:
        fields["prog_id"] = new
    if old is not None:
        fields |= {"old_id": old} | ({"new_id": new} if new else {})
    message = f"{FUNCTIONS[hook]} {verb} {uplink.ifname}"
    return happened(kind, "datapath", f"uplink {uplink.ifname}", message, fields)
