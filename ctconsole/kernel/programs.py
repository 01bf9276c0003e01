"""BPF programs: listing, and loading a handful of raw instructions."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ctconsole.errors import DatapathError, GoneError, bpf_error
from ctconsole.handles import Handle
from ctconsole.kernel.btf import function_name
from ctconsole.kernel.ids import fd_by_id, ids
from ctconsole.kernel.syscall import (
    NAME_LENGTH,
    Cmd,
    EnableStatsAttr,
    ProgInfoStruct,
    ProgLoadAttr,
    TestRunAttr,
    bpf,
    object_name,
    read_info,
    retrying,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate

INSN_SIZE = 8
"""Bytes of a ``struct bpf_insn``."""

_LOG_SIZE = 1 << 20
_MAX_PACKET = 1 << 16


class ProgramType(IntEnum):
    """``enum bpf_prog_type``: those the article's node has; others keep their number."""

    UNSPEC = 0
    SOCKET_FILTER = 1
    KPROBE = 2
    SCHED_CLS = 3
    SCHED_ACT = 4
    TRACEPOINT = 5
    XDP = 6
    PERF_EVENT = 7
    CGROUP_SKB = 8
    CGROUP_SOCK = 9
    LWT_IN = 10
    LWT_OUT = 11
    LWT_XMIT = 12
    SOCK_OPS = 13
    SK_SKB = 14
    CGROUP_DEVICE = 15
    SK_MSG = 16
    RAW_TRACEPOINT = 17
    CGROUP_SOCK_ADDR = 18
    FLOW_DISSECTOR = 22
    CGROUP_SYSCTL = 23
    CGROUP_SOCKOPT = 25
    TRACING = 26
    STRUCT_OPS = 27
    EXT = 28
    LSM = 29
    SK_LOOKUP = 30
    SYSCALL = 31

    @classmethod
    def _missing_(cls, value: object) -> ProgramType | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"TYPE_{value}"
        member._value_ = value
        return member


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a loaded program.

    Attributes:
        id: kernel program id; never reused while the machine runs.
        type: what it may be attached to.
        name: kernel name, at most 15 characters.
        tag: hash over its instructions, 16 hex digits.
        map_ids: maps it uses; not those it reaches through other maps.
        run_cnt: runs counted while ``kernel.bpf_stats_enabled`` was on.
        run_time_ns: nanoseconds of these runs.
        function: the whole name of its function, of which ``name`` is the beginning.
    """

    id: int
    type: ProgramType
    name: str
    tag: str
    map_ids: tuple[int, ...]
    run_cnt: int
    run_time_ns: int
    function: str = ""

    @property
    def called(self) -> str:
        """What to call it: by its whole name, where that is known."""
        return self.function or self.name


def program_info(fd: int) -> ProgramInfo:
    """Facts about the program behind ``fd``.

    Raises:
        BpfError: ``fd`` is no program.
    """
    room = 0
    function = (ctypes.c_uint32 * 2)()
    while True:
        info = ProgInfoStruct(nr_map_ids=room)
        info.nr_func_info, info.func_info_rec_size = 1, ctypes.sizeof(function)
        info.func_info = ctypes.addressof(function)
        id_array = (ctypes.c_uint32 * max(room, 1))()
        if room:
            info.map_ids = ctypes.addressof(id_array)
        read_info(fd, info, f"program fd {fd}")
        if info.nr_map_ids <= room:
            break
        room = info.nr_map_ids
    name = info.name.decode("ascii", "replace")
    whole = len(name) < NAME_LENGTH - 1 or not info.btf_id or not info.nr_func_info
    return ProgramInfo(
        id=info.id,
        type=ProgramType(info.type),
        name=name,
        tag=bytes(info.tag).hex(),
        map_ids=tuple(id_array[: info.nr_map_ids]),
        run_cnt=info.run_cnt,
        run_time_ns=info.run_time_ns,
        function="" if whole else function_name(info.btf_id, function[1], name),
    )


def all_program_ids() -> list[int]:
    """The ids of every program of this machine, ascending.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    return list(ids(Cmd.BPF_PROG_GET_NEXT_ID))


