"""Kernel headers for bcc: one tree, of whichever Linux has its headers installed.

bcc wants the build tree of a kernel. The tc programs use nothing but uapi structures, so any
recent tree serves. Debian splits a tree into ``linux-headers-*-common`` and one folder for each
flavour laid over it; here both are laid over each other as symbolic links in a private cache.
Nothing is written below ``/lib/modules`` or ``/usr/src``.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from ctconsole import paths, private
from ctconsole.errors import DatapathError, MissingFeatureError

_SOURCES = Path("/usr/src")
_MODULES = Path("/lib/modules")
_NEEDED = ("include/uapi/linux/bpf.h", "include/generated/autoconf.h", "include/linux/kconfig.h")

REMEDY = "Run: apt-get install python3-bpfcc linux-headers-amd64"


def kernel_tree(
    sources: Path = _SOURCES, modules: Path = _MODULES, cache: Path | None = None
) -> Path:
    """A complete header tree, the running kernel's where there is one.

    Args:
        sources: where distributions unpack headers.
        modules: where a kernel's own ``build`` link is.
        cache: where merged trees are kept, `private.cache` by default.

    Raises:
        MissingFeatureError: no kernel headers are installed.
        DatapathError: there is no folder for a merged tree that others cannot write to.
    """
    release = os.uname().release
    own = modules / release / "build"
    if _complete(own):
        return own
    for flavour in _flavours(sources, release):
        if _complete(flavour):
            return flavour
        common = _common_of(flavour)
        if common is not None:
            return _merged((common, flavour), cache / "headers" if cache else _cache())
    raise MissingFeatureError("No kernel headers are installed, bcc needs them", hint=REMEDY)


def _cache() -> Path:
    folder = private.cache("headers")
    if folder is None:
        raise DatapathError(
            f"Kernel headers can be laid together neither below {paths.cache_dir()} nor below "
            f"{paths.run_dir()}: these cannot be written, or others can write to them too",
            hint="Set XDG_CACHE_HOME to a folder that only you can write to",
        )
    return folder


def _complete(tree: Path) -> bool:
    return all((tree / name).is_file() for name in _NEEDED)


def _flavours(sources: Path, release: str) -> list[Path]:
    """Header folders that are no ``-common``: the running kernel's first, then newest first."""
    found = [
        folder
        for folder in sources.glob("linux-headers-*")
        if folder.is_dir() and _common_of(folder) != folder
    ]
    found.sort(key=_version, reverse=True)
    found.sort(key=lambda folder: folder.name != f"linux-headers-{release}")
    return found


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", folder.name))


def _common_of(flavour: Path) -> Path | None:
    """The ``-common`` folder a flavour is to be laid over: itself for a ``-common``."""
    stem = flavour.name.rpartition("-")[0]
    common = flavour.with_name(f"{stem}-common")
    return common if common.is_dir() else None


def _merged(layers: tuple[Path, ...], cache: Path) -> Path:
    """The layers laid over each other, the last on top; made once for each state of them.

    Two processes may make it at once: each builds aside, the first to rename wins.
    """
    stamp = max(layer.stat().st_mtime_ns for layer in layers)
    tree = cache / f"{layers[-1].name}-{stamp:x}"
    if tree.is_dir():
        return tree
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
    try:
        _overlay(layers, aside)
        try:
            aside.rename(tree)
        except OSError:
            if not tree.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return tree


def _overlay(layers: tuple[Path, ...], target: Path) -> None:
    """Link everything of ``layers`` into ``target``; only folders several have are walked."""
    names = {entry.name for layer in layers for entry in layer.iterdir()}
    for name in sorted(names):
        owners = tuple(layer / name for layer in layers if (layer / name).exists())
        folders = tuple(owner for owner in owners if owner.is_dir())
        link = target / name
        if len(folders) > 1:
            link.mkdir()
            _overlay(folders, link)
        elif owners:
            link.symlink_to(owners[-1])
