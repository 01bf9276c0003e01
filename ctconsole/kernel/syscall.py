"""bpf(2) itself: commands, typed attribute structures, one call.

Layouts are those of ``union bpf_attr`` in ``include/uapi/linux/bpf.h`` (Linux 6.18). The
kernel accepts a shorter union than its own, and a longer one whose tail is zero.
"""

from __future__ import annotations

import ctypes
import errno
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

from ctconsole.errors import bpf_error
from ctconsole.kernel.numbers import Call, number_of

if TYPE_CHECKING:
    from collections.abc import Callable

_u32 = ctypes.c_uint32
_u64 = ctypes.c_uint64

ENOTSUPP = 524
"""Kernel-internal errno that bpf(2) lets out where a map type lacks an operation."""

MAX_RETRIES = 100
"""How often a call the kernel broke off (EINTR, EAGAIN) is made again."""

F_RDONLY = 1 << 3
"""``file_flags`` and ``open_flags``: a file descriptor that cannot write (Linux 4.15)."""

NAME_LENGTH = 16
"""``BPF_OBJ_NAME_LEN``: a kernel object's name with its closing zero."""


class Cmd(IntEnum):
    """``enum bpf_cmd``: the commands used here."""

    BPF_MAP_CREATE = 0
    BPF_MAP_LOOKUP_ELEM = 1
    BPF_MAP_UPDATE_ELEM = 2
    BPF_MAP_DELETE_ELEM = 3
    BPF_MAP_GET_NEXT_KEY = 4
    BPF_PROG_LOAD = 5
    BPF_OBJ_PIN = 6
    BPF_OBJ_GET = 7
    BPF_PROG_ATTACH = 8
    BPF_PROG_TEST_RUN = 10
    BPF_PROG_GET_NEXT_ID = 11
    BPF_MAP_GET_NEXT_ID = 12
    BPF_PROG_GET_FD_BY_ID = 13
    BPF_MAP_GET_FD_BY_ID = 14
    BPF_OBJ_GET_INFO_BY_FD = 15
    BPF_PROG_QUERY = 16
    BPF_BTF_LOAD = 18
    BPF_BTF_GET_FD_BY_ID = 19
    BPF_MAP_LOOKUP_AND_DELETE_ELEM = 21
    BPF_MAP_FREEZE = 22
    BPF_MAP_LOOKUP_BATCH = 24
    BPF_MAP_LOOKUP_AND_DELETE_BATCH = 25
    BPF_MAP_UPDATE_BATCH = 26
    BPF_MAP_DELETE_BATCH = 27
    BPF_LINK_CREATE = 28
    BPF_LINK_GET_FD_BY_ID = 30
    BPF_LINK_GET_NEXT_ID = 31
    BPF_ENABLE_STATS = 32


class MapCreateAttr(ctypes.Structure):
    """``BPF_MAP_CREATE`` up to the types of keys and values (Linux 4.18).

    What an older kernel does not know may be there as long as it is 0.
    """

    _fields_ = (
        ("map_type", _u32),
        ("key_size", _u32),
        ("value_size", _u32),
        ("max_entries", _u32),
        ("map_flags", _u32),
        ("inner_map_fd", _u32),
        ("numa_node", _u32),
        ("map_name", ctypes.c_char * NAME_LENGTH),
        ("map_ifindex", _u32),
        ("btf_fd", _u32),
        ("btf_key_type_id", _u32),
        ("btf_value_type_id", _u32),
    )


class ElemAttr(ctypes.Structure):
    """``BPF_MAP_*_ELEM`` and ``BPF_MAP_GET_NEXT_KEY``, whose ``value`` is the next key."""

    _fields_ = (("map_fd", _u32), ("key", _u64), ("value", _u64), ("flags", _u64))


class BatchAttr(ctypes.Structure):
    """``BPF_MAP_*_BATCH`` (Linux 5.6): ``count`` goes in as room and comes out as done."""

    _fields_ = (
        ("in_batch", _u64),
        ("out_batch", _u64),
        ("keys", _u64),
        ("values", _u64),
        ("count", _u32),
        ("map_fd", _u32),
        ("elem_flags", _u64),
        ("flags", _u64),
    )


class ObjAttr(ctypes.Structure):
    """``BPF_OBJ_PIN`` and ``BPF_OBJ_GET``."""

    _fields_ = (("pathname", _u64), ("bpf_fd", _u32), ("file_flags", _u32))


