"""One HTTP request over a unix socket, bounded in time and in size."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from ctconsole.errors import AgentError, AgentRefusedError
from ctconsole.kernel.unixpath import socket_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_BYTES = 64 << 20
"""No answer of an agent is longer: ten thousand endpoints take some 40 MB."""


class _Connection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a socket file."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with socket_path(self._path) as address:
            self.sock.connect(address)


def get(
    path: Path, url: str, *, seconds: float = 2.0, headers: Mapping[str, str] | None = None
) -> bytes:
    """The body of a successful answer to ``GET url``.

    Args:
        path: the socket file.
        url: path and query, e.g. ``/v1/healthz``.
        seconds: for the whole exchange; a server that answers byte by byte gets no more.
        headers: request headers.

    Raises:
        AgentRefusedError: the status is not 200.
        AgentError: nobody listens, the answer is late, too long or no HTTP.
    """
    connection = _Connection(path, seconds)
    late = threading.Event()
    watchdog = threading.Timer(seconds, _cut, (connection, late))
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("GET", url, headers=dict(headers or {}))
        response = connection.getresponse()
        body = response.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        slow = late.is_set() or isinstance(error, TimeoutError)
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = f"not within {seconds:g} s" if slow else said
        raise AgentError(f"{path} does not answer {url}: {reason}") from error
    finally:
        watchdog.cancel()
        connection.close()
    # An answer that was cut off in its headers would pass for a whole one without a body.
    if late.is_set():
        raise AgentError(f"{path} does not answer {url}: not within {seconds:g} s")
    if response.status != http.client.OK:
        raise AgentRefusedError(f"{path} answers {url} with {response.status} {response.reason}")
    if len(body) > MOST_BYTES:
        raise AgentError(f"{path} answers {url} with more than {MOST_BYTES} bytes")
    if response.length:
        raise AgentError(f"{path} broke its answer to {url} off")
    return body


def _cut(connection: _Connection, late: threading.Event) -> None:
    """End an exchange under way; its reader sees the end of the stream."""
    late.set()
    sock: socket.socket | None = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
