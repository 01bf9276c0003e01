"""What tests and benches ask of loaded programs, and ctconsole does not."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.errors import GoneError
from ctconsole.kernel.ids import fd_by_id
from ctconsole.kernel.syscall import Cmd, EnableStatsAttr, bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate


@contextmanager
def run_statistics(_gate: Gate) -> Iterator[None]:
    """Let the kernel count runs and time of every program meanwhile (Linux 5.8).

    The counts are `ProgramInfo.run_cnt` and `ProgramInfo.run_time_ns`. Every program of the
    machine becomes a little slower by it.
    """
    fd = bpf(Cmd.BPF_ENABLE_STATS, EnableStatsAttr(), "run statistics")
    try:
        yield
    finally:
        os.close(fd)


def has_program(number: int) -> bool:
    """Whether the program of this id still lives."""
    try:
        fd = fd_by_id(Cmd.BPF_PROG_GET_FD_BY_ID, number, f"program {number}")
    except GoneError:
        return False
    os.close(fd)
    return True