class IdAttr(ctypes.Structure):
    """``BPF_*_GET_NEXT_ID`` and ``BPF_*_GET_FD_BY_ID``."""

    _fields_ = (("id", _u32), ("next_id", _u32), ("open_flags", _u32))


class InfoAttr(ctypes.Structure):
    """``BPF_OBJ_GET_INFO_BY_FD``."""

    _fields_ = (("bpf_fd", _u32), ("info_len", _u32), ("info", _u64))


class ProgLoadAttr(ctypes.Structure):
    """``BPF_PROG_LOAD`` up to ``expected_attach_type`` (Linux 4.17)."""

    _fields_ = (
        ("prog_type", _u32),
        ("insn_cnt", _u32),
        ("insns", _u64),
        ("license", _u64),
        ("log_level", _u32),
        ("log_size", _u32),
        ("log_buf", _u64),
        ("kern_version", _u32),
        ("prog_flags", _u32),
        ("prog_name", ctypes.c_char * NAME_LENGTH),
        ("prog_ifindex", _u32),
        ("expected_attach_type", _u32),
    )


class TestRunAttr(ctypes.Structure):
    """``BPF_PROG_TEST_RUN`` up to ``ctx_out`` (Linux 5.2)."""

    __test__ = False

    _fields_ = (
        ("prog_fd", _u32),
        ("retval", _u32),
        ("data_size_in", _u32),
        ("data_size_out", _u32),
        ("data_in", _u64),
        ("data_out", _u64),
        ("repeat", _u32),
        ("duration", _u32),
        ("ctx_size_in", _u32),
        ("ctx_size_out", _u32),
        ("ctx_in", _u64),
        ("ctx_out", _u64),
    )


class ProgQueryAttr(ctypes.Structure):
    """``BPF_PROG_QUERY`` (Linux 4.15) with all of Linux 6.6.

    The target is a descriptor, or the number of an interface. For a hook of an interface the
    kernel writes ``revision`` whatever length it was told, so a shorter structure is overrun.
    """

    _fields_ = (
        ("target_fd", _u32),
        ("attach_type", _u32),
        ("query_flags", _u32),
        ("attach_flags", _u32),
        ("prog_ids", _u64),
        ("prog_cnt", _u32),
        ("pad", _u32),
        ("prog_attach_flags", _u64),
        ("link_ids", _u64),
        ("link_attach_flags", _u64),
        ("revision", _u64),
    )


class LinkInfoStruct(ctypes.Structure):
    """``struct bpf_link_info`` (Linux 5.8); ``target`` is the start of its union."""

    _fields_ = (
        ("type", _u32),
        ("id", _u32),
        ("prog_id", _u32),
        ("pad", _u32),
        ("target", _u32 * 12),
    )


class EnableStatsAttr(ctypes.Structure):
    """``BPF_ENABLE_STATS``: 0 is ``BPF_STATS_RUN_TIME`` (Linux 5.8)."""

    _fields_ = (("type", _u32),)


class MapInfoStruct(ctypes.Structure):
    """``struct bpf_map_info`` up to ``map_flags`` and name (Linux 4.15)."""

    _fields_ = (
        ("type", _u32),
        ("id", _u32),
        ("key_size", _u32),
        ("value_size", _u32),
        ("max_entries", _u32),
        ("map_flags", _u32),
        ("name", ctypes.c_char * NAME_LENGTH),
    )


class MapTypesStruct(ctypes.Structure):
    """``struct bpf_map_info`` up to the types of keys and values (Linux 4.18)."""

    _fields_ = (
        ("known", MapInfoStruct),
        ("ifindex", _u32),
        ("btf_vmlinux_value_type_id", _u32),
        ("netns_dev", _u64),
        ("netns_ino", _u64),
        ("btf_id", _u32),
        ("btf_key_type_id", _u32),
        ("btf_value_type_id", _u32),
    )


class BtfInfoStruct(ctypes.Structure):
    """``struct bpf_btf_info`` (Linux 4.18)."""

    _fields_ = (("btf", _u64), ("btf_size", _u32), ("id", _u32))


