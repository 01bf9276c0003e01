"""A few BPF programs written out as instructions."""

from __future__ import annotations

import struct


def instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    """One ``struct bpf_insn`` in machine byte order."""
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


EXIT = instruction(0x95)


def returning(verdict: int) -> bytes:
    """A program that answers ``verdict`` to every packet."""
    return instruction(0xB7, imm=verdict) + EXIT


def using_map(fd: int, verdict: int = 0) -> bytes:
    """A program that loads the map of ``fd`` into a register and answers ``verdict``."""
    load = instruction(0x18, dst=1, src=1, imm=fd) + instruction(0)
    return load + returning(verdict)


TC_ACT_OK = 0
TC_ACT_SHOT = 2
