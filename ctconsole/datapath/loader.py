"""Load the programs of an endpoint, bound to exactly the maps asked for, and attach them.

One compilation serves every endpoint of a configuration (see `ctconsole.datapath.code`); what
differs from endpoint to endpoint are programs of its own, with its maps and its numbers in
them: two on its hooks and the parts they call (see `ctconsole.datapath.parts`). Programs keep
forwarding when their loader has left: the filter holds the program, the program holds its maps,
whether these are still pinned or not. The pins of the program arrays must stay.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole import paths
from ctconsole.datapath import build_logs, parts
from ctconsole.datapath.bcc import compile_source
from ctconsole.datapath.bindings import map_names
from ctconsole.datapath.code import EndpointSlot, MapSlot, PolicyBit, Program
from ctconsole.datapath.defines import DatapathConfig, node_defines
from ctconsole.datapath.parts import ProgramPart, TailCall, tail_calls
from ctconsole.errors import BpfError, DatapathError
from ctconsole.handles import Handle
from ctconsole.happening import happened
from ctconsole.kernel import rcu, tc
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import ProgramInfo, ProgramType, load_program, program_info
from ctconsole.kernel.tc import TcHook
from ctconsole.model.event import Event, EventKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Scalar
    from ctconsole.model.plane.endpoint import Endpoint

__all__ = [
    "FUNCTIONS",
    "LoadedProgram",
    "LoadedPrograms",
    "TailCall",
    "attach",
    "detach",
    "filter_name",
    "load",
    "map_names",
    "publish",
    "replace",
    "tail_calls",
]

SOURCE = "lxc.c"

FUNCTIONS: Mapping[TcHook, str] = {TcHook.INGRESS: "from_container", TcHook.EGRESS: "to_container"}
"""Which program runs at which side of the host end: what it receives, the pod has sent."""


def filter_name(hook: TcHook) -> str:
    """The name of our filter on a hook; by it a filter is known to be ours."""
    return f"ctconsole:[{FUNCTIONS[hook].replace('_', '-')}]"


@dataclass(frozen=True, slots=True)
class LoadedProgram:
    """A program in the kernel, held by a descriptor.

    Attributes:
        hook: where it belongs.
        fd: its descriptor, owned by `LoadedPrograms`.
        info: what the kernel says of it.
    """

    hook: TcHook
    fd: int
    info: ProgramInfo


class LoadedPrograms(Handle):
    """All programs of an endpoint, of one generation.

    Close it when they are attached: filters, arrays and pins hold them then. Closed before, it
    leaves nothing behind.

    Attributes:
        programs: those of the two hooks.
        parts: those they call.
        bound: pin and kernel id of each map they use, as it was when they were loaded.
    """

    def __init__(
        self,
        programs: tuple[LoadedProgram, ...],
        called: tuple[ProgramPart, ...],
        calls: BpfMap,
        calls_pin: Path,
        bound: tuple[tuple[Path, int], ...] = (),
    ) -> None:
        self.bound = bound
        self.programs = programs
        self.parts = called
        self.calls_pin = calls_pin
        self._calls = calls

    def on(self, hook: TcHook) -> LoadedProgram:
        """The program of one hook."""
        return next(program for program in self.programs if program.hook is hook)

    def part(self, function: str) -> ProgramPart:
        """The part of this C function.

        Raises:
            DatapathError: the configuration has no such part.
        """
        for each in self.parts:
            if each.function == function:
                return each
        raise DatapathError(f"The programs have no part {function}")

    @property
    def calls(self) -> BpfMap:
        """This generation's program array."""
        return self._calls

    @property
    def is_open(self) -> bool:
        """Whether it holds descriptors of programs."""
        return bool(self.programs or self.parts)

    def close(self) -> None:
        """Let go of the descriptors; may be called again."""
        fds = [program.fd for program in self.programs] + [part.fd for part in self.parts]
        self.programs, self.parts = (), ()
        for fd in fds:
            os.close(fd)
        self._calls.close()


