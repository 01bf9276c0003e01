"""What ``cilium-bugtool`` and ``cilium sysdump`` leave behind, made of captured dumps.

Names and contents are those of ``bugtool/cmd/root.go`` (``writeCmdToFile``) and
``cilium-cli/sysdump/constants.go``: a command's blanks and slashes become dashes, whatever it
printed stands in a ``.md`` file, and its failure behind it.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from ctconsole.lab import foreign_api
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GLOBALS: Final = "/sys/fs/bpf/tc/globals"
MAPS: Final = (
    *("cilium_ct4_global", "cilium_ct_any4_global", "cilium_ct6_global", "cilium_ct_any6_global"),
    *("cilium_snat_v4_external", "cilium_snat_v6_external", "cilium_lxc", "cilium_ipcache"),
    *("cilium_lb4_services_v2", "cilium_lb4_reverse_nat", "cilium_runtime_config"),
)
"""Some of the maps it asks for, whether the node has them or not."""

Entries = list[tuple[bytes, bytes]]


def entries_of(dump: bytes) -> Entries:
    """The entries of a ``bpftool -j map dump``."""

    def raw(numbers: Sequence[str]) -> bytes:
        return bytes(int(number, 16) for number in numbers)

    return [(raw(entry["key"]), raw(entry["value"])) for entry in json.loads(dump)]


def plain(entries: Entries) -> str:
    """Entries as ``bpftool map dump`` prints them (``print_entry_plain`` of bpftool's map.c)."""

    def hexadecimal(raw: bytes) -> str:
        rows = (raw[start : start + 16] for start in range(0, len(raw), 16))
        return "\n".join(f"{row[:8].hex(' ')}  {row[8:].hex(' ')}".rstrip() for row in rows)

    text = ""
    for key, value in entries:
        long = len(key) > 16 or len(value) > 16
        gap = "\n" if long else " "
        between = "  " if not long and len(key) + len(value) <= 24 else "\n"
        text += f"key:{gap}{hexadecimal(key)}{between}value:{gap}{hexadecimal(value)}\n"
    return f"{text}Found {len(entries)} element{'s' if len(entries) != 1 else ''}\n"


def runtime_config(seconds: int, size: int = 4) -> Entries:
    """``cilium_runtime_config`` of an agent that was alive at so many seconds since boot."""
    nanoseconds = {1: seconds * 10**9 + 5}
    return [
        (index.to_bytes(4, "little"), nanoseconds.get(index, 0).to_bytes(8, "little"))
        for index in range(size)
    ]


@dataclass
class Bugtool:
    """What one run of bugtool finds on a node.

    Attributes:
        capture: the folder of captured dumps and listings that the node's maps hold.
        tool: ``cilium``, since 1.15 ``cilium-dbg``.
        maps: entries of maps beside those of the capture.
        debuginfo: what the agent answers to ``/debuginfo``; None where it does not.
        broken: whether bpftool may not read maps.
        markdown: ``--enable-markdown``.
        pod: in ``--k8s-mode`` the pod whose commands these are.
        shown: what ``bpftool map show`` printed.
    """

    capture: str
    tool: str = "cilium-dbg"
    maps: dict[str, Entries] = field(default_factory=dict)
    debuginfo: dict[str, Any] | None = None
    broken: bool = False
    markdown: bool = False
    pod: str = ""
    shown: str = ""

    def write(self, folder: Path) -> Path:
        """Write the folder that bugtool packs."""
        cmd = folder / "cmd"
        cmd.mkdir(parents=True, exist_ok=True)
        (folder / "conf").mkdir(exist_ok=True)
        source = CAPTURES / self.capture
        for name in MAPS:
            dump = source / f"{name}.bpftool.json"
            entries = self.maps.get(name)
            if entries is None and dump.exists():
                entries = entries_of(dump.read_bytes())
            self._run(cmd, f"bpftool map dump pinned {GLOBALS}/{name}", *self._dump(name, entries))
        listing = (source / "ct-list.txt").read_text()
        self._run(cmd, f"{self.tool} bpf ct list global", listing, self._list_error)
        self._run(cmd, "bpftool map show", self.shown)
        self._run(cmd, "ip a", "1: lo: <LOOPBACK,UP>\n")
        if self.debuginfo is not None:
            file = cmd / "cilium-debuginfo-20230912-100345.12+0000-UTC.json"
            file.write_text(json.dumps(self.debuginfo, indent=2))
        return folder

    def _dump(self, name: str, entries: Entries | None) -> tuple[str, str]:
        reason = "Operation not permitted" if self.broken else "No such file or directory"
        if self.broken or entries is None:
            return f"Error: bpf obj get ({GLOBALS}/{name}): {reason}\n", "exit status 255"
        return plain(entries), ""

    @property
    def _list_error(self) -> str:
        # Without IPv6 the tool of 1.18 ends at the first map that is missing.
        return "" if self.tool == "cilium" else "exit status 1"

    def _run(self, cmd: Path, command: str, output: str, error: str = "") -> None:
        if self.pod:
            command = f"kubectl exec {self.pod} -n kube-system -- {command}"
        name = command.replace("/", " ").replace(" ", "-")
        text = f"# {command}\n\n```\n{output}\n```\n" if self.markdown else output
        if error:
            text += f"> Error while running '{command}':  {error}\n\n"
        (cmd / f"{name}.md").write_text(text)


def debuginfo(
    version: str, *, pod: str = "", address: str = "", mode: str = "ktime", hertz: int = 0
) -> dict[str, Any]:
    """``DebugInfo`` of an agent of this release with one endpoint."""
    endpoints = [foreign_api.endpoint(571, pod, address, 304, "k8s:app=web")] if pod else []
    return {
        "cilium-memory-map": "00400000-05e2d000 r-xp /usr/bin/cilium-agent\n",
        "cilium-status": foreign_api.health(version, mode=mode, hertz=hertz),
        "cilium-version": f"{version} 1a2b3c4d 2025-01-01T00:00:00+00:00 go version go1.24",
        "endpoint-list": endpoints,
        "environment-variables": ["CILIUM_K8S_NAMESPACE:kube-system"],
        "kernel-version": "6.18.0",
        "policy": {"policy": "[]", "revision": 1},
        "service-list": [
            foreign_api.service(1, "prod/web", ("10.96.0.10", 80), "10.244.1.70:8080")
        ],
        "subsystem": {},
    }


def packed(node: Path, form: Literal["tar", "tar.gz"]) -> Path:
    """A bugtool's archive in place of its folder."""
    archive = node.parent / f"{node.name}.{form}"
    with tarfile.open(archive, "w:gz" if form == "tar.gz" else "w") as file:
        file.add(node, f"cilium-bugtool-20230912-100345.12+0000-UTC-{len(node.name)}")
    shutil.rmtree(node)
    return archive


def sysdump(folder: Path) -> Path:
    """``cilium-sysdump-TIME.zip`` of a folder, which is the one folder in it."""
    archive = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, f"{folder.name}/{path.relative_to(folder)}")
    return archive
