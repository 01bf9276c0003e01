"""``initMaps``: open or create every map of the agent, in Cilium's order.

``daemon/cmd/datapath.go`` 1.9, the article's section 3.3. This runs before anything reads a map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.kernel.maps import possible_cpus
from ctconsole.manager.bpfmap import ManagedMap
from ctconsole.manager.init_map_info import MapKind, catalogue_spec, init_map_info, nat_global_maps
from ctconsole.manager.services import maglev_table_spec
from ctconsole.model.catalogue import CALL_SIZE
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event
    from ctconsole.model.plane.endpoint import Endpoint
    from ctconsole.model.spec import MapInfo, MapSpec


HOST_ENDPOINT = 1
"""The id that the host's own endpoint has here; Cilium gives it any."""


@dataclass(frozen=True, slots=True)
class InitReport:
    """Which maps there are now, and what had to be done for it.

    Attributes:
        opened: by pin name, in the order of opening; ``pin`` of each is set.
        created: names of those that were created, for the first time or again.
        events: in the order they happened.
    """

    opened: Mapping[str, MapInfo]
    created: frozenset[str]
    events: tuple[Event, ...]

    @property
    def paths(self) -> dict[str, Path]:
        """Pin paths by map name, as the datapath's loader wants them."""
        from pathlib import Path

        return {name: Path(info.pin) for name, info in self.opened.items() if info.pin}


def init_maps(
    gate: Gate,
    config: AgentConfig,
    root: Path,
    endpoints: Sequence[Endpoint],
    record: Callable[[Iterable[Event]], None] | None = None,
    *,
    devices: Sequence[int] = (),
) -> InitReport:
    """Open or create every map that ``config`` and ``endpoints`` ask for, below ``root``.

    Args:
        gate: the write gate.
        config: the agent's options.
        root: a bpffs; the maps are pinned in its folder ``tc/globals``.
        endpoints: for the maps that each endpoint has of its own.
        record: called with the events of each map as soon as they have happened, so that they
            are not lost if a later map fails; they are in the report as well.
        devices: interface indices of the uplinks, for the program arrays that Cilium has for
            each of them and for the host.

    Raises:
        BpfError: a map cannot be created; those before it are in place.
        UsageError: ``root`` is not on a bpffs.
    """
    opened: dict[str, MapInfo] = {}
    created: set[str] = set()
    events: list[Event] = []
    for wish in wishes(config, root / GLOBALS, endpoints, devices):
        result = wish.create(gate)
        opened[wish.spec.name] = replace(result.info, pin=wish.path)
        if result.is_new:
            created.add(wish.spec.name)
        events.extend(result.events)
        if record:
            record(result.events)
    return InitReport(MappingProxyType(opened), frozenset(created), tuple(events))


def init_endpoint_maps(
    gate: Gate,
    config: AgentConfig,
    root: Path,
    endpoint: Endpoint,
    record: Callable[[Iterable[Event]], None],
) -> None:
    """Open or create the maps that one endpoint has of its own, and leave all others alone.

    Raises:
        BpfError: a map cannot be created.
    """
    own = f"_{endpoint.id:05d}"
    for wish in wishes(config, root / GLOBALS, [endpoint]):
        if wish.spec.name.endswith(own):
            record(wish.create(gate).events)


def wishes(
    config: AgentConfig,
    globals_folder: Path,
    endpoints: Sequence[Endpoint],
    devices: Sequence[int] = (),
) -> Iterator[ManagedMap]:
    """Every map to be opened or created, in the order of ``initMaps``."""
    for spec in _specs(config, endpoints, devices):
        yield ManagedMap(
            spec,
            globals_folder / spec.name,
            # A tunnel map is filled anew from the nodes known after a start (pkg/maps/tunnel).
            non_persistent=spec.name == "cilium_tunnel_map",
            preallocate=config.preallocate_bpf_maps,
        )


def _specs(
    config: AgentConfig, endpoints: Sequence[Endpoint], devices: Sequence[int]
) -> Iterator[MapSpec]:
    families = [family for family, on in ((4, config.enable_ipv4), (6, config.enable_ipv6)) if on]
    yield catalogue_spec("cilium_lxc")
    yield catalogue_spec("cilium_ipcache")
    yield catalogue_spec("cilium_metrics")
    if config.tunnel != "disabled":
        yield catalogue_spec("cilium_tunnel_map")
    yield from _service_maps(families)
    for name in ("cilium_events", "cilium_signals"):
        yield catalogue_spec(name, max_entries=possible_cpus())
    yield catalogue_spec("cilium_call_policy")
    yield from _node_call_maps(devices)
    for endpoint in endpoints:
        yield catalogue_spec(
            "cilium_policy_*",
            name=f"cilium_policy_{endpoint.id:05d}",
            max_entries=config.bpf_policy_map_max,
        )
    yield from ct_maps(config, endpoints, families)
    yield from nat_global_maps(config).values()
    yield from _feature_maps(config, families)


def ct_maps(
    config: AgentConfig, endpoints: Sequence[Endpoint], families: Sequence[int]
) -> Iterator[MapSpec]:
    """``ctmap.LocalMaps`` of each endpoint with conntrack-local, then ``ctmap.GlobalMaps``.

    The global maps are always there: the host's own connections use them.
    """
    map_info = init_map_info(config)
    kinds = [kind for kind in MapKind if kind.family in families]
    if config.conntrack_local:
        for endpoint in endpoints:
            for kind in kinds:
                if not kind.is_global:
                    yield map_info[kind].spec(kind.pin_name(endpoint.id))
    for kind in kinds:
        if kind.is_global:
            yield map_info[kind].spec(kind.pin_name())


def _node_call_maps(devices: Sequence[int]) -> Iterator[MapSpec]:
    """Program arrays of the host and of its uplinks, which Cilium's loader makes (``bpf_host``)."""
    names = {f"cilium_calls_netdev_{index:05d}": "cilium_calls_netdev_*" for index in devices}
    if devices:
        names = {f"cilium_calls_hostns_{HOST_ENDPOINT:05d}": "cilium_calls_hostns_*"} | names
    for name, entry in names.items():
        yield catalogue_spec(entry, name=name, max_entries=CALL_SIZE)


def _service_maps(families: Sequence[int]) -> Iterator[MapSpec]:
    for family in families:
        for what in ("services_v2", "backends", "reverse_nat"):
            yield catalogue_spec(f"cilium_lb{family}_{what}")


def _feature_maps(config: AgentConfig, families: Sequence[int]) -> Iterator[MapSpec]:
    """The maps that come after NAT, each with the option that asks for it."""
    if config.enable_node_port:
        for family in families:
            yield catalogue_spec(f"cilium_nodeport_neigh{family}")
    if config.enable_ipv4 and config.enable_ipv4_fragment_tracking:
        yield catalogue_spec("cilium_ipv4_frag_datagrams", max_entries=config.bpf_fragments_map_max)
    if config.enable_session_affinity:
        yield catalogue_spec("cilium_lb_affinity_match")
        for family in families:
            yield catalogue_spec(f"cilium_lb{family}_affinity")
    if config.enable_svc_source_range_check:
        for family in families:
            yield catalogue_spec(f"cilium_lb{family}_source_range")
    if config.bpf_lb_algorithm == "maglev":
        table = maglev_table_spec(config.bpf_lb_maglev_table_size)
        for family in families:
            yield catalogue_spec(f"cilium_lb{family}_maglev", inner=table)
    yield catalogue_spec("cilium_encrypt_state")
