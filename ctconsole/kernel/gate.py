"""The write gate: whatever changes the kernel goes through a `Gate`, or is handed one.

Nothing else writes. A read-only session has no gate object at all, so there is no flag that a
view could forget to check.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.errors import BpfError, FormatError, UsageError, bpf_error
from ctconsole.kernel import mounts
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.syscall import (
    MAX_RETRIES,
    BatchAttr,
    Cmd,
    ElemAttr,
    MapCreateAttr,
    ObjAttr,
    bpf,
    call,
    object_name,
    retrying,
)

if TYPE_CHECKING:
    from ctconsole.kernel.walk import Bytes
    from ctconsole.model.spec import MapSpec

ANY = 0
NOEXIST = 1
EXIST = 2
"""``BPF_ANY``, ``BPF_NOEXIST``, ``BPF_EXIST``: flags of `Gate.update`."""

_BUSY = {-errno.EINTR, -errno.EAGAIN, -errno.EBUSY}


class Gate:
    """The capability to write. Made by `Gate.open`, passed down to whoever may use it."""

    @classmethod
    def open(cls, *, read_only: bool) -> Gate | None:
        """The gate, or None for a session that may only look."""
        if read_only:
            return None
        # Before Linux 5.11 map memory is charged to this limit, whose default of 64 KiB is small.
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        return cls()

    def create_map(self, spec: MapSpec) -> BpfMap:
        """Create an unpinned map; the handle is the caller's to close.

        Raises:
            UsageError: a map of maps without ``spec.inner``.
            BpfError: the kernel refused the properties, or memory is short.
        """
        if spec.type.holds_maps and spec.inner is None:
            raise UsageError(f"{spec.name} holds maps and its spec does not say which")
        inner = self.create_map(spec.inner) if spec.type.holds_maps and spec.inner else None
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
            fd = bpf(Cmd.BPF_MAP_CREATE, attr, subject)
        finally:
            if inner:
                inner.close()
        return BpfMap.adopt(fd, writable=True)

    def pin(self, live: BpfMap, path: Path) -> None:
        """Pin a map; missing folders above ``path`` are made.

        Raises:
            UsageError: ``path`` is not on a bpffs, or has a dot, which bpffs reserves.
            BpfError: something is pinned there already (EEXIST).
        """
        self.make_folder(path.parent)
        self.pin_fd(live.fd, path)
        live.repinned(path)

    def pin_fd(self, fd: int, path: Path) -> None:
        """Pin whatever ``fd`` is (a program, a link); see `pin`."""
        _require_bpffs(path.parent, "Pinning")
        if "." in path.name:
            raise UsageError(f"{path.name} cannot be pinned: bpffs reserves dots in names")
        name = ctypes.create_string_buffer(os.fsencode(path))
        attr = ObjAttr(pathname=ctypes.addressof(name), bpf_fd=fd)
        bpf(Cmd.BPF_OBJ_PIN, attr, str(path))

    def unpin(self, path: Path) -> None:
        """Remove a pin; the map lives on while a program or a descriptor holds it.

        Raises:
            UsageError: ``path`` is not on a bpffs; nothing was removed.
            NoSuchMapError: nothing is pinned there.
        """
        _require_bpffs(path.parent, "Unpinning")
        try:
            path.unlink()
        except OSError as error:
            raise bpf_error(error.errno or errno.EIO, "unlink", str(path)) from error

    def rename(self, old: Path, new: Path) -> None:
        """Move a pin, atomically over whatever is pinned at ``new``.

        Raises:
            UsageError: one of the two is not on a bpffs.
            NoSuchMapError: nothing is pinned at ``old``.
        """
        _require_bpffs(old.parent, "Renaming")
        _require_bpffs(new.parent, "Renaming")
        try:
            old.rename(new)
        except OSError as error:
            raise bpf_error(error.errno or errno.EIO, "rename", f"{old} to {new}") from error

    def make_folder(self, path: Path) -> None:
        """Make a folder on a bpffs, and those above it.

        Raises:
            UsageError: the place is not on a bpffs.
            BpfError: mkdir failed; bpffs refuses names with a dot (EPERM).
        """
        if path.is_dir():
            return
        _require_bpffs(next(p for p in path.parents if p.exists()), "Making a folder")
        try:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise bpf_error(error.errno or errno.EIO, "mkdir", str(path)) from error

    def remove_tree(self, path: Path) -> None:
        """Remove a folder of a bpffs with every pin in it; one that is not there is no error.

        Raises:
            UsageError: ``path`` is not on a bpffs; nothing was removed.
        """
        if not path.is_dir():
            return
        _require_bpffs(path, "Removing a folder")
        for folder, folders, files in os.walk(path, topdown=False):
            for name in files:
                self.unpin(Path(folder, name))
            for name in folders:
                Path(folder, name).rmdir()
        if not path.is_mount():
            path.rmdir()

    def update(self, live: BpfMap, key: bytes, value: bytes, flags: int = ANY) -> None:
        """Store one entry; ``value`` is all CPUs' values for a per-CPU map.

        Raises:
            FormatError: key or value have not the map's sizes.
            BpfError: the map is full (E2BIG), `NOEXIST` met an entry (EEXIST), ...
            NoSuchMapError: `EXIST` met none.
        """
        live.check_key(key)
        size = math.prod(live.value_shape)
        if len(value) != size:
            raise FormatError(f"A value of {live.subject} has {size} bytes, not {len(value)}")
        attr, _kept = _element(live.writable_fd(self), key, value)
        attr.flags = flags
        result = _patiently(Cmd.BPF_MAP_UPDATE_ELEM, attr)
        if result < 0:
            raise bpf_error(-result, Cmd.BPF_MAP_UPDATE_ELEM.name, live.subject)

    def delete(self, live: BpfMap, key: bytes) -> bool:
        """Delete one entry.

        Returns:
            False where there was none.
        """
        live.check_key(key)
        attr, _kept = _element(live.writable_fd(self), key, b"")
        result = _patiently(Cmd.BPF_MAP_DELETE_ELEM, attr)
        if result < 0 and result != -errno.ENOENT:
            raise bpf_error(-result, Cmd.BPF_MAP_DELETE_ELEM.name, live.subject)
        return result == 0

    def take(self, live: BpfMap, key: bytes) -> bytes | None:
        """Delete one entry and say what was in it, in one step (hash maps, Linux 5.14).

        Returns:
            The value as it was deleted; None where there was none.

        Raises:
            BpfError: the kernel or this type of map cannot (ENOTSUPP, EINVAL).
        """
        live.check_key(key)
        size = math.prod(live.value_shape)
        attr, (_, value) = _element(live.writable_fd(self), key, bytes(size))
        result = _patiently(Cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM, attr)
        if result == -errno.ENOENT:
            return None
        if result < 0:
            raise bpf_error(-result, Cmd.BPF_MAP_LOOKUP_AND_DELETE_ELEM.name, live.subject)
        return value.raw[:size]

    def update_batch(self, live: BpfMap, keys: Bytes, values: Bytes, flags: int = ANY) -> int:
        """Store many entries (Linux 5.6; one by one where the type has no batch update).

        Args:
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
        done = self._batch(Cmd.BPF_MAP_UPDATE_BATCH, live, rows, cells, flags)
        if done is None:
            for key, value in zip(rows, cells, strict=True):
                self.update(live, key.tobytes(), value.tobytes(), flags)
        return len(rows)

    def delete_batch(self, live: BpfMap, keys: Bytes) -> int:
        """Delete many entries; keys that are not there are passed over.

        Args:
            live: the map.
            keys: u1[n, key size], or any array of n rows of that many bytes.

        Returns:
            How many there were.
        """
        rows = _rows(keys, live.info.key_size, live.subject)
        done = self._batch(Cmd.BPF_MAP_DELETE_BATCH, live, rows, None, 0)
        if done is None:
            done = sum(self.delete(live, key.tobytes()) for key in rows)
        return done

    def _batch(
        self, cmd: Cmd, live: BpfMap, rows: Bytes, cells: Bytes | None, flags: int
    ) -> int | None:
        """Run a batch command over all rows; None where this map type or kernel lacks it."""
        attr = BatchAttr(map_fd=live.writable_fd(self), elem_flags=flags)
        at = done = retries = 0
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
            elif result < 0:
                raise bpf_error(-result, cmd.name, f"{live.subject} after {done} entries")
        return done

    def mount_bpffs(self, path: Path) -> None:
        """Mount a private bpffs at ``path``, which is made where missing.

        Raises:
            DeniedError: without CAP_SYS_ADMIN.
        """
        path.mkdir(parents=True, exist_ok=True)
        mounts.mount("bpf", path, "bpf", options="mode=0700")

    def unmount_bpffs(self, path: Path) -> None:
        """Unmount a bpffs; what is pinned there is unpinned with it.

        A bpffs that somebody still looks at goes as soon as they leave.

        Raises:
            UsageError: no bpffs is mounted at ``path``.
        """
        _require_bpffs(path, "Unmounting")
        if not path.is_mount():
            raise UsageError(f"{path} is not where a bpffs is mounted")
        try:
            mounts.unmount(path)
        except BpfError as error:
            if error.errno != errno.EBUSY:
                raise
            mounts.unmount(path, mounts.MNT_DETACH)


def _require_bpffs(folder: Path, what: str) -> None:
    """Refuse to touch anything that is not on a bpffs."""
    try:
        fits = mounts.on_bpffs(folder)
    except OSError as error:
        raise bpf_error(error.errno or errno.EIO, "statfs", str(folder)) from error
    if not fits:
        raise UsageError(f"{what} was refused: {folder} is not on a bpffs")


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