class ProgInfoStruct(ctypes.Structure):
    """``struct bpf_prog_info`` up to ``run_cnt`` (Linux 5.1)."""

    _fields_ = (
        ("type", _u32),
        ("id", _u32),
        ("tag", ctypes.c_ubyte * 8),
        ("jited_prog_len", _u32),
        ("xlated_prog_len", _u32),
        ("jited_prog_insns", _u64),
        ("xlated_prog_insns", _u64),
        ("load_time", _u64),
        ("created_by_uid", _u32),
        ("nr_map_ids", _u32),
        ("map_ids", _u64),
        ("name", ctypes.c_char * NAME_LENGTH),
        ("ifindex", _u32),
        ("gpl_compatible", _u32),
        ("netns_dev", _u64),
        ("netns_ino", _u64),
        ("nr_jited_ksyms", _u32),
        ("nr_jited_func_lens", _u32),
        ("jited_ksyms", _u64),
        ("jited_func_lens", _u64),
        ("btf_id", _u32),
        ("func_info_rec_size", _u32),
        ("func_info", _u64),
        ("nr_func_info", _u32),
        ("nr_line_info", _u32),
        ("line_info", _u64),
        ("jited_line_info", _u64),
        ("nr_jited_line_info", _u32),
        ("line_info_rec_size", _u32),
        ("jited_line_info_rec_size", _u32),
        ("nr_prog_tags", _u32),
        ("prog_tags", _u64),
        ("run_time_ns", _u64),
        ("run_cnt", _u64),
    )


libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


@cache
def _bpf_number() -> ctypes.c_long:
    return ctypes.c_long(number_of(Call.BPF))


def call(cmd: Cmd, attr: ctypes.Structure) -> int:
    """One bpf(2) call.

    Releases the interpreter lock while the kernel works. Never retries, because batch commands
    write their progress into ``attr``.

    Returns:
        What the kernel returned, or the negative errno; `ENOTSUPP` comes as ``-EOPNOTSUPP``.

    Raises:
        MissingFeatureError: on a machine whose number of this system call is not known.
    """
    result = int(
        libc.syscall(
            _bpf_number(), ctypes.c_int(cmd), ctypes.byref(attr), _u32(ctypes.sizeof(attr))
        )
    )
    if result >= 0:
        return result
    number = ctypes.get_errno()
    return -errno.EOPNOTSUPP if number == ENOTSUPP else -number


def prepared(cmd: Cmd, attr: ctypes.Structure) -> Callable[[], bool]:
    """One bpf(2) call to be made many thousand times, at a third of what `call` takes in Python.

    Args:
        cmd: the command.
        attr: its attributes, to be changed between the calls.

    Returns:
        Makes the call; answers whether the kernel did what it was asked.

    Raises:
        MissingFeatureError: see `call`.
    """
    number, command = _bpf_number(), ctypes.c_int(cmd)
    place, size = ctypes.byref(attr), _u32(ctypes.sizeof(attr))
    syscall = libc.syscall
    return lambda: syscall(number, command, place, size) >= 0


def bpf(cmd: Cmd, attr: ctypes.Structure, subject: str = "") -> int:
    """`retrying`, which raises what the kernel refused.

    Args:
        cmd: the command; not a batch command.
        attr: its attributes; may be written by the kernel.
        subject: the map, pin or program it is about, for the message.

    Returns:
        The file descriptor or 0.

    Raises:
        BpfError: with the errno; `GoneError` or `DeniedError` where those fit.
    """
    result = retrying(cmd, attr)
    if result < 0:
        raise bpf_error(-result, cmd.name, subject)
    return result


def retrying(cmd: Cmd, attr: ctypes.Structure) -> int:
    """`call`, made again while the kernel answers EINTR or EAGAIN, `MAX_RETRIES` times."""
    result = call(cmd, attr)
    for _ in range(MAX_RETRIES):
        if result not in {-errno.EINTR, -errno.EAGAIN}:
            break
        result = call(cmd, attr)
    return result


def read_info(fd: int, info: ctypes.Structure, subject: str) -> None:
    """Have the kernel write what it says of a map, program, link or types into ``info``.

    What ``info`` holds before is what is asked for besides. Raises what `bpf` does.
    """
    attr = InfoAttr(bpf_fd=fd, info_len=ctypes.sizeof(info), info=ctypes.addressof(info))
    bpf(Cmd.BPF_OBJ_GET_INFO_BY_FD, attr, subject)


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """The address of a ctypes buffer as the kernel's ``__aligned_u64``."""
    return ctypes.addressof(buffer)


def object_name(name: str) -> bytes:
    """``name`` as the kernel takes it: 15 characters of letters, digits, ``_`` and ``.``."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.") else "_" for c in name)
    return kept[: NAME_LENGTH - 1].encode()
