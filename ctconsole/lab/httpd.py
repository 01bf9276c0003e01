"""The small HTTP server of a lab pod: ``python -m ctconsole.lab.httpd``.

It answers a proper request with a page, garbage with ``400 Bad Request`` and then closes, as
nginx does, and leaves idle connections open for ever, so that a connection that breaks was
broken by the datapath. A second socket echoes UDP datagrams.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import socket
from email.utils import formatdate
from typing import cast

from ctconsole.lab.limits import raise_open_files

SERVER = "ctconsole-lab"
"""What the ``Server`` header says."""

MAX_HEAD = 8192
"""Bytes of request line and headers, as nginx's ``large_client_header_buffers``."""

_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_PAGE = b"<!doctype html>\n<title>lab</title>\n<p>This pod is alive.\n"
_REASONS = {200: "OK", 400: "Bad Request", 405: "Not Allowed", 431: "Header Fields Too Large"}


def response(status: int, *, close: bool, head_only: bool = False) -> bytes:
    """One complete HTTP/1.1 response with a short body."""
    reason = _REASONS[status]
    body = _PAGE if status == 200 else f"<h1>{status} {reason}</h1>\n".encode()  # noqa: PLR2004 - the status itself
    head = (
        f"HTTP/1.1 {status} {reason}\r\n"
        f"Server: {SERVER}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        "Content-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else body)


def answer(buffer: bytearray) -> tuple[bytes, bool] | None:
    """Take the first request off ``buffer`` and say what to send.

    Returns:
        the response and whether to close after it, or None while the request is incomplete.
    """
    line, whole, _ = bytes(buffer[:MAX_HEAD]).partition(b"\n")
    end = _HEAD_END.search(buffer)
    if whole and not _REQUEST_LINE.fullmatch(line.rstrip(b"\r")):
        status, close = 400, True
    elif end is None:
        if len(buffer) < MAX_HEAD:
            return None
        status, close = 431, True
    else:
        status, close = _judge(bytes(buffer[: end.start()]))
        del buffer[: end.end()]
    return response(status, close=close, head_only=line.startswith(b"HEAD ")), close


def _judge(head: bytes) -> tuple[int, bool]:
    """Status for a well-formed request line with its headers, and whether to close after it."""
    method = head.partition(b" ")[0]
    old = head.partition(b"\n")[0].rstrip(b"\r").endswith(b"/1.0")
    headers = head.lower()
    if not old and b"\nhost:" not in headers:
        return 400, True
    if method not in {b"GET", b"HEAD"}:
        return 405, True
    return 200, old or re.search(rb"\nconnection:\s*close", headers) is not None


class Http(asyncio.Protocol):
    """One connection; requests may follow each other and may come in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete by now."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._buffer += data
        while self._buffer and (reply := answer(self._buffer)) is not None:
            transport.write(reply[0])
            if reply[1]:
                transport.close()
                return


class Echo(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send it back."""
        if self._transport is not None:
            self._transport.sendto(data, addr)


async def serve(listener: socket.socket | None, echo: socket.socket) -> None:
    """Serve HTTP on a listening socket and echo on a UDP one until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(Http, sock=listener, backlog=4096) if listener else None
    transport, _ = await loop.create_datagram_endpoint(Echo, sock=echo)
    await stop.wait()
    transport.close()
    if server:
        server.close()


def main() -> None:
    """Serve on the sockets handed down by the lab, which made them in the pod's namespace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--echo-fd", type=int, required=True, help="a bound UDP socket")
    parser.add_argument("--listen-fd", type=int, help="a listening TCP socket; echo only without")
    arguments = parser.parse_args()
    raise_open_files(1 << 20)
    echo = socket.socket(fileno=arguments.echo_fd)
    listener = None
    if arguments.listen_fd is not None:
        listener = socket.socket(fileno=arguments.listen_fd)
        listener.settimeout(0)
    echo.settimeout(0)
    asyncio.run(serve(listener, echo))


if __name__ == "__main__":
    main()
