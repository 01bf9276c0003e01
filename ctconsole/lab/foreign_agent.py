"""A process that looks and acts like Cilium's agent to whoever observes a node.

It is called ``cilium-agent``, reads a configuration folder, leaves its runtime configuration,
answers on a unix socket, and opens or re-creates maps of Cilium's names and sizes in Cilium's
order and pace: the new pin comes 1.6 s after the start, the programs follow about 4 s later, one
by one (measured on a real 1.18 agent). Its programs are real and stay when it leaves.

Run as ``python -m ctconsole.lab.foreign_agent --bpf-root=DIR ...`` in the network namespace of
its interface; its log goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.config import NAT_DEFAULT
from ctconsole.kernel import iproute, mapwrite, pins, tc
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.procs import AGENT_NAMES
from ctconsole.kernel.programs import load_program
from ctconsole.lab import foreign_api
from ctconsole.lab.foreign_api import AgentApiServer
from ctconsole.lab.foreign_program import holding, tracking
from ctconsole.model.catalogue import Generation, find
from ctconsole.model.readers.agentjson import CONFIG_NAMES
from ctconsole.model.spec import MapSpec, MapType, differences
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.spec import MapInfo

TCP_MAP, ANY_MAP = "cilium_ct4_global", "cilium_ct_any4_global"
TCP_MAX, ANY_MAX = "bpf-ct-global-tcp-max", "bpf-ct-global-any-max"

TCP6_MAP, ANY6_MAP = "cilium_ct6_global", "cilium_ct_any6_global"
NAT_MAP = "cilium_snat_v4_external"
VALUE_SIZE = "lab-ct-value-size"
"""An option no real agent has: other values in the tables of TCP, as another release may have."""

DEFAULTS: Mapping[str, str] = {
    TCP_MAX: "32768",
    ANY_MAX: "16384",
    "enable-ipv4": "true",
    "enable-ipv6": "false",
}

VERSIONS = {Generation.V1_9: "1.9.5", Generation.V1_18: "1.18.0"}

_MAPS = {
    Generation.V1_9: ("cilium_lxc", "cilium_ipcache", "cilium_metrics", TCP_MAP, ANY_MAP),
    Generation.V1_18: ("cilium_lxc", "cilium_ipcache_v2", "cilium_metrics", TCP_MAP, ANY_MAP),
}
"""What ``initMaps`` opens, in its order; the ones a test needs to see. With ``enable-ipv6`` the
tables of IPv6 beside them, with ``enable-bpf-masquerade`` the translations."""

_EBPF_TYPES = {
    MapType.HASH: "Hash",
    MapType.LRU_HASH: "LRUHash",
    MapType.LPM_TRIE: "LPMTrie",
    MapType.PERCPU_HASH: "PerCPUHash",
}
_NO_PREALLOC = frozenset({MapType.HASH, MapType.LPM_TRIE, MapType.PERCPU_HASH})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the agent is started; the names are those of Cilium's flags where it has them."""

    bpf_root: Path
    config_dir: Path
    state_dir: Path
    interface: str
    generation: Generation
    map_delay: float
    program_delay: float

    @property
    def globals(self) -> Path:
        """The folder of pins."""
        return self.bpf_root / GLOBALS


