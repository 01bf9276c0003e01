"""The agent's start-up sequence: ``runDaemon`` -> ``NewDaemon``, the article's section 3.1.

::

    InitMapInfo     the attributes of every kind of conntrack map, from the configuration
    initMaps        open, re-create or create every map
    restore         services, identities and policy into the maps
    regenerate      for each endpoint: load its programs bound to these maps, attach them
    masquerade      the same for the node's uplink
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ctconsole.agent.uplink import find_uplink, masquerade
from ctconsole.errors import AgentError, DatapathError, MissingFeatureError
from ctconsole.happening import happened
from ctconsole.kernel import iproute
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.mounts import is_bpffs
from ctconsole.manager.bpfmap import pinned_id
from ctconsole.manager.init_map_info import MapAttributes, MapKind, init_map_info
from ctconsole.manager.init_maps import InitReport, init_maps
from ctconsole.manager.restart import at_stake
from ctconsole.model.event import Event, EventKind, Level
from ctconsole.model.units import count
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.endpoint import Endpoint
    from ctconsole.model.spec import MapInfo

    Record = Callable[[Iterable[Event]], None]
    Prepare = Callable[[Sequence[Endpoint]], list[Endpoint]]
    Step = Callable[[int, int, str], None]


_TRIES = 3
"""How often an endpoint's programs are loaded while maps are exchanged under them."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a start-up made.

    Attributes:
        map_info: the conntrack maps' attributes.
        maps: every map, and what was done for it.
        endpoints: those whose programs were loaded and attached.
    """

    map_info: Mapping[MapKind, MapAttributes]
    maps: InitReport
    endpoints: tuple[Endpoint, ...]


def run_daemon(
    gate: Gate,
    config: AgentConfig,
    bpf_root: Path,
    endpoints: Sequence[Endpoint],
    record: Record,
    *,
    prepare: Prepare = list,
    step: Step = lambda *_: None,
) -> Started:
    """Go through the sequence; to be called in the endpoints' network namespace.

    Args:
        gate: the write gate.
        config: the agent's options.
        bpf_root: a bpffs.
        endpoints: those to restore.
        record: stores and logs events.
        prepare: fills the maps before programs meet them; answers with the endpoints as their
            programs are to know them.
        step: see `regenerate`.

    Raises:
        EndedEarlyError: ``step`` said so.
        MissingFeatureError: ``bpf_root`` is no bpffs, or what compiles programs is missing.
        BpfError: a map cannot be created.
        DatapathError: a program does not compile, load or attach.
    """
    if not is_bpffs(bpf_root):
        raise MissingFeatureError(f"{bpf_root} is not a bpffs", hint=f"mount -t bpf bpf {bpf_root}")
    map_info = init_map_info(config)
    restored = restore(endpoints, record)
    uplink = find_uplink(config)
    devices = [uplink.ifindex] if uplink else []
    step(0, len(restored), "making the maps")
    maps = init_maps(gate, config, bpf_root, restored, record, devices=devices)
    step(0, len(restored), "filling the maps")
    ready = prepare(restored)
    regenerate(gate, config, maps.paths, ready, record, step=step)
    step(len(ready), len(ready), "uplink")
    masquerade(gate, config, maps.paths, record, lambda: step(len(ready), len(ready), "uplink"))
    return Started(map_info, maps, tuple(ready))


def require_kept(config: AgentConfig, bpf_root: Path, endpoints: Sequence[Endpoint]) -> None:
    """See that every map which has entries is as the configuration wishes.

    Raises:
        AgentError: one is not, and would be made anew; says how many entries would be lost.
        BpfError: a map cannot be looked at.
    """
    lost = at_stake(config, bpf_root, endpoints)
    if lost:
        maps = ", ".join(f"{count(number)} of {name}" for name, number in lost.items())
        raise AgentError(
            f"Entries would be lost with maps that are not as the options say: {maps}",
            hint="ctconsole agent start, with the same options, says what that costs and what "
            "keeps them; --yes does it",
        )


def restore(endpoints: Sequence[Endpoint], record: Record) -> list[Endpoint]:
    """The endpoints whose interface is still there; the others are reported."""
    present = {link.name: link.index for link in iproute.links()} if endpoints else {}
    kept = []
    for endpoint in endpoints:
        if present.get(endpoint.ifname) == endpoint.ifindex:
            kept.append(endpoint)
        else:
            message = "Interface of restored endpoint not found, leaving it alone"
            record([endpoint_event(EventKind.WARNING, endpoint, message, Level.WARNING)])
    return kept


def regenerate(
    gate: Gate,
    config: AgentConfig,
    maps: Mapping[str, Path],
    endpoints: Sequence[Endpoint],
    record: Record,
    *,
    step: Step = lambda *_: None,
) -> None:
    """Load each endpoint's programs bound to the maps pinned now, and replace those attached.

    One endpoint after the other, as an agent does it, with the option
    ``endpoint-regeneration-delay`` between them: meanwhile some use the old maps and some the
    new ones. Programs that were loaded on a map which is pinned no longer are not attached.

    Args:
        gate: the write gate.
        config: the agent's options.
        maps: pin paths by name.
        endpoints: whose programs.
        record: stores and logs events.
        step: told how many endpoints of how many are done, and what comes now; called at least
            once a second while nothing is done but to wait or to compile, and before each
            attachment. It raises where the work is to end; then the endpoints that are left keep
            the programs they have.

    Raises:
        EndedEarlyError: ``step`` said so.
        MissingFeatureError: bcc or kernel headers are not installed.
        DatapathError: a program does not compile, load or attach.
    """
    for number, endpoint in enumerate(endpoints):
        say = partial(step, number, len(endpoints))
        if number and config.endpoint_regeneration_delay:
            _pause(config.endpoint_regeneration_delay, say)
        started = time.perf_counter()
        record(_replace_programs(gate, config, maps, endpoint, say))
        seconds = round(time.perf_counter() - started, 6)
        message = "Regenerated endpoint"
        record([endpoint_event(EventKind.ENDPOINT_REGENERATED, endpoint, message, seconds=seconds)])


def _replace_programs(
    gate: Gate,
    config: AgentConfig,
    maps: Mapping[str, Path],
    endpoint: Endpoint,
    step: Callable[[str], None],
) -> list[Event]:
    """Load and attach one endpoint's programs, anew while somebody exchanges a map meanwhile."""
    # bcc is slow to import, and not needed to look after maps alone.
    from ctconsole.datapath import loader

    moved: list[str] = []
    for _ in range(_TRIES):
        loading = partial(step, f"loading the programs of endpoint {endpoint.id}")
        loading()
        with loader.load(gate, config, maps, endpoint, meanwhile=loading) as programs:
            step(f"attaching the programs of endpoint {endpoint.id}")
            moved = [str(path) for path, number in programs.bound if pinned_id(path) != number]
            if not moved:
                return loader.attach(gate, endpoint, programs)
    raise DatapathError(
        f"The programs of endpoint {endpoint.id} were not replaced: another map is pinned at "
        f"{', '.join(moved)} each time they are loaded",
        hint="Restart the agent when nobody changes maps any more",
    )


