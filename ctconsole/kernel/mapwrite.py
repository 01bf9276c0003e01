"""Writing into maps: creating them, and storing and deleting entries.

Every function takes the write gate's token first; see `ctconsole.kernel.gate`.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from ctconsole.errors import BpfError, FormatError, UsageError, bpf_error
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.syscall import (
    MAX_RETRIES,
    BatchAttr,
    Cmd,
    ElemAttr,
    IdAttr,
    MapCreateAttr,
    MapTypesStruct,
    bpf,
    call,
    object_name,
    read_info,
    retrying,
)
from ctconsole.model.spec import MapFlag

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.walk import Bytes
    from ctconsole.model.spec import MapSpec

ANY = 0
NOEXIST = 1
EXIST = 2
"""``BPF_ANY``, ``BPF_NOEXIST``, ``BPF_EXIST``: flags of `update`."""

CANNOT_TAKE = frozenset({errno.EINVAL, errno.EOPNOTSUPP, 524})
"""What Linux before 5.14 answers to a deletion that hands out the value; 524 is ENOTSUPP, which
user space has no name for."""

_BUSY = {-errno.EINTR, -errno.EAGAIN, -errno.EBUSY}

_REFILLS: Final = 1000
_REFILL: Final = 0.001
"""How often, and after how many seconds, a map that allocates its entries one by one is asked
again when it has no memory for the next.