class Log:
    """Lines in the form of a generation, on standard output."""

    def __init__(self, generation: Generation) -> None:
        self._slog = generation is Generation.V1_18

    def __call__(self, level: str, message: str, **fields: object) -> None:
        """Write one line; underscores in names stand for dashes."""
        words = [f"level={level}", f"msg={_quoted(message)}"]
        if self._slog:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            words.insert(0, f"time={now}")
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        words += [f"{name}={_quoted(str(value))}" for name, value in named.items()]
        print(" ".join(words), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Start, restart what there is, and stay until SIGTERM."""
    Path("/proc/self/comm").write_text(AGENT_NAMES[0], "ascii")
    settings = _settings(argv)
    log = Log(settings.generation)
    options = {**DEFAULTS, **_read(settings.config_dir)}
    log("info", f"Cilium {VERSIONS[settings.generation]} starts")
    for name, value in sorted(options.items()):
        log("info", f"  --{name}='{value}'", subsys="daemon")
    fields = _daemon_config(options)
    runtime = settings.state_dir / "state" / "agent-runtime-config.json"
    runtime.parent.mkdir(parents=True, exist_ok=True)
    runtime.write_text(json.dumps(fields), "ascii")
    gate = Gate.open()
    with ExitStack() as stack:
        time.sleep(settings.map_delay)
        maps = {
            name: stack.enter_context(_open_or_create(gate, settings, options, name, log))
            for name in _names(settings.generation, options)
        }
        stack.enter_context(
            AgentApiServer(settings.state_dir / "cilium.sock", _documents(settings, fields))
        )
        time.sleep(settings.program_delay)
        _regenerate(gate, settings, options, maps, log)
        log("info", "Daemon initialization completed")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


def _names(generation: Generation, options: Mapping[str, str]) -> list[str]:
    names = list(_MAPS[generation])
    if options["enable-ipv6"] == "true":
        names += [TCP6_MAP, ANY6_MAP]
    if options.get("enable-bpf-masquerade") == "true":
        names.append(NAT_MAP)
    return names


def _nat_max(options: Mapping[str, str]) -> int:
    """``checkMapSizeLimits``: the default gives way to smaller conntrack tables."""
    together = int(options[TCP_MAX]) + int(options[ANY_MAX])
    wish = int(options.get("bpf-nat-global-max", NAT_DEFAULT))
    return together * 2 // 3 if wish == NAT_DEFAULT and wish > together else wish


def _open_or_create(
    gate: Gate, settings: Settings, options: Mapping[str, str], name: str, log: Log
) -> BpfMap:
    """What is pinned if it is as configured, else a new and empty map, as Cilium does it."""
    entry = find(name, settings.generation)
    sizes = {
        **dict.fromkeys((TCP_MAP, TCP6_MAP), options[TCP_MAX]),
        **dict.fromkeys((ANY_MAP, ANY6_MAP), options[ANY_MAX]),
        NAT_MAP: str(_nat_max(options)),
    }
    value_size = entry.value_size or 0
    spec = MapSpec(
        name,
        entry.type,
        entry.key_size or 0,
        int(options.get(VALUE_SIZE, value_size)) if name == TCP_MAP else value_size,
        int(sizes.get(name) or entry.max_entries or 0),
        flags=1 if entry.type in _NO_PREALLOC else 0,
    )
    path = settings.globals / name
    if path.exists():
        live = BpfMap.open(path)
        found = differences(live.info, spec)
        if not found:
            return live
        live.close()
        if settings.generation is Generation.V1_18:
            log(
                "info",
                "Unpinning map with incompatible properties",
                bpfMapName=name,
                file_path=path,
                old=_properties(live.info),
                new=_properties(spec),
            )
        else:
            for one in found:
                message = f"{one.property} mismatch for BPF map"
                log("warning", message, file_path=path, new=one.new, old=one.old)
            message = "Removing map to allow for property upgrade (expect map data loss)"
            log("warning", message, file_path=path)
        pins.unpin(gate, path)
    live = mapwrite.create(gate, spec)
    pins.pin(gate, live, path)
    return live


def _regenerate(
    gate: Gate,
    settings: Settings,
    options: Mapping[str, str],
    maps: Mapping[str, BpfMap],
    log: Log,
) -> None:
    """Load programs for the maps of now and put them in place of the old ones, one by one."""
    fds = [live.fd for live in maps.values()]
    tcp, other = maps[TCP_MAP].fd, maps[ANY_MAP].fd
    packets_at = 0 if settings.generation is Generation.V1_9 else 16
    index = iproute.get(settings.interface).index
    tc.ensure_clsact(gate, index)
    # Both programs use every map, as the parts of a real datapath do together.
    code = {
        tc.TcHook.INGRESS: (
            holding(*fds)
            if VALUE_SIZE in options
            else tracking(tcp, other, *fds, packets_at=packets_at)
        ),
        tc.TcHook.EGRESS: holding(*fds),
    }
    verb = "Rewrote" if settings.generation is Generation.V1_9 else "Reloaded"
    for number, (hook, insns) in enumerate(code.items(), 1):
        fd = load_program(gate, insns, name=f"cil_{hook}")
        try:
            tc.replace_filter(gate, index, hook, fd, f"cil_{hook}")
        finally:
            os.close(fd)
        log("info", f"{verb} endpoint BPF program", endpointID=number)


def _documents(settings: Settings, fields: Mapping[str, object]) -> dict[str, object]:
    return {
        "/v1/healthz": foreign_api.health(VERSIONS[settings.generation]),
        "/v1/config": foreign_api.configuration(fields),
        "/v1/endpoint": [foreign_api.endpoint(1, "prod/web", "10.77.0.2", 20001, "k8s:app=web")],
        "/v1/identity": [foreign_api.identity(20001, "k8s:app=web")],
        "/v1/service": [foreign_api.service(1, "prod/web", ("10.96.0.10", 80), "10.77.0.2:80")],
        "/v1/map": foreign_api.map_list(settings.bpf_root / GLOBALS, (TCP_MAP, ANY_MAP)),
    }


def _daemon_config(options: Mapping[str, str]) -> dict[str, object]:
    """The fields of ``DaemonConfig`` that a node console reads."""
    fields: dict[str, object] = {"ClockSource": 0, "KernelHz": 250}
    for field, flag in CONFIG_NAMES.items():
        value = options.get(flag)
        if value is not None:
            fields[field] = value == "true" if value in {"true", "false"} else _number(value)
    return fields


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _properties(wish: MapSpec | MapInfo) -> str:
    """As slog writes a map's properties."""
    return (
        f"[type {_EBPF_TYPES[wish.type]} keySize {wish.key_size} valueSize {wish.value_size} "
        f"maxEntries {wish.max_entries} flags {int(wish.flags)}]"
    )


def _quoted(text: str) -> str:
    return json.dumps(text) if not text or any(c in text for c in ' "=') else text


def _read(folder: Path) -> dict[str, str]:
    files = (file for file in folder.iterdir() if not file.name.startswith("."))
    return {file.name: file.read_text("utf-8").strip() for file in files}


def _settings(argv: Sequence[str] | None) -> Settings:
    parser = argparse.ArgumentParser(prog=AGENT_NAMES[0])
    for name in ("bpf-root", "config-dir", "state-dir"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--generation", type=Generation, default=Generation.V1_18)
    parser.add_argument("--map-delay", type=float, default=1.6)
    parser.add_argument("--program-delay", type=float, default=4.0)
    return Settings(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    # The signal that ends it is waited for, in every thread.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sys.exit(main())
