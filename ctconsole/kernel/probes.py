"""What this node can and cannot do: every feature is tried, none is read off a version.

Probing leaves nothing behind: maps stay unpinned, links live in a namespace that goes with its
thread, the bpffs tried is unmounted again.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import struct
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import CtconsoleError, GoneError
from ctconsole.kernel import iproute, libbpf, mapwrite, netns, pins, tc
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.counts import KFUNC, OBJECT, ElementCounter
from ctconsole.kernel.gate import Gate
from ctconsole.kernel.hooks import HOOKS, known
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.kernel.programs import load_program
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import DEBIAN_BCC, iterator_objects

if TYPE_CHECKING:
    from collections.abc import Callable

BTF = Path("/sys/kernel/btf/vmlinux")
HEADERS = Path("/usr/src")
MODULES = Path("/lib/modules")

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bits of ``include/uapi/linux/capability.h``; the last two came out of SYS_ADMIN in Linux 5.8."""

_SINCE = {
    "cgroup": "Linux 4.15",
    "tcx": "Linux 6.6",
    "netkit": "Linux 6.7 with CONFIG_NETKIT",
    "netns": "Linux 4.20",
    "sockmap": "Linux 5.18",
}
"""Since when the hooks of a kind tell what is attached to them."""

_ITERATOR = b"\0bpf_iter_bpf_map\0"
_PASS_ALL = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
_SPEC = MapSpec("probe", MapType.LRU_HASH, 14, 56, 1024)


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of ``ctconsole doctor``.

    Attributes:
        name: the feature.
        ok: whether it is there and works.
        detail: what was found.
        remedy: what to do where it is not ok; empty where nothing can be done.
        needed: whether the main job (show, recreate, run the lab) cannot run without it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str
    needed: bool


class _Missing(Exception):  # noqa: N818 - a finding, not an error
    """A feature is not there; the message is the probe's detail."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """How one feature is tried: ``run`` answers the detail or raises."""

    name: str
    run: Callable[[], str]
    remedy: str
    needed: bool


def probe_all() -> list[Probe]:
    """Try everything; takes about a quarter of a second and never raises for a missing feature."""
    return [_tried(trial) for trial in _TRIALS]


def _tried(trial: _Trial) -> Probe:
    try:
        detail = trial.run()
    except CtconsoleError as error:
        message = getattr(error, "message", str(error))
        return Probe(trial.name, ok=False, detail=message, remedy=trial.remedy, needed=trial.needed)
    except (OSError, _Missing) as error:
        return Probe(
            trial.name, ok=False, detail=str(error), remedy=trial.remedy, needed=trial.needed
        )
    return Probe(trial.name, ok=True, detail=detail, remedy="", needed=trial.needed)


def _kernel() -> str:
    return f"Linux {os.uname().release} on {platform.machine()}"


def effective_capabilities(status: str) -> list[str]:
    """Those of `CAPABILITIES` that the text of a ``/proc/PID/status`` grants."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(line.split()[1], 16)
    return [name for name, bit in CAPABILITIES.items() if mask >> bit & 1]


def _capabilities() -> str:
    held = effective_capabilities(Path("/proc/thread-self/status").read_text("ascii"))
    missing = [name for name in ("CAP_NET_ADMIN", "CAP_SYS_ADMIN") if name not in held]
    if missing:
        raise _Missing(f"{' and '.join(missing)} not effective")
    return ", ".join(held)


def _bpffs() -> str:
    gate = Gate.open()
    with tempfile.TemporaryDirectory(prefix="ctconsole-probe-") as folder:
        root = Path(folder, "bpf")
        pins.mount_bpffs(gate, root)
        try:
            with mapwrite.create(gate, _SPEC) as live:
                pins.pin(gate, live, root / "probe")
        finally:
            pins.unmount_bpffs(gate, root)
    mounted = ", ".join(str(path) for path in find_bpffs())
    return f"mounted at {mounted}" if mounted else "works; none is mounted on this node"


def _pinned() -> str:
    """Every pin of the bpffs mounted here can be opened."""
    passed_over: list[str] = []
    found = 0
    for root in find_bpffs():
        with suppress(GoneError):
            found += len(pinned_maps(root, passed_over.append))
    if passed_over:
        more = f"; {len(passed_over) - 1} more" if len(passed_over) > 1 else ""
        raise _Missing(f"{passed_over[0]}{more}")
    return f"{found} maps, all readable" if found else "none on this node"


def _batch() -> str:
    gate = Gate.open()
    keys = np.arange(4 * _SPEC.key_size, dtype=np.uint8).reshape(4, -1)
    with mapwrite.create(gate, _SPEC) as live:
        mapwrite.update_batch(gate, live, keys, np.zeros((4, _SPEC.value_size), np.uint8))
        if not live.has_batch():
            raise _Missing("maps are read key by key, six times slower")
        if mapwrite.delete_batch(gate, live, keys) != len(keys):
            raise _Missing("a batch deletion did not delete everything")
    return "lookup, update and delete"


