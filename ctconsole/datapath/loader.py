"""Load the programs of an endpoint, bound to exactly the maps asked for, and attach them.

One compilation serves every endpoint of a configuration (see `ctconsole.datapath.code`); what
differs from endpoint to endpoint are two programs of its own, with its maps and its numbers in
them. Programs keep forwarding when their loader has left: the filter holds the program, the
program holds its maps, whether these are still pinned or not.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole import paths
from ctconsole.datapath import logs
from ctconsole.datapath.bcc import compile_source
from ctconsole.datapath.code import EndpointSlot, MapSlot, Program
from ctconsole.datapath.defines import DatapathConfig, node_defines
from ctconsole.errors import BpfError, DatapathError
from ctconsole.kernel import tc
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramInfo, ProgramType, load_program, program_info
from ctconsole.kernel.tc import Hook
from ctconsole.model.event import Event, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.endpoint import Endpoint
    from ctconsole.model.event import Scalar

SOURCE = "lxc.c"

FUNCTIONS: Mapping[Hook, str] = {Hook.INGRESS: "from_container", Hook.EGRESS: "to_container"}
"""Which program runs at which side of the host end: what it receives, the pod has sent."""


def filter_name(hook: Hook) -> str:
    """The name of our filter on a hook; by it a filter is known to be ours."""
    return f"ctconsole:[{FUNCTIONS[hook].replace('_', '-')}]"


def map_names(config: DatapathConfig, endpoint: Endpoint) -> dict[MapSlot, str]:
    """The pin name of the map each slot is filled with (``pkg/maps/ctmap``, 1.9)."""
    table = f"{endpoint.id:05d}" if config.conntrack_local else "global"
    return {
        MapSlot.CT_MAP_TCP4: f"cilium_ct4_{table}",
        MapSlot.CT_MAP_ANY4: f"cilium_ct_any4_{table}",
        MapSlot.METRICS_MAP: "cilium_metrics",
    }


@dataclass(frozen=True, slots=True)
class LoadedProgram:
    """A program in the kernel, held by a descriptor.

    Attributes:
        hook: where it belongs.
        fd: its descriptor, owned by `LoadedPrograms`.
        info: what the kernel says of it.
    """

    hook: Hook
    fd: int
    info: ProgramInfo


class LoadedPrograms:
    """Both programs of an endpoint. Close it when they are attached: filters hold them then."""

    def __init__(self, programs: tuple[LoadedProgram, ...]) -> None:
        self.programs = programs

    def on(self, hook: Hook) -> LoadedProgram:
        """The program of one hook."""
        return next(program for program in self.programs if program.hook is hook)

    def close(self) -> None:
        """Let go of the descriptors; may be called again."""
        programs, self.programs = self.programs, ()
        for program in programs:
            os.close(program.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def load(
    gate: Gate, config: DatapathConfig, maps: Mapping[str, Path], endpoint: Endpoint
) -> LoadedPrograms:
    """Compile if need be and load both programs of an endpoint.

    Args:
        gate: the write gate.
        config: timeouts, intervals, and whether conntrack tables are per endpoint.
        maps: path of the pin of each map, by name; more than needed is no fault. A map put in
            a pin's place afterwards is not the program's.
        endpoint: whose programs.

    Raises:
        MissingFeatureError: bcc or kernel headers are not installed.
        NoSuchMapError: nothing is pinned at a path.
        DatapathError: the source does not compile, a map is missing in ``maps``, or the kernel
            refused a program; carries the part of the log that matters.
    """
    compiled = compile_source(paths.bpf_sources() / SOURCE, node_defines(config))
    numbers = {EndpointSlot.EP_IDENTITY: endpoint.identity}
    with ExitStack() as undo:
        fds, ids = _open_maps(gate, undo, map_names(config, endpoint), maps)
        loaded: list[LoadedProgram] = []
        undo_programs = undo.enter_context(ExitStack())
        for hook, function in FUNCTIONS.items():
            program = compiled[function]
            fd = _load(gate, program, program.bind(fds, numbers), endpoint)
            undo_programs.callback(os.close, fd)
            info = program_info(fd)
            _require_maps(info, {ids[slot] for slot in program.map_slots()})
            loaded.append(LoadedProgram(hook, fd, info))
        undo_programs.pop_all()
    return LoadedPrograms(tuple(loaded))


def attach(gate: Gate, endpoint: Endpoint, programs: LoadedPrograms) -> list[Event]:
    """Attach both programs, each atomically in place of the one there may be.

    Returns:
        For each hook PROGRAM_LOADED, or PROGRAM_REPLACED with the old program's id.

    Raises:
        DatapathError: the endpoint's interface is gone or takes no filters.
    """
    with _about(endpoint):
        tc.ensure_clsact(gate, endpoint.ifindex)
        before = _attached(endpoint)
        for program in programs.programs:
            name = filter_name(program.hook)
            tc.replace_filter(gate, endpoint.ifindex, program.hook, program.fd, name)
    return [_attached_event(endpoint, each, before.get(each.hook)) for each in programs.programs]


def replace(gate: Gate, endpoint: Endpoint, programs: LoadedPrograms) -> list[Event]:
    """As `attach`, for an endpoint that has programs already; it never revives a removed one.

    Raises:
        DatapathError: nothing of ours is attached, or the interface is gone.
    """
    with _about(endpoint):
        attached = _attached(endpoint)
    if set(attached) != set(Hook):
        raise DatapathError(
            f"Endpoint {endpoint.id} ({endpoint.ifname}) has no programs to replace"
        )
    return attach(gate, endpoint, programs)


def detach(gate: Gate, endpoint: Endpoint) -> list[Event]:
    """Remove our programs from both hooks; the interface and foreign filters stay.

    Returns:
        PROGRAM_DETACHED for each that was there; nothing for an interface already gone.

    Raises:
        BpfError: the kernel refused.
    """
    try:
        attached = _attached(endpoint)
    except BpfError as error:
        if error.errno != errno.ENODEV:
            raise
        return []
    return [
        _event(EventKind.PROGRAM_DETACHED, endpoint, hook, "detached from", {"old_id": number})
        for hook, number in attached.items()
        if tc.remove_filter(gate, endpoint.ifindex, hook)
    ]


def _open_maps(
    gate: Gate, undo: ExitStack, names: Mapping[MapSlot, str], maps: Mapping[str, Path]
) -> tuple[dict[MapSlot, int], dict[MapSlot, int]]:
    """Descriptor and kernel id of the map of each slot; ``undo`` closes them."""
    missing = sorted(name for name in names.values() if name not in maps)
    if missing:
        raise DatapathError(f"The programs want {', '.join(missing)}, of which no path is given")
    opened = {slot: undo.enter_context(BpfMap.open(maps[name])) for slot, name in names.items()}
    fds = {slot: live.writable_fd(gate) for slot, live in opened.items()}
    return fds, {slot: live.info.id for slot, live in opened.items()}


def _load(gate: Gate, program: Program, insns: bytes, endpoint: Endpoint) -> int:
    """Load one program; what the verifier says is cut to what led to the refusal."""
    try:
        return load_program(gate, insns, ProgramType.SCHED_CLS, program.name)
    except DatapathError as error:
        raise DatapathError(
            f"{error.message} for endpoint {endpoint.id}",
            hint=error.hint,
            log=logs.verifier_end(error.log),
        ) from error


def _require_maps(info: ProgramInfo, wanted: set[int]) -> None:
    """The proof that a program uses the maps it was given and no other."""
    if set(info.map_ids) != wanted:
        raise DatapathError(
            f"{info.name} uses the maps {sorted(info.map_ids)} instead of {sorted(wanted)}"
        )


def _attached(endpoint: Endpoint) -> dict[Hook, int]:
    """Program id of each of our filters on the endpoint's interface."""
    return {
        found.hook: found.prog_id
        for found in tc.filters(endpoint.ifindex)
        if found.name == filter_name(found.hook)
    }


