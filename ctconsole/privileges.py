"""Which capability a refused call lacks, for the sentence that tells a person.

The kernel answers EPERM or EACCES and never says why. What each call asks for is written down here
(capabilities(7), ``kernel/bpf/syscall.c`` and ``net/core/rtnetlink.c``, Linux 6.18), and what this
process has is in ``/proc/self/status``.
"""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from pathlib import Path


class Capability(IntEnum):
    """The capabilities that anything here may want, by their numbers."""

    CAP_DAC_OVERRIDE = 1
    CAP_NET_ADMIN = 12
    CAP_SYS_ADMIN = 21
    CAP_PERFMON = 38
    CAP_BPF = 39


_BPF, _SYS = Capability.CAP_BPF, Capability.CAP_SYS_ADMIN
_NET, _PERFMON = Capability.CAP_NET_ADMIN, Capability.CAP_PERFMON

_WANTED: dict[str, tuple[Capability, ...]] = {
    "BPF_PROG_LOAD": (_BPF, _NET, _PERFMON),
    "BPF_PROG_ATTACH": (_BPF, _NET),
    "BPF_PROG_QUERY": (_NET,),
    "BPF_LINK_CREATE": (_BPF, _NET),
    "BPF_ITER_CREATE": (_BPF, _PERFMON),
    "BPF_ENABLE_STATS": (_SYS,),
    "perf_event_open": (_PERFMON,),
    "mount": (_SYS,),
    "umount": (_SYS,),
    "unshare": (_SYS,),
    "setns": (_SYS,),
    "netns add": (_SYS, _NET),
    "sysctl": (_NET,),
}
"""By call; others of bpf(2) want CAP_BPF, those by id CAP_SYS_ADMIN, rtnetlink CAP_NET_ADMIN."""

_WHOLE_MACHINE = "0 0 4294967295"
"""The map of user ids in the initial user namespace."""


def hint_for(command: str, number: int) -> str:
    """What to do about a refusal.

    Args:
        command: the call, as `ctconsole.errors.BpfError` names it.
        number: EPERM or EACCES.
    """
    owned = _touches_files(command) and number == errno.EACCES
    wanted = (Capability.CAP_DAC_OVERRIDE,) if owned else _wanted(command)
    if not wanted:
        return "Run as root"
    missing = [capability for capability in wanted if not _has(capability)]
    if missing:
        names = " and ".join(capability.name for capability in missing)
        if owned:
            return f"Run as root or as the owner of it, or with {names}"
        return f"Run as root with {names}" if os.geteuid() == 0 else f"Run as root, or with {names}"
    names = " and ".join(capability.name for capability in wanted)
    if _in_user_namespace():
        return f"{names} count in the initial user namespace only; run outside the container"
    return f"This process has {names}; a security module (dmesg, the audit log) may refuse it"


def _touches_files(command: str) -> bool:
    """Whether it is about a file, whose permissions answer EACCES."""
    return command in {"BPF_OBJ_GET", "BPF_OBJ_PIN", "setns"} or not (
        command.startswith(("BPF_", "RTM_")) or command in _WANTED
    )


def _wanted(command: str) -> tuple[Capability, ...]:
    if command in _WANTED:
        return _WANTED[command]
    if command.endswith(("_GET_NEXT_ID", "_GET_FD_BY_ID")):
        return (Capability.CAP_SYS_ADMIN,)
    if command.startswith("RTM_"):
        return (Capability.CAP_NET_ADMIN,)
    return (Capability.CAP_BPF,) if command.startswith("BPF_") else ()


def _has(capability: Capability) -> bool:
    """Whether it is in effect; CAP_SYS_ADMIN counts for those taken out of it in Linux 5.8."""
    effective = _effective()
    if effective >> capability & 1:
        return True
    return capability in {_BPF, _PERFMON} and bool(effective >> _SYS & 1)


def _effective() -> int:
    """The capabilities in effect, as bits; 0 where /proc does not tell."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    found = (line.split(":", 1)[1] for line in lines if line.startswith("CapEff:"))
    return int(next(found, "0"), 16)


def _in_user_namespace() -> bool:
    try:
        text = Path("/proc/self/uid_map").read_text("ascii")
    except OSError:
        return False
    return text.split() != _WHOLE_MACHINE.split()