def _namespaces() -> str:
    netns.in_throwaway(lambda: None)
    return "can be made"


def _clsact() -> str:
    gate = Gate.open()

    def attach() -> None:
        iproute.add_veth(gate, "probe0", "probe1")
        index = iproute.get("probe0").index
        tc.ensure_clsact(gate, index)
        program = load_program(gate, _PASS_ALL, name="probe")
        try:
            tc.replace_filter(gate, index, tc.TcHook.INGRESS, program, "probe")
        finally:
            os.close(program)
        if len(tc.filters(index)) != 1:
            raise _Missing("an attached program is not listed")

    netns.in_throwaway(attach)
    return "a program attaches to a veth"


def _hooks() -> str:
    there = {hook.kind for hooks in HOOKS.values() for hook in hooks if known(hook)}
    if not there:
        raise _Missing("no hook tells which programs are attached to it")
    found = ", ".join(kind for kind in _SINCE if kind in there)
    # What this kernel has no hooks for has no programs either, so nothing is missed.
    lacking = ", ".join(f"{kind} ({since})" for kind, since in _SINCE.items() if kind not in there)
    return f"{found}; this kernel has no {lacking}" if lacking else found


def _btf() -> str:
    return f"{BTF}, {BTF.stat().st_size >> 10} KiB"


def _iterators() -> str:
    if _ITERATOR not in _btf_bytes():
        raise _Missing("the kernel has no bpf_map iterator")
    return "bpf_map"


def _element_count() -> str:
    if f"\0{KFUNC}\0".encode() not in _btf_bytes():
        raise _Missing(f"the kernel has no {KFUNC}; fill ratios come from slower walks")
    gate = Gate.open()
    with mapwrite.create(gate, _SPEC) as live, ElementCounter() as counter:
        mapwrite.update(gate, live, bytes(_SPEC.key_size), bytes(_SPEC.value_size))
        if counter.counts().get(live.info.id) != 1:
            raise _Missing(f"{KFUNC} counts wrongly")
    return f"exact, by {KFUNC}"


def _compiled() -> str:
    path = iterator_objects() / OBJECT
    if not path.is_file():
        raise _Missing(f"{path} is missing")
    return str(path)


def _libbpf() -> str:
    return libbpf.version()


def _bcc() -> str:
    if (DEBIAN_BCC / "libbcc.py").is_file():
        return str(DEBIAN_BCC)
    other = importlib.util.find_spec("bcc")
    if other is not None:
        raise _Missing(f"{other.origin} is not the BPF Compiler but an unrelated PyPI package")
    raise _Missing("the BPF Compiler is not installed")


def _headers() -> str:
    own = MODULES / os.uname().release / "build"
    if (own / "include").is_dir():
        return f"of the running kernel, {own}"
    found = sorted(path.name for path in HEADERS.glob("linux-headers-*") if path.is_dir())
    if not found:
        raise _Missing("none are installed")
    return f"of another kernel, which serves: {', '.join(found)}"


def _clang() -> str:
    path = shutil.which("clang")
    if path is None:
        raise _Missing("not installed")
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return answer.stdout.partition("\n")[0] or path


def _btf_bytes() -> bytes:
    with suppress(FileNotFoundError):
        return BTF.read_bytes()
    raise _Missing(f"{BTF} is missing")


_ROOT = "Run as root, or with CAP_SYS_ADMIN and CAP_NET_ADMIN"

_TRIALS = (
    _Trial("kernel", _kernel, "", needed=True),
    _Trial("capabilities", _capabilities, _ROOT, needed=True),
    _Trial("bpffs", _bpffs, "Run as root on Linux 4.4 or later", needed=True),
    _Trial("pinned maps", _pinned, "Remove the pin, or mend what it leads to", needed=False),
    _Trial("batch operations", _batch, "Linux 5.6 or later has them", needed=False),
    _Trial("network namespaces", _namespaces, _ROOT, needed=True),
    _Trial("tc clsact", _clsact, "Linux 4.5 or later with CONFIG_NET_CLS_BPF", needed=True),
    _Trial("program hooks", _hooks, "Run as root on Linux 4.15 or later", needed=False),
    _Trial("bcc", _bcc, "apt install python3-bpfcc", needed=True),
    _Trial("kernel headers", _headers, "apt install linux-headers-amd64", needed=True),
    _Trial("BTF", _btf, "Linux 5.2 or later with CONFIG_DEBUG_INFO_BTF", needed=False),
    _Trial("map iterators", _iterators, "Linux 5.8 or later has them", needed=False),
    _Trial("libbpf", _libbpf, "apt install libbpf1", needed=False),
    _Trial("compiled iterators", _compiled, "make setup", needed=False),
    _Trial("element count", _element_count, "Linux 6.6 or later counts exactly", needed=False),
    _Trial("clang", _clang, "apt install clang, to compile the iterators", needed=False),
)