def load(
    gate: Gate,
    config: DatapathConfig,
    maps: Mapping[str, Path],
    endpoint: Endpoint,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> LoadedPrograms:
    """Compile if need be and load all programs of an endpoint; nothing calls them yet.

    Args:
        gate: the write gate.
        config: timeouts, families, and what else `node_defines` and `map_names` read.
        maps: path of the pin of each map, by name, at least those of `map_names`; more is no
            fault. A map put in a pin's place afterwards is not the program's. The folder of
            ``cilium_call_policy`` is where `attach` pins ``cilium_calls_%05d``.
        endpoint: whose programs.
        meanwhile: as of `compile_source`.

    Raises:
        MissingFeatureError: bcc or kernel headers are not installed.
        GoneError: nothing is pinned at a path.
        DatapathError: the source does not compile, a map is missing in ``maps``, or the kernel
            refused a program; carries the part of the log that matters.
    """
    source = paths.bpf_sources() / SOURCE
    compiled = compile_source(source, node_defines(config), meanwhile=meanwhile)
    with ExitStack() as undo, ExitStack() as release:
        names = map_names(config, endpoint)
        opened = _open_maps(release, names, maps)
        bound = tuple((maps[names[slot]], live.info.id) for slot, live in opened.items())
        calls = undo.enter_context(parts.new_calls(gate, endpoint))
        opened[MapSlot.CALLS_MAP] = calls
        loaded = {
            name: _load_bound(gate, undo, program, opened, endpoint)
            for name, program in compiled.items()
        }
        for name, index in parts.CALLS.items():
            if name in loaded:
                parts.place(gate, calls, index, loaded[name].fd)
        undo.pop_all()
    hooks = tuple(
        LoadedProgram(hook, loaded[function].fd, loaded[function].info)
        for hook, function in FUNCTIONS.items()
    )
    called = tuple(part for name, part in loaded.items() if name not in FUNCTIONS.values())
    folder = maps[parts.POLICY_CALL_MAP].parent
    return LoadedPrograms(hooks, called, calls, folder / parts.calls_name(endpoint), bound)


def publish(gate: Gate, endpoint: Endpoint, programs: LoadedPrograms) -> None:
    """Put the endpoint's policy program into ``cilium_call_policy``; part of `attach`.

    to_container calls it there, and so may whoever else delivers packets to the endpoint.
    """
    with BpfMap.open(programs.calls_pin.with_name(parts.POLICY_CALL_MAP)) as array:
        parts.place(gate, array, endpoint.id, programs.part(parts.POLICY_FUNCTION).fd)


def attach(gate: Gate, endpoint: Endpoint, programs: LoadedPrograms) -> list[Event]:
    """Attach the programs, each atomically in place of the one there may be.

    At every moment a packet meets programs whose parts are all there: the new array is filled
    and pinned first, the old one is unpinned when no packet is left in the old programs.

    Returns:
        For each hook PROGRAM_LOADED, or PROGRAM_REPLACED with the old program's id.

    Raises:
        DatapathError: the endpoint's interface is gone or takes no filters.
    """
    with _about(endpoint):
        tc.ensure_clsact(gate, endpoint.ifindex)
        before = _attached(endpoint)
        parts.pin_pending(gate, programs.calls, programs.calls_pin)
        publish(gate, endpoint, programs)
        for program in programs.programs:
            name = filter_name(program.hook)
            tc.replace_filter(gate, endpoint.ifindex, program.hook, program.fd, name)
    if before:
        rcu.wait_for_readers()
    parts.pin_over(gate, programs.calls_pin)
    return [_attached_event(endpoint, each, before.get(each.hook)) for each in programs.programs]


def replace(gate: Gate, endpoint: Endpoint, programs: LoadedPrograms) -> list[Event]:
    """As `attach`, for an endpoint that has programs already; it never revives a removed one.

    Raises:
        DatapathError: nothing of ours is attached, or the interface is gone.
    """
    with _about(endpoint):
        attached = _attached(endpoint)
    if set(attached) != set(TcHook):
        raise DatapathError(
            f"Endpoint {endpoint.id} ({endpoint.ifname}) has no programs to replace"
        )
    return attach(gate, endpoint, programs)


def detach(gate: Gate, endpoint: Endpoint, folder: Path | None = None) -> list[Event]:
    """Remove our programs from both hooks; the interface and foreign filters stay.

    Args:
        gate: the write gate.
        endpoint: whose programs.
        folder: ``tc/globals``, to remove the endpoint from the program arrays there as well.

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
        attached = {}
    events = [
        _event(EventKind.PROGRAM_DETACHED, endpoint, hook, "detached from", {"old_id": number})
        for hook, number in attached.items()
        if tc.remove_filter(gate, endpoint.ifindex, hook)
    ]
    if folder is not None:
        parts.remove(gate, endpoint, folder)
    return events


def _open_maps(
    release: ExitStack, names: Mapping[MapSlot, str], maps: Mapping[str, Path]
) -> dict[MapSlot, BpfMap]:
    """The map of each slot; ``release`` closes them."""
    missing = sorted(name for name in names.values() if name not in maps)
    if missing:
        raise DatapathError(f"The programs want {', '.join(missing)}, of which no path is given")
    return {slot: release.enter_context(BpfMap.open(maps[name])) for slot, name in names.items()}


def _load_bound(
    gate: Gate,
    undo: ExitStack,
    program: Program,
    opened: Mapping[MapSlot, BpfMap],
    endpoint: Endpoint,
) -> ProgramPart:
    """Fill a program's slots and load it; ``undo`` closes it."""
    wanted = [slot for slot in program.map_slots() if slot in opened]
    fds = {slot: opened[slot].writable_fd(gate) for slot in wanted}
    fd = _load(gate, program, program.bind(fds, _numbers(endpoint)), endpoint)
    undo.callback(os.close, fd)
    info = program_info(fd)
    _require_maps(info, {opened[slot].info.id for slot in wanted})
    return ProgramPart(program.name, fd, info)


def _numbers(endpoint: Endpoint) -> dict[EndpointSlot, int]:
    """What the programs know of their endpoint."""
    policy = PolicyBit.INGRESS if endpoint.enforce_ingress else PolicyBit(0)
    if endpoint.enforce_egress:
        policy |= PolicyBit.EGRESS
    return {
        EndpointSlot.EP_IDENTITY: endpoint.identity,
        EndpointSlot.EP_ID: endpoint.id,
        EndpointSlot.EP_POLICY: policy,
    }


def _load(gate: Gate, program: Program, insns: bytes, endpoint: Endpoint) -> int:
    """Load one program; what the verifier says is cut to what led to the refusal."""
    try:
        return load_program(gate, insns, ProgramType.SCHED_CLS, parts.kernel_name(program.name))
    except DatapathError as error:
        raise DatapathError(
            f"{error.message} for endpoint {endpoint.id}",
            hint=error.hint,
            log=build_logs.verifier_end(error.log),
        ) from error


def _require_maps(info: ProgramInfo, wanted: set[int]) -> None:
    """The proof that a program uses the maps it was given and no other."""
    if set(info.map_ids) != wanted:
        raise DatapathError(
            f"{info.name} uses the maps {sorted(info.map_ids)} instead of {sorted(wanted)}"
        )


def _attached(endpoint: Endpoint) -> dict[TcHook, int]:
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
    kind: EventKind, endpoint: Endpoint, hook: TcHook, verb: str, fields: Mapping[str, Scalar]
) -> Event:
    about: dict[str, Scalar] = {
        "endpoint": endpoint.id,
        "interface": endpoint.ifname,
        "hook": str(hook),
        "program": FUNCTIONS[hook],
    }
    message = f"{FUNCTIONS[hook]} {verb} {endpoint.ifname}"
    return happened(kind, "datapath", f"endpoint {endpoint.id}", message, about | dict(fields))


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
