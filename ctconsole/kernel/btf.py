"""The types that programs carry along (BTF), of which only the names of functions are read.

The kernel keeps 15 characters of a program's name; its BTF has the name of its function whole.
Source: ``Documentation/bpf/btf.rst`` of Linux.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from ctconsole.errors import BpfError
from ctconsole.kernel.syscall import BtfInfoStruct, Cmd, IdAttr, bpf, read_info

_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")
_MAGIC: Final = 0xEB9F
_FUNC: Final = 12
_LARGEST: Final = 1 << 24
"""Bytes; the kernel takes no more from a program (``BTF_MAX_SIZE``)."""

_MOST_KNOWN: Final = 4096
_known: dict[tuple[int, int, str], str] = {}
"""Names that were read, by the size of the types, the function's place in them and its cut name.

Each endpoint's programs carry types of their own, which are alike.
"""

_BEHIND: Final = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8)} | {
    14: (4, 0),
    15: (0, 12),
    17: (4, 0),
    19: (0, 12),
}
"""Bytes behind a type of each kind, once and for each of its members; others have none."""


def function_name(btf_id: int, type_id: int, cut: str) -> str:
    """The whole name of a function; ``cut`` where nothing tells.

    Args:
        btf_id: the id of the types.
        type_id: of the function among them.
        cut: its name as the kernel keeps it.
    """
    try:
        fd = bpf(Cmd.BPF_BTF_GET_FD_BY_ID, IdAttr(id=btf_id), f"BTF {btf_id}")
    except BpfError:
        return cut
    try:
        return _named(fd, type_id, cut)
    except BpfError:
        return cut
    finally:
        os.close(fd)


def _named(fd: int, type_id: int, cut: str) -> str:
    """Raises: BpfError: the types cannot be read."""
    size = _info(fd, None).btf_size
    key = size, type_id, cut
    if key not in _known:
        blob = ctypes.create_string_buffer(min(size, _LARGEST))
        _info(fd, blob)
        name = name_in(blob.raw, type_id)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = name if name.startswith(cut) else cut
    return _known[key]


def _info(fd: int, blob: ctypes.Array[ctypes.c_char] | None) -> BtfInfoStruct:
    info = BtfInfoStruct()
    if blob is not None:
        info.btf, info.btf_size = ctypes.addressof(blob), len(blob)
    read_info(fd, info, f"BTF fd {fd}")
    return info


def name_in(blob: bytes, type_id: int) -> str:
    """The name of a function in BTF; empty where there is no such function, or no such BTF."""
    if len(blob) < _HEADER.size:
        return ""
    magic, _, _, head, types, types_size, strings, strings_size = _HEADER.unpack_from(blob)
    at, end = head + types, min(head + types + types_size, len(blob))
    if magic != _MAGIC:
        return ""
    number = 0
    while at + _TYPE.size <= end:
        number += 1
        name, info, _ = _TYPE.unpack_from(blob, at)
        kind, members = info >> 24 & 0x1F, info & 0xFFFF
        if number == type_id:
            if kind != _FUNC or name >= strings_size:
                return ""
            start = head + strings + name
            return blob[start : blob.find(b"\0", start)].decode("ascii", "replace")
        once, each = _BEHIND.get(kind, (0, 0))
        at += _TYPE.size + once + each * members
    return ""
