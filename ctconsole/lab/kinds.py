"""Connections of every kind: datagrams, servers that speak first, translated ones, and services."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.kernel import netns
from ctconsole.lab import look, talk, topology
from ctconsole.lab.server import ECHO_PORT
from ctconsole.lab.talkers import Talker

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ctconsole.lab.folders import Lab

TICK_PORT: Final = 9000
OUTSIDE_PORT: Final = 7000

_LINE: Final = b"something to say\n"


@dataclass
class Datagrams(Talker):
    """A UDP socket whose datagrams are echoed.

    Attributes:
        sent: datagrams it has sent.
    """

    sent: int = 0

    def ask(self) -> None:
        """Send one and wait for it."""
        said = b"%08d" % self.sent
        try:
            self.client.send(said)
            self.sent += 1
            heard = self.client.recv(64)
        except OSError as error:
            self.broke = str(error) or type(error).__name__
        else:
            self.answers += 1
            if heard != said:
                self.broke = f"sent {said!r}, heard {heard!r}"


@dataclass
class LineTalker(Talker):
    """A TCP connection whose other end is ours as well.

    Attributes:
        server: the other end.
        first: whether only the server speaks.
    """

    server: socket.socket | None = None
    first: bool = False

    def ask(self) -> None:
        """One line from the server, after one from the client unless the server speaks first."""
        assert self.server  # noqa: S101 - given by whoever made it
        try:
            if not self.first:
                self.client.sendall(_LINE)
                self._hear(self.server)
            self.server.sendall(_LINE)
            self._hear(self.client)
        except (OSError, ValueError) as error:
            self.broke = str(error) or type(error).__name__
        else:
            self.answers += 1

    @staticmethod
    def _hear(end: socket.socket) -> None:
        heard = b""
        while len(heard) < len(_LINE):
            part = end.recv(len(_LINE) - len(heard))
            if not part:
                raise ValueError("closed by the other end")
            heard += part


def datagrams(lab: Lab, stack: ExitStack, host: str, address: str, number: int) -> list[Talker]:
    """UDP sockets of a host that talk to the server pod."""
    found: list[Talker] = []
    for _ in range(number):
        with netns.inside(lab.namespace(host)):
            client = socket.socket(talk.family_of(address), socket.SOCK_DGRAM)
        stack.enter_context(client)
        client.settimeout(talk.PATIENCE)
        client.connect((address, ECHO_PORT))
        found.append(Datagrams(client))
    return found


def speaking_first(lab: Lab, stack: ExitStack, number: int) -> list[Talker]:
    """Connections from another node on which only the pod speaks."""
    way = (topology.NODE2, topology.SERVER, topology.SERVER_IPV4)
    return _lines(lab, stack, way, TICK_PORT, number, first=True)


def translated(lab: Lab, stack: ExitStack, number: int) -> list[Talker]:
    """Connections from a pod to the host outside, under the node's address."""
    way = (topology.CLIENT, topology.OUTSIDE, topology.OUTSIDE_IPV4)
    return _lines(lab, stack, way, OUTSIDE_PORT, number, first=False)


def _lines(
    lab: Lab, stack: ExitStack, way: tuple[str, str, str], port: int, number: int, *, first: bool
) -> list[Talker]:
    found: list[Talker] = []
    for at in range(port, port + number):
        client, server = stack.enter_context(talk.accepted(lab, *way, at))
        found.append(LineTalker(client, server=server, first=first))
    return found


@dataclass(frozen=True, slots=True)
class Sent:
    """What went over a connection as its client's socket counts it, with all headers.

    Attributes:
        out: packets and bytes to the server.
        back: packets and bytes from it.
    """

    out: tuple[int, int]
    back: tuple[int, int]

    @classmethod
    def of(cls, one: Talker) -> Sent:
        """By the kernel's count of a TCP socket, by its own of a UDP one."""
        network = 40 if ":" in one.flow.source[0] else 20
        if isinstance(one, Datagrams):
            size = _ETHERNET + network + 8 + 8
            sent = (one.sent, one.sent * size)
            return cls(sent, (one.answers, one.answers * size))
        raw = one.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        out, back = struct.unpack_from("=II", raw, _SEGMENTS)
        (heard,) = struct.unpack_from("=Q", raw, _RECEIVED)
        (said,) = struct.unpack_from("=Q", raw, _SENT)
        size = _ETHERNET + network + _TCP
        return cls(
            (out, out * size + _SYN + said),
            (back, back * size + _SYN + heard),
        )


_ETHERNET: Final = 14
_TCP: Final = 32
"""A TCP header with time stamps."""

_SYN: Final = 8
"""By so much the options of the first segment each way are longer."""

_RECEIVED, _SEGMENTS, _SENT = 128, 136, 200
"""Where ``tcpi_bytes_received``, ``tcpi_segs_out`` and ``tcpi_bytes_sent`` of ``struct tcp_info``
are (the last since Linux 4.19)."""

_MAPS: Final = {
    (False, False): look.TCP_MAP,
    (False, True): look.TCP6_MAP,
    (True, False): look.ANY_MAP,
    (True, True): "cilium_ct_any6_global",
}
"""Conntrack tables by whether they are for datagrams and for IPv6."""


def miscounted(lab: Lab, talkers: list[Talker]) -> list[str]:
    """Connections of which an entry counts other than what its socket sent and got.

    Waits for the last packets. Every entry of a connection is looked at, at both pods, but for
    those of services, which count differently.
    """
    wrong: list[str] = []

    def all_right() -> bool:
        tables = {kind: look.table(lab, name) for kind, name in _MAPS.items()}
        wrong.clear()
        for one in talkers:
            kind = (isinstance(one, Datagrams), ":" in one.flow.source[0])
            found = look.counted_of(tables[kind], one.flow.source)
            sent = Sent.of(one)
            if not found or any(each != (sent.out, sent.back) for each in found):
                wrong.append(f"{one.flow}: sent and got {sent.out} {sent.back}, counted {found}")
        return not wrong

    look.until(all_right)
    return wrong