def _pause(seconds: float, say: Callable[[str], None]) -> None:
    """Wait, with a sign of life now and then."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        say(f"waiting {left:.0f} s before the next endpoint")
        time.sleep(min(left, 0.2))


def detach(gate: Gate, endpoint: Endpoint, bpf_root: Path) -> list[Event]:
    """Remove an endpoint's programs from its interface and from the program arrays."""
    from ctconsole.datapath import loader

    return loader.detach(gate, endpoint, bpf_root / GLOBALS)


def pinned(bpf_root: Path) -> dict[str, tuple[Path, MapInfo]]:
    """The maps pinned in Cilium's folder on a bpffs, by name."""
    return {path.name: (path, info) for path, info in pinned_maps(bpf_root / GLOBALS).items()}


def endpoint_event(
    kind: EventKind,
    endpoint: Endpoint,
    message: str,
    level: Level = Level.INFO,
    *,
    seconds: float | None = None,
    scrubbed: int | None = None,
) -> Event:
    """An event about an endpoint, with Cilium's field names.

    ``seconds`` is how long it took, ``scrubbed`` the conntrack entries deleted with it.
    """
    fields: dict[str, str | int | float] = {
        "endpointID": endpoint.id,
        "interface": endpoint.ifname,
        "name": endpoint.name,
    }
    if seconds is not None:
        fields["duration"] = seconds
    if scrubbed is not None:
        fields["scrubbed"] = scrubbed
    return happened(kind, "agent", f"endpoint {endpoint.id}", message, fields, level=level)
