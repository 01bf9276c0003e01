"""Connections that go on talking while something is done to the tables beneath them."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.handles import Closing
from ctconsole.lab import look, pods, server, talk, topology
from ctconsole.lab.server import PORT, ServerKind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from ctconsole.lab.folders import Lab

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"

_PAUSE: Final = 0.002
"""Seconds between two requests of all connections together."""


@dataclass
class Talker:
    """One connection that asks for a page again and again.

    Attributes:
        client: its socket.
        flow: its two ends as the client sees them.
        answers: how many pages it got.
        broke: what went wrong; empty while it lives.
    """

    client: socket.socket
    flow: look.Flow = field(init=False)
    answers: int = 0
    broke: str = ""

    def __post_init__(self) -> None:
        self.flow = look.Flow.of(self.client)

    def ask(self) -> None:
        """Ask for a page and read it whole."""
        try:
            self.client.sendall(REQUEST)
            head, _, body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
            sizes = [
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ]
            missing = (sizes[0] if sizes else 0) - len(body)
            while missing > 0:
                missing -= len(self._some())
        except (OSError, ValueError) as error:
            self.broke = str(error) or type(error).__name__
        else:
            self.answers += 1

    def _until(self, end: bytes) -> bytes:
        text = b""
        while end not in text:
            text += self._some()
        return text

    def _some(self) -> bytes:
        part = self.client.recv(65536)
        if not part:
            raise ValueError("closed by the server")
        return part


class Talkers(Closing):
    """Connections of several kinds, which talk in a thread from the start. A context manager.

    Args:
        lab: where.
        wanted: how many connections from which host to which address.
        more: opens others, which live as long as the stack; called when those are open.

    Attributes:
        all: every one of them.
        dropped: packets that the datapath had dropped before.
    """

    def __init__(
        self,
        lab: Lab,
        wanted: Mapping[tuple[str, str], int],
        more: Callable[[ExitStack], list[Talker]] = lambda _: [],
    ) -> None:
        self._stack = ExitStack()
        self._stop = threading.Event()
        self.all: list[Talker] = []
        self.dropped = look.dropped(lab)
        try:
            for (host, address), number in wanted.items():
                for _ in range(number):
                    client = self._stack.enter_context(talk.connected(lab, host, address))
                    self.all.append(Talker(client))
            self.all += more(self._stack)
        except BaseException:
            self._stack.close()
            raise
        self._thread = threading.Thread(target=self._talk, name="talkers", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> list[Talker]:
        """Those that do not live any more."""
        return [one for one in self.all if one.broke]

    @property
    def answers(self) -> int:
        """Pages that all of them got."""
        return sum(one.answers for one in self.all)

    def pause(self) -> None:
        """Let them end their sentences and be silent."""
        self._stop.set()
        self._thread.join()

    def _talk(self) -> None:
        while not self._stop.is_set():
            for one in self.all:
                if self._stop.is_set():
                    return
                if not one.broke:
                    one.ask()
                time.sleep(_PAUSE)

    def close(self) -> None:
        """End their sentences, and their connections."""
        self.pause()
        self._stack.close()


def serve_in_more_pods(lab: Lab, names: tuple[str, ...]) -> list[str]:
    """Small servers in new pods; their addresses with ports."""
    addresses = []
    for name in names:
        endpoint = pods.add(lab, name)
        server.start(ServerKind.SMALL, lab.namespace(name), lab.root / "servers" / name)
        addresses.append(f"{endpoint.ipv4}:{PORT}")
    return addresses


NODE2_V4: Final = (topology.NODE2, topology.SERVER_IPV4)
NODE2_V6: Final = (topology.NODE2, topology.SERVER_IPV6)
