"""Where the program's own files are: C sources, compiled iterators, themes, run-time state."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

DEFAULT_BPF_ROOT = Path("/sys/fs/bpf")
"""Where a node mounts its bpffs; every command's ``--bpf-root`` starts from it."""

FALLBACK_BPF_ROOT = Path("/run/cilium/bpffs")
"""Where an agent mounts its own bpffs if the usual place has another file system
(``DefaultMapRootFallback`` of ``pkg/defaults``)."""

GLOBALS = Path("tc/globals")
"""Cilium's folder of pinned maps below a bpffs (``pkg/bpf/bpffs_linux.go``, 1.9 to 1.18)."""

DEBIAN_BCC = Path("/usr/lib/python3/dist-packages/bcc")
"""Where python3-bpfcc, the BPF Compiler of Debian, puts its package."""


def _data(name: str) -> Path:
    """A data folder: packed into an installed wheel, or beside the package in a checkout."""
    packed = _PACKAGE / "_data" / name
    return packed if packed.is_dir() else _PACKAGE.parent / name


def bpf_sources() -> Path:
    """The folder of C sources and the ABI header."""
    return _data("bpf")


def iterator_objects() -> Path:
    """The folder of compiled CO-RE iterators (``*.bpf.o``), made when the package is built."""
    packed = _PACKAGE / "_data" / "iterators"
    return packed if packed.is_dir() else _PACKAGE.parent / "build" / "iterators"


def themes() -> Path:
    """The folder of TOML themes."""
    return _data("themes")


def run_dir() -> Path:
    """Run-time state of agents and labs: ``$CTCONSOLE_RUN_DIR``, else ``/run/ctconsole``."""
    return Path(os.environ.get("CTCONSOLE_RUN_DIR") or "/run/ctconsole")


def labs_dir() -> Path:
    """A folder for each lab, see `lab.folders`."""
    return run_dir() / "labs"


def lab_of(path: Path) -> str:
    """The name of the lab a path lies in; empty where it lies in none."""
    try:
        return path.absolute().relative_to(labs_dir().absolute()).parts[0]
    except (ValueError, IndexError):
        return ""


def cache_dir() -> Path:
    """Private cache (merged kernel headers): ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ctconsole"


def config_home() -> Path:
    """What a person has settled: ``$XDG_CONFIG_HOME``, else ``~/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "ctconsole"


def state_home() -> Path:
    """What is remembered between two runs: ``$XDG_STATE_HOME``, else ``~/.local/state``."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ctconsole"
