"""Serves the newest page over HTTP: whatever is asked, nothing on the node is read for it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.exporter.page import Exposition
from ctconsole.handles import Closing
from ctconsole.web.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.web.door import Door

METRICS: Final = "/metrics"
HEALTH: Final = "/-/healthy"

_PATIENCE: Final = 10.0
"""Seconds a client gets for its request and for taking the answer."""

_POLL: Final = 1.0
"""Seconds until it is noticed, at most, that the server is to end."""

_AT_ONCE: Final = 16
"""Connections that are served at once; who comes while there are so many is turned away."""

_LANDING: Final = b"""<!doctype html><title>ctconsole</title><h1>ctconsole exporter</h1>
<p><a href="/metrics">Metrics</a></p>
"""


class MetricsServer(Closing):
    """Listens from the moment it is made, and answers from `start` on. A context manager.

    Args:
        address: where; port 0 takes a free one.
        body: the newest page in a form; called in the threads of requests.
        door: who may have it, and over what; None speaks plainly with everybody.

    Raises:
        CtconsoleError: the address cannot be listened on.
    """

    def __init__(
        self,
        address: Address,
        body: Callable[[Exposition], bytes],
        door: Door | None = None,
    ) -> None:
        self._thread: threading.Thread | None = None
        try:
            self._server = _Server(address, body, door)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CtconsoleError(
                f"{address} cannot be listened on: {reason}", hint="Name another with --listen"
            ) from error

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return Address(str(host), int(port))

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", args=(_POLL,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """One thread for each connection, and not more than `_AT_ONCE` of them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self, address: Address, body: Callable[[Exposition], bytes], door: Door | None
    ) -> None:
        self.address_family = address.family
        self.body = body
        self.door = door
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """See `ThreadingHTTPServer`; no name is looked up, and every interface is both families."""
        if self.address_family is socket.AF_INET6:
            only = int(bool(self.server_address[0]))
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]  # we serve sockets only
        """Serve a connection in a thread, or turn it away where there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(
        self,
        request: socket.socket,  # type: ignore[override]  # we serve sockets only
        client_address: tuple[str, int],
    ) -> None:
        """Serve one connection; TLS is agreed on here, so that nobody else waits for it."""
        try:
            request.settimeout(_PATIENCE)
            tls = self.door.tls() if self.door is not None else None
            if tls is not None:
                request = tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except (OSError, ValueError):
            self.shutdown_request(request)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none of our faults."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "ctconsole"
    sys_version = ""
    timeout = _PATIENCE
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        door = self.server.door
        if door is not None and not door.lets_in(dict(self.headers.items())):
            self._refuse()
        elif path == METRICS:
            self._tell(Exposition.accepted(self.headers.get("Accept", "")))
        elif path == HEALTH:
            self._answer(HTTPStatus.OK, "text/plain", b"ctconsole exports\n")
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", _LANDING)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"Metrics are at /metrics\n")

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def _tell(self, form: Exposition) -> None:
        try:
            body = self.server.body(form)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked is to hear of it
            told = f"internal error: {error!r}\n".encode()
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", told)
        else:
            self._answer(HTTPStatus.OK, form.value, body)

    def _refuse(self) -> None:
        told = {"WWW-Authenticate": 'Basic realm="ctconsole"'}
        self._answer(HTTPStatus.UNAUTHORIZED, "text/plain", b"Unauthorized\n", told)

    def _answer(
        self,
        status: HTTPStatus,
        kind: str,
        body: bytes,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Scrapes are not told of."""
