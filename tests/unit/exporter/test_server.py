"""Requests as they come: every path, method and header, slow clients and too many of them."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.exporter import server as serving
from ctconsole.exporter.page import Exposition
from ctconsole.exporter.server import MetricsServer
from ctconsole.web.address import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with MetricsServer(LOOPBACK, lambda form: form.name.encode()) as made:
        made.start()
        yield made


def asked(
    server: MetricsServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, str, bytes]:
    host, port = server.address
    with closing(HTTPConnection(host, port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_metrics_are_at_one_path(server: MetricsServer) -> None:
    assert asked(server, "/metrics") == (200, Exposition.TEXT.value, b"TEXT")
    assert asked(server, "/metrics?x=1")[2] == b"TEXT"
    kind = "application/openmetrics-text"
    assert asked(server, "/metrics", Accept=kind) == (
        200,
        Exposition.OPENMETRICS.value,
        b"OPENMETRICS",
    )
    assert asked(server, "/")[0] == 200
    assert asked(server, "/-/healthy")[0] == 200
    for path in ("/metrics/", "/metricsx", "/favicon.ico", "/../metrics", "/x"):
        assert asked(server, path)[0] == 404, path


def test_nothing_but_reading_is_served(server: MetricsServer) -> None:
    status, _, body = asked(server, "/metrics", "HEAD")
    assert (status, body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert asked(server, "/metrics", method)[0] == 501


def test_one_connection_serves_several_requests(server: MetricsServer) -> None:
    host, port = server.address
    with closing(HTTPConnection(host, port, timeout=10)) as connection:
        for _ in range(3):
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == b"TEXT"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9\r\n\r\n",
        b"x" * 99999,
    ],
)
def test_what_is_no_request_ends_its_own_connection(server: MetricsServer, sent: bytes) -> None:
    # The server may have closed the connection before all is sent.
    with socket.create_connection(server.address, timeout=10) as client, suppress(OSError):
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    assert asked(server, "/metrics")[0] == 200


def test_who_says_nothing_is_not_waited_for(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_PATIENCE", 0.2)
    monkeypatch.setattr(serving._Handler, "timeout", 0.2)
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(b"GET /metr")
        assert client.recv(4096) == b""


def test_too_many_at_once_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_AT_ONCE", 2)
    held, free = threading.Semaphore(0), threading.Event()

    def body(_: Exposition) -> bytes:
        held.release()
        free.wait(30)
        return b"late"

    with MetricsServer(LOOPBACK, body) as server, ExitStack() as stack:
        stack.callback(free.set)
        server.start()
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(server.address, timeout=30))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert held.acquire(timeout=30)
        with socket.create_connection(server.address, timeout=30) as third:
            assert third.recv(1) == b""


def test_a_body_that_fails_is_the_failure_of_one_request() -> None:
    def body(form: Exposition) -> bytes:
        if form is Exposition.OPENMETRICS:
            raise ValueError(form)
        return b"fine"

    with MetricsServer(LOOPBACK, body) as server:
        server.start()
        status, _, told = asked(server, "/metrics", Accept="application/openmetrics-text")
        assert (status, told.startswith(b"internal error: ValueError(")) == (500, True)
        assert asked(server, "/metrics")[2] == b"fine"


def test_every_interface_is_both_families() -> None:
    with MetricsServer(Address("", 0), lambda _: b"all") as server:
        server.start()
        for host in ("127.0.0.1", "::1"):
            with closing(HTTPConnection(host, server.address.port, timeout=10)) as connection:
                connection.request("GET", "/metrics")
                assert connection.getresponse().read() == b"all"


def test_an_address_that_is_taken_is_told(server: MetricsServer) -> None:
    with pytest.raises(CtconsoleError, match=r"127\.0\.0\.1:\d+ cannot be listened on: Address"):
        MetricsServer(server.address, lambda _: b"")