The kernel hands them out from a small store of each CPU, which it fills up behind the scenes
(``kernel/bpf/memalloc.c``): many updates at once empty it faster, and are then refused with ENOMEM
on a machine with all its memory free. Where memory really lacks, this is how long it takes to say.
"""


def create(gate: Gate, spec: MapSpec, like: BpfMap | None = None) -> BpfMap:
    """Create an unpinned map; the handle is the caller's to close.

    Args:
        gate: the token.
        spec: what it is to be.
        like: a map of the same key and value, whose types of both (BTF) it gets if it has any
            and the kernel lets it; they say what is in an entry and change nothing else.

    Raises:
        UsageError: a map of maps without ``spec.inner``.
        BpfError: the kernel refused the properties, or memory is short.
    """
    if spec.type.holds_maps and spec.inner is None:
        raise UsageError(f"{spec.name} holds maps and its spec does not say which")
    inner = create(gate, spec.inner) if spec.type.holds_maps and spec.inner else None
    attr = MapCreateAttr(
        map_type=spec.type,
        key_size=spec.key_size,
        value_size=spec.value_size,
        max_entries=spec.max_entries,
        map_flags=spec.flags,
        map_name=object_name(spec.name),
        inner_map_fd=inner.fd if inner else 0,
    )
    subject = f"{spec.name} ({spec.type.name}, {spec.max_entries} entries)"
    try:
        fd = _create_typed(attr, like, subject) if like else None
        if fd is None:
            fd = bpf(Cmd.BPF_MAP_CREATE, attr, subject)
    finally:
        if inner:
            inner.close()
    return BpfMap.adopt(fd, writable=True)


def _create_typed(attr: MapCreateAttr, like: BpfMap, subject: str) -> int | None:
    """Create a map with the types of another one; None where that has none or they do not do."""
    raw = MapTypesStruct()
    try:
        read_info(like.fd, raw, like.subject)
        if not raw.btf_id:
            return None
        types = bpf(Cmd.BPF_BTF_GET_FD_BY_ID, IdAttr(id=raw.btf_id), f"types of {like.subject}")
    except BpfError:
        return None
    attr.btf_fd = types
    attr.btf_key_type_id, attr.btf_value_type_id = raw.btf_key_type_id, raw.btf_value_type_id
    try:
        return bpf(Cmd.BPF_MAP_CREATE, attr, subject)
    except BpfError:
        # Whatever it is: without types it is told as it is for every map.
        attr.btf_fd = attr.btf_key_type_id = attr.btf_value_type_id = 0
        return None
    finally:
        os.close(types)


def update(gate: Gate, live: BpfMap, key: bytes, value: bytes, flags: int = ANY) -> None:
    """Store one entry; ``value`` is all CPUs' values for a per-CPU map.

    Raises:
        FormatError: key or value have not the map's sizes.
        BpfError: the map is full (E2BIG), `NOEXIST` met an entry (EEXIST), ...
        GoneError: `EXIST` met none.
    """
    live.check_key(key)
    size = math.prod(live.value_shape)
    if len(value) != size:
        raise FormatError(f"A value of {live.subject} has {size} bytes, not {len(value)}")
    attr, _kept = _element(live.writable_fd(gate), key, value)
    attr.flags = flags
    result = _patiently(Cmd.BPF_MAP_UPDATE_ELEM, attr)
    for _ in range(_REFILLS):
        if not _awaits_memory(live, result):
            break
        time.sleep(_REFILL)
        result = _patiently(Cmd.BPF_MAP_UPDATE_ELEM, attr)
    if result < 0:
        raise bpf_error(-result, Cmd.BPF_MAP_UPDATE_ELEM.name, live.subject)


def delete(gate: Gate, live: BpfMap, key: bytes) -> bool:
    """Delete one entry.

    Returns:
        False where there was none.
    """
    live.check_key(key)
    attr, _kept = _element(live.writable_fd(gate), key, b"")
    result = _patiently(Cmd.BPF_MAP_DELETE_ELEM, attr)
    if result < 0 and result != -errno.ENOENT:
        raise bpf_error(-result, Cmd.BPF_MAP_DELETE_ELEM.name, live.subject)
    return result == 0


def take(gate: Gate, live: BpfMap, key: bytes) -> bytes | None:
    """Delete one entry and say what was in it, in one step (hash maps, Linux 5.14).

    Returns:
        The value as it was deleted; None where there was none.

    Raises:
        BpfError: the kernel or this type of map cannot (ENOTSUPP, EINVAL).
    """
    live.check_key(key)
    size = math.prod(live.value_shape)
    attr, (_, value) = _element(live.writable_fd(gate), key, bytes(size))
    result = _patiently(Cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr)
    if result == -errno.ENOENT:
        return None
    if result < 0:
        raise bpf_error(-result, Cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM.name, live.subject)
    return value.raw[:size]


def update_batch(gate: Gate, live: BpfMap, keys: Bytes, values: Bytes, flags: int = ANY) -> int:
    """Store many entries (Linux 5.6; one by one where the type has no batch update).

    Args:
        gate: the token.
        live: the map.
        keys: u1[n, key size], or any array of n rows of that many bytes.
        values: n rows of the value size, or of all CPUs' values.
        flags: `ANY`, `NOEXIST`, `EXIST`.

    Returns:
        How many were stored: all of them.

    Raises:
        BpfError: says how many were stored before the failing one.
    """
    rows = _rows(keys, live.info.key_size, live.subject)
    cells = _rows(values, math.prod(live.value_shape), live.subject)
    if len(rows) != len(cells):
        raise FormatError(f"{len(rows)} keys and {len(cells)} values for {live.subject}")
    done = _batch(gate, Cmd.BPF_MAP_UPDATE_BATCH, live, rows, cells, flags=flags)
    if done is None:
        for key, value in zip(rows, cells, strict=True):
            update(gate, live, key.tobytes(), value.tobytes(), flags)
    return len(rows)


def delete_batch(gate: Gate, live: BpfMap, keys: Bytes) -> int:
    """Delete many entries; keys that are not there are passed over.

    Args:
        gate: the token.
        live: the map.
        keys: u1[n, key size], or any array of n rows of that many bytes.

    Returns:
        How many there were.
    """
    rows = _rows(keys, live.info.key_size, live.subject)
    done = _batch(gate, Cmd.BPF_MAP_DELETE_BATCH, live, rows, None)
    if done is None:
        done = sum(delete(gate, live, key.tobytes()) for key in rows)
    return done


def _batch(
    gate: Gate, cmd: Cmd, live: BpfMap, rows: Bytes, cells: Bytes | None, *, flags: int = ANY
) -> int | None:
    """Run a batch command over all rows; None where this map type or kernel lacks it."""
    attr = BatchAttr(map_fd=live.writable_fd(gate), elem_flags=flags)
    at = done = retries = refills = 0
    while at < len(rows):
        attr.keys = rows.ctypes.data + at * rows.shape[1]
        attr.values = cells.ctypes.data + at * cells.shape[1] if cells is not None else 0
        attr.count = len(rows) - at
        result = call(cmd, attr)
        if at == 0 and result in {-errno.EOPNOTSUPP, -errno.EINVAL}:
            return None
        went = int(attr.count) if result == 0 or attr.count < len(rows) - at else 0
        at, done = at + went, done + went
        if result == -errno.ENOENT and cmd is Cmd.BPF_MAP_DELETE_BATCH:
            at += 1
        elif result in _BUSY and (went or retries < MAX_RETRIES):
            retries = 0 if went else retries + 1
        elif _awaits_memory(live, result) and (went or refills < _REFILLS):
            refills = 0 if went else refills + 1
            time.sleep(_REFILL)
        elif result < 0:
            raise bpf_error(-result, cmd.name, f"{live.subject} after {done} entries")
    return done


def _awaits_memory(live: BpfMap, result: int) -> bool:
    """Whether an update failed for what may be there in a moment (see `_REFILLS`)."""
    return result == -errno.ENOMEM and bool(live.info.flags & MapFlag.NO_PREALLOC)


def _element(
    fd: int, key: bytes, value: bytes
) -> tuple[ElemAttr, tuple[ctypes.Array[ctypes.c_char], ...]]:
    """Attributes of a command on one entry, and the buffers they point to, to be kept alive."""
    kept = (
        ctypes.create_string_buffer(key, max(1, len(key))),
        ctypes.create_string_buffer(value, max(1, len(value))),
    )
    first, second = (ctypes.addressof(buffer) for buffer in kept)
    # The kernel refuses a deletion that points to a value.
    return ElemAttr(map_fd=fd, key=first, value=second if value else 0), kept


def _patiently(cmd: Cmd, attr: ElemAttr) -> int:
    """A write made again while another CPU holds the bucket (EBUSY, Linux 5.11 to 6.14)."""
    result = retrying(cmd, attr)
    for _ in range(MAX_RETRIES):
        if result != -errno.EBUSY:
            break
        result = retrying(cmd, attr)
    return result


def _rows(array: Bytes, width: int, subject: str) -> Bytes:
    """``array`` as C-contiguous u1[n, width]; structured rows and nested axes are flattened."""
    plain = np.ascontiguousarray(array)
    size = plain.nbytes // max(1, len(plain))
    if len(plain) and size != width:
        raise FormatError(f"Rows for {subject} have {size} bytes instead of {width}")
    return plain.view(np.uint8).reshape(len(plain), width)
