"""What the kernel says of a live map."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.errors import NoMapError
from ctconsole.kernel.syscall import Cmd, MapInfoStruct, read_info
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from pathlib import PurePath


def map_info(fd: int, pin: PurePath | None = None, *, memory: bool = True) -> MapInfo:
    """Facts about the map behind ``fd`` (BPF_OBJ_GET_INFO_BY_FD and fdinfo).

    Args:
        fd: the map; something else only where its memory is asked for too.
        pin: where it is pinned.
        memory: read fdinfo, which takes longer than the rest.

    Raises:
        NoMapError: ``fd`` is no map.
    """
    subject = str(pin) if pin else f"fd {fd}"
    memlock = _memlock(fd, subject) if memory else None
    raw = MapInfoStruct()
    read_info(fd, raw, subject)
    return MapInfo(
        id=raw.id,
        name=raw.name.decode("ascii", "replace"),
        type=MapType(raw.type),
        key_size=raw.key_size,
        value_size=raw.value_size,
        max_entries=raw.max_entries,
        flags=raw.map_flags,
        memlock=memlock,
        pin=pin,
    )


def _memlock(fd: int, subject: str) -> int | None:
    """Bytes charged to the map, from fdinfo; None where /proc does not tell.

    Also tells maps from programs, whose pins BPF_OBJ_GET opens just as well.

    Raises:
        NoMapError: ``fd`` is no map.
    """
    try:
        lines = Path(f"/proc/self/fdinfo/{fd}").read_text("ascii").splitlines()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    if "map_type" not in facts:
        raise NoMapError(errno.EINVAL, Cmd.BPF_OBJ_GET_INFO_BY_FD.name, subject, "It is no map")
    return int(facts["memlock"]) if "memlock" in facts else None
