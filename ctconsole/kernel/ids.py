"""Kernel ids of maps and programs, and file descriptors from them (Linux 4.13)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ctconsole.errors import BpfError, GoneError, bpf_error
from ctconsole.kernel.syscall import Cmd, IdAttr, bpf, retrying

if TYPE_CHECKING:
    from collections.abc import Iterator


def ids(command: Cmd) -> Iterator[int]:
    """Every id a ``BPF_*_GET_NEXT_ID`` command lists, ascending.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """
    attr = IdAttr(id=0)
    while True:
        result = retrying(command, attr)
        if result == -errno.ENOENT:
            return
        if result < 0:
            raise bpf_error(-result, command.name)
        attr.id = attr.next_id
        yield int(attr.next_id)


def fd_by_id(command: Cmd, number: int, subject: str, open_flags: int = 0) -> int:
    """A file descriptor, the caller's to close.

    Raises:
        GoneError: nothing has this id any more, or nothing yet: a link that is being made is listed
            before there is a way to it (``bpf_link_by_id`` of ``kernel/bpf/syscall.c``).
        DeniedError: without CAP_SYS_ADMIN.
    """
    try:
        return bpf(command, IdAttr(id=number, open_flags=open_flags), subject)
    except BpfError as error:
        if error.errno == errno.EAGAIN:
            raise GoneError(error.errno, command.name, subject) from error
        raise
