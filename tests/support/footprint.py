"""What a lab has in the kernel, and whether it is all gone."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel import iproute, netns, tc
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import all_map_ids, all_programs
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.lab import topology
from ctconsole.lab.names import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab

SECONDS = 30.0
"""The kernel frees namespaces, programs and maps later, in workers of its own."""


@dataclass(frozen=True)
class Footprint:
    """Everything of a lab that must not outlive it.

    Other tests and labs may come and go meanwhile, so it is taken of one lab and compared by
    the kernel's ids, which are never used twice.
    """

    lab: str
    root: Path
    maps: frozenset[int]
    programs: frozenset[int]
    processes: frozenset[int]

    @classmethod
    def of(cls, lab: Lab) -> Footprint:
        node = lab.namespace(topology.NODE)
        programs = {
            found.prog_id
            for link in iproute.links(netns=node)
            for found in tc.filters(link.index, netns=node)
        }
        used = {number for info in all_programs() if info.id in programs for number in info.map_ids}
        pinned = {info.id for info in pinned_maps(lab.bpf_root).values()}
        spaces = [lab.namespace(role) for role in lab.roles]
        return cls(
            lab.name,
            lab.root,
            frozenset(used | pinned),
            frozenset(programs),
            frozenset(pid for space in spaces for pid in netns.pids(space)),
        )

    def remains(self) -> dict[str, object]:
        """What is still there, after waiting for it to go; empty when nothing is."""
        deadline = time.monotonic() + SECONDS
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if "maps" in left:
            left["held by"] = sorted(_holders(self.maps))
        return left

    def _left(self) -> dict[str, object]:
        left = {
            "maps": self.maps & set(all_map_ids()),
            "programs": self.programs & {info.id for info in all_programs()},
            "processes": {pid for pid in self.processes if Path(f"/proc/{pid}").exists()},
            "namespaces": {
                name for role in topology.ROLES if netns.exists(name := namespace(self.lab, role))
            },
            "mounts": {path for path in find_bpffs() if path.is_relative_to(self.root)},
            "folders": {self.root} if self.root.exists() else set(),
        }
        return {what: found for what, found in left.items() if found}


def _holders(maps: frozenset[int]) -> Iterator[str]:
    """Which processes have a descriptor of one of these maps."""
    for info in Path("/proc").glob("[0-9]*/fdinfo/*"):
        with suppress(OSError):
            found = re.search(r"^map_id:\s*([0-9]+)$", info.read_text(), re.MULTILINE)
            if found and int(found[1]) in maps:
                command = (info.parents[1] / "cmdline").read_text().replace("\0", " ")
                yield f"{found[1]}: {command}"
