"""Attaching programs the ways that ctconsole itself only looks at."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.kernel import netns
from ctconsole.kernel.attachments import attachments
from ctconsole.kernel.maps import all_maps, all_programs
from ctconsole.kernel.programs import ProgramType, load_program, program_info
from ctconsole.kernel.syscall import Cmd, bpf
from tests.support.bpf_insns import returning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.hooks import Attachment

TCX_INGRESS, TCX_EGRESS, XDP, STRUCT_OPS = 46, 47, 37, 44
"""``enum bpf_attach_type``."""


class ProgAttachAttr(ctypes.Structure):
    """``BPF_PROG_ATTACH`` up to ``attach_flags`` (Linux 4.10).

    ``target_fd`` may be the number of an interface.
    """

    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_bpf_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
    )


class LinkCreateAttr(ctypes.Structure):
    """``BPF_LINK_CREATE`` up to ``flags`` (Linux 5.7); see `ProgAttachAttr`.

    For ``BPF_STRUCT_OPS`` a map takes the program's place (Linux 6.4).
    """

    _fields_ = (
        ("prog_fd", ctypes.c_uint32),
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


def attached(number: int) -> list[Attachment]:
    """Where ``attachments`` finds the program of this id."""
    return [one for one in attachments(all_programs(), all_maps()).found if one.prog_id == number]


@contextmanager
def program(
    gate: Gate, kind: ProgramType, hook: int = 0, insns: bytes = returning(1)
) -> Iterator[tuple[int, int]]:
    """Descriptor and id of a loaded program, closed afterwards."""
    fd = load_program(gate, insns, kind, name="hooked", attach_type=hook)
    try:
        yield fd, program_info(fd).id
    finally:
        os.close(fd)


def attach(_gate: Gate, fd: int, hook: int, target: int, *, space: str | None = None) -> None:
    """Attach without a link; lasts as long as the target.

    Args:
        fd: the program.
        hook: ``enum bpf_attach_type``.
        target: a descriptor, or the number of an interface.
        space: the namespace to do it in.
    """
    attr = ProgAttachAttr(target_fd=target, attach_bpf_fd=fd, attach_type=hook)
    with netns.inside(space):
        bpf(Cmd.BPF_PROG_ATTACH, attr, f"hook {hook}")


@contextmanager
def link(
    _gate: Gate, fd: int, hook: int, target: int = 0, *, space: str | None = None
) -> Iterator[None]:
    """Attach with a link, which goes afterwards; see `attach`."""
    attr = LinkCreateAttr(prog_fd=fd, target_fd=target, attach_type=hook)
    with netns.inside(space):
        made = bpf(Cmd.BPF_LINK_CREATE, attr, f"hook {hook}")
    try:
        yield
    finally:
        os.close(made)