def _attached_event(endpoint: Endpoint, program: LoadedProgram, old: int | None) -> Event:
    fields: dict[str, Scalar] = {
        "prog_id": program.info.id,
        "tag": program.info.tag,
        "map_ids": ",".join(map(str, sorted(program.info.map_ids))),
    }
    if old is None:
        return _event(EventKind.PROGRAM_LOADED, endpoint, program.hook, "attached to", fields)
    fields |= {"old_id": old, "new_id": program.info.id}
    return _event(EventKind.PROGRAM_REPLACED, endpoint, program.hook, "replaced on", fields)


def _event(
    kind: EventKind, endpoint: Endpoint, hook: Hook, verb: str, fields: Mapping[str, Scalar]
) -> Event:
    about: dict[str, Scalar] = {
        "endpoint": endpoint.id,
        "interface": endpoint.ifname,
        "hook": str(hook),
        "program": FUNCTIONS[hook],
    }
    return Event(
        time=time.time(),
        kind=kind,
        source="datapath",
        subject=f"endpoint {endpoint.id}",
        message=f"{FUNCTIONS[hook]} {verb} {endpoint.ifname}",
        fields=MappingProxyType(about | dict(fields)),
    )


@contextmanager
def _about(endpoint: Endpoint) -> Iterator[None]:
    """Name the endpoint in whatever tc refuses."""
    try:
        yield
    except BpfError as error:
        raise DatapathError(
            f"Endpoint {endpoint.id} ({endpoint.ifname}) takes no programs: {error.message}",
            hint=error.hint,
        ) from error
