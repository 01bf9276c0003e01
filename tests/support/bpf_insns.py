"""A few BPF programs written out as instructions."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One ``struct bpf_insn`` in machine byte order."""
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


EXIT = instruction(0x95)


def returning(verdict: int) -> bytes:
    """A program that answers ``verdict`` to every packet."""
    return instruction(0xB7, imm=verdict) + EXIT


def using_map(fd: int, verdict: int = 0) -> bytes:
    """A program that loads the map of ``fd`` into a register and answers ``verdict``."""
    return using_maps([fd], verdict)


def using_maps(fds: Iterable[int], verdict: int = 0) -> bytes:
    """The same of several maps."""
    loads = (instruction(0x18, dst=1, src=1, imm=fd) + instruction(0) for fd in fds)
    return b"".join(loads) + returning(verdict)


TC_ACT_OK = 0
TC_ACT_SHOT = 2


def emitting(fd: int, size: int) -> bytes:
    """A program that puts a record of ``size`` bytes into the perf event array of ``fd``.

    The record is numbers of 64 bits, counting down to 1.
    """
    words = b"".join(
        instruction(0x7A, dst=10, off=-8 * number, imm=number) for number in range(1, size // 8 + 1)
    )
    arguments = (
        instruction(0xBF, dst=1, src=6)
        + instruction(0x18, dst=2, src=1, imm=fd)
        + instruction(0)
        + instruction(0xB4, dst=3, imm=-1)  # BPF_F_CURRENT_CPU
        + instruction(0xBF, dst=4, src=10)
        + instruction(0x07, dst=4, imm=-size)
        + instruction(0xB7, dst=5, imm=size)
    )
    call = instruction(0x85, imm=25)  # bpf_perf_event_output
    return instruction(0xBF, dst=6, src=1) + words + arguments + call + returning(0)