def all_programs() -> list[ProgramInfo]:
    """Every program of this machine, by id; one unloaded meanwhile is left out.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    found = []
    for number in all_program_ids():
        try:
            fd = fd_by_id(Cmd.BPF_PROG_GET_FD_BY_ID, number, f"program {number}")
        except GoneError:
            continue
        try:
            found.append(program_info(fd))
        finally:
            os.close(fd)
    return found


def load_program(
    _gate: Gate,
    insns: bytes,
    type: ProgramType = ProgramType.SCHED_CLS,  # noqa: A002 - the kernel's word
    name: str = "",
    attach_type: int = 0,
) -> int:
    """Load raw instructions (8 bytes each, machine byte order) under the licence GPL.

    Args:
        insns: the instructions.
        type: what the program may be attached to.
        name: its kernel name.
        attach_type: the one hook of those, where its type wants to know (Linux 4.17).

    Returns:
        The program's file descriptor, the caller's to close.

    Raises:
        DatapathError: the verifier refused; carries its log.
        DeniedError: without CAP_BPF and CAP_NET_ADMIN.
    """
    code = ctypes.create_string_buffer(insns, len(insns))
    gpl = ctypes.create_string_buffer(b"GPL")
    attr = ProgLoadAttr(
        prog_type=type,
        insn_cnt=len(insns) // INSN_SIZE,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(gpl),
        prog_name=object_name(name),
        expected_attach_type=attach_type,
    )
    result = retrying(Cmd.BPF_PROG_LOAD, attr)
    if result == -errno.EPERM:
        raise bpf_error(errno.EPERM, Cmd.BPF_PROG_LOAD.name, name)
    if result < 0:
        raise DatapathError(
            f"The kernel refused the program {name or type.name}: {os.strerror(-result)}",
            log=_verifier_log(attr),
        )
    return result


def _verifier_log(attr: ProgLoadAttr) -> str:
    """Load once more, with the verifier's log, which slows a load and is not wanted before."""
    log = ctypes.create_string_buffer(_LOG_SIZE)
    attr.log_level, attr.log_size, attr.log_buf = 1, _LOG_SIZE, ctypes.addressof(log)
    result = retrying(Cmd.BPF_PROG_LOAD, attr)
    if result >= 0:
        os.close(result)
    return log.value.decode("utf-8", "replace").strip()


def run_program(
    fd: int, packet: bytes, *, repeat: int = 1, context: bytes = b""
) -> tuple[int, bytes, int]:
    """Run a loaded program over ``packet`` (``BPF_PROG_TEST_RUN``, Linux 4.12).

    Args:
        fd: the program.
        packet: an Ethernet frame, at least 14 bytes.
        repeat: how often to run it over the same packet.
        context: a ``struct __sk_buff`` or a prefix of it (Linux 5.2).

    Returns:
        What the program returned (as a signed 32-bit number), the packet afterwards, and
        nanoseconds per run.

    Raises:
        BpfError: the program type cannot be run so, or the packet is too short.
    """
    data = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(_MAX_PACKET)
    attr = TestRunAttr(
        prog_fd=fd,
        data_size_in=len(packet),
        data_size_out=_MAX_PACKET,
        data_in=ctypes.addressof(data),
        data_out=ctypes.addressof(out),
        repeat=repeat,
    )
    if context:
        ctx = ctypes.create_string_buffer(context, len(context))
        attr.ctx_in, attr.ctx_size_in = ctypes.addressof(ctx), len(context)
    bpf(Cmd.BPF_PROG_TEST_RUN, attr, f"program fd {fd}")
    verdict = ctypes.c_int32(attr.retval).value
    return verdict, out.raw[: attr.data_size_out], int(attr.duration)


def program_by_id(number: int) -> ProgramInfo:
    """Facts about the program of this id.

    Raises:
        GoneError: no program has it any more.
        DeniedError: without CAP_SYS_ADMIN.
    """
    fd = fd_by_id(Cmd.BPF_PROG_GET_FD_BY_ID, number, f"program {number}")
    try:
        return program_info(fd)
    finally:
        os.close(fd)


def all_programs_now() -> dict[int, tuple[int, int]]:
    """What was counted of each loaded program: runs, and nanoseconds of these runs.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    found = {}
    for number in all_program_ids():
        try:
            fd = fd_by_id(Cmd.BPF_PROG_GET_FD_BY_ID, number, f"program {number}")
        except GoneError:
            continue
        try:
            info = ProgInfoStruct()
            read_info(fd, info, f"program {number}")
        finally:
            os.close(fd)
        found[number] = (info.run_cnt, info.run_time_ns)
    return found


class RunCounting(Handle):
    """While it is open the kernel counts the runs of every program (BPF_ENABLE_STATS, Linux 5.8).

    It costs each program some nanoseconds a run. Whatever ends this process ends the counting:
    the kernel counts as long as somebody holds the descriptor.

    Raises:
        BpfError: the kernel does not count, or does not for us.
    """

    def __init__(self) -> None:
        self._fd = bpf(Cmd.BPF_ENABLE_STATS, EnableStatsAttr(), "BPF_ENABLE_STATS")

    @property
    def is_open(self) -> bool:
        """Whether it counts for us."""
        return self._fd >= 0

    def close(self) -> None:
        """Let the kernel stop."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def counting_runs(_gate: Gate) -> Iterator[None]:
    """Have the kernel count the runs of every program meanwhile (BPF_ENABLE_STATS, Linux 5.8).

    Raises:
        BpfError: it cannot.
    """
    with RunCounting():
        yield
