"""Dumps of rtnetlink, taken apart by hand: for asking thousands of interfaces in a row.

Layouts are those of ``include/uapi/linux/netlink.h`` and ``rtnetlink.h``; everything is in the
machine's byte order. What changes the machine goes through pyroute2 (`ctconsole.kernel.rtnl`).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from ctconsole.errors import bpf_error
from ctconsole.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP, _DUMP_INTERRUPTED = 0x001, 0x300, 0x010
_TYPE_MASK = 0x3FFF
"""Without ``NLA_F_NESTED`` and ``NLA_F_NET_BYTEORDER``."""

_ROOM = 1 << 18
_TRIES = 10
_PATIENCE = 10.0
"""Seconds for one part of an answer; the kernel answers from memory."""


class Netlink(Closing):
    """A socket into the calling thread's network namespace. A context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.settimeout(_PATIENCE)
        self._room = bytearray(_ROOM)
        self._sequence = 0

    def dump(self, kind: int, body: bytes, what: str, subject: str) -> list[bytes]:
        """The bodies of all messages of an answer.

        A list that changed while the kernel wrote it is asked for again, some times.

        Args:
            kind: ``RTM_GETLINK``, ...
            body: of the question.
            what: its name, for the message of an error.
            subject: what it is about.

        Raises:
            BpfError: with the errno the kernel answered.
        """
        for _ in range(_TRIES):
            self._sequence += 1
            header = _HEADER.pack(
                _HEADER.size + len(body), kind, _REQUEST | _DUMP, self._sequence, 0
            )
            try:
                self._socket.send(header + body)
                found, whole = self._answer(what, subject)
            except TimeoutError as error:
                raise bpf_error(errno.ETIMEDOUT, what, subject) from error
            except OSError as error:
                raise bpf_error(error.errno or errno.EIO, what, subject) from error
            if whole:
                break
        return found

    def _answer(self, what: str, subject: str) -> tuple[list[bytes], bool]:
        """The bodies, and whether nothing changed meanwhile."""
        found: list[bytes] = []
        whole = True
        while True:
            size = self._socket.recv_into(self._room)
            view, at = memoryview(self._room)[:size], 0
            while at + _HEADER.size <= size:
                length, kind, flags, sequence, _ = _HEADER.unpack_from(view, at)
                if length < _HEADER.size or at + length > size:
                    raise bpf_error(errno.EPROTO, what, subject)
                body = bytes(view[at + _HEADER.size : at + length])
                at += length + 3 & ~3
                if sequence != self._sequence:
                    continue
                whole = whole and not flags & _DUMP_INTERRUPTED
                if kind in {_DONE, _ERROR}:
                    number = (
                        -struct.unpack_from("=i", body)[0] if len(body) >= _ATTRIBUTE.size else 0
                    )
                    if number > 0:
                        raise bpf_error(number, what, subject, os.strerror(number))
                    return found, whole
                found.append(body)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def attributes(body: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and payload of each attribute from an offset on; of a broken rest nothing."""
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size or at + length > len(body):
            return
        yield kind & _TYPE_MASK, body[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3


def number(payload: bytes) -> int:
    """An attribute of 32 bits; 0 where it is shorter."""
    return int(struct.unpack_from("=I", payload)[0]) if len(payload) >= _ATTRIBUTE.size else 0


def text(payload: bytes) -> str:
    """An attribute that is a text with its closing zero."""
    return payload.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
