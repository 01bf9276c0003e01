from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctconsole.errors import AgentError, CtconsoleError, FormatError
from ctconsole.lab import foreign_api
from ctconsole.lab.foreign_api import AgentApiServer
from ctconsole.observe import agentapi
from ctconsole.observe.agentapi import ApiSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS = {
    "/v1/healthz": foreign_api.health("1.18.0"),
    "/v1/endpoint": [foreign_api.endpoint(571, "prod/web", "10.244.1.5", 20571, "k8s:app=web")],
    "/v1/identity": [foreign_api.identity(1, "reserved:host")],
    "/v1/service": [foreign_api.service(1, "prod/web", ("10.96.0.10", 80), "10.244.1.5:80")],
}


@contextmanager
def answering(path: Path, raw: bytes, *, each_byte: float = 0) -> Iterator[Path]:
    """A server that sends these bytes to everybody, slowly if told so, and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(0.05)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            with client:
                try:
                    client.recv(65536)
                    if not each_byte:
                        client.sendall(raw)
                        continue
                    for byte in raw:
                        client.sendall(bytes([byte]))
                        if ended.wait(each_byte):
                            break
                except OSError:
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path
    finally:
        ended.set()
        thread.join()
        listener.close()


def http(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), size, body)


def test_everything_is_read_in_one_go(tmp_path: Path) -> None:
    with AgentApiServer(tmp_path / "cilium.sock", DOCUMENTS) as server:
        found = agentapi.read(server.path)
    assert found.warnings == ()
    assert [endpoint.name for endpoint in found.endpoints] == ["prod/web"]
    assert dict(found.identities) == {1: ("reserved:host",)}
    assert [service.name for service in found.services] == ["prod/web"]


def test_a_socket_with_a_long_path_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    with AgentApiServer(tmp_path / "s", DOCUMENTS) as server:
        server.path.rename(folder / "cilium.sock")
        assert agentapi.ask(folder / "cilium.sock", "healthz")["cilium"]["state"] == "Ok"


def test_what_an_agent_does_not_offer_keeps_what_was_known(tmp_path: Path) -> None:
    before = ApiSnapshot(identities={5: ("k8s:app=old",)})
    documents = {name: value for name, value in DOCUMENTS.items() if name != "/v1/identity"}
    with AgentApiServer(tmp_path / "cilium.sock", documents) as server:
        found = agentapi.read(server.path, before)
    assert dict(found.identities) == {5: ("k8s:app=old",)}
    assert len(found.services) == 1
    assert [warning.partition("answers ")[2] for warning in found.warnings] == [
        "/v1/identity with 404 Not Found"
    ]


def test_an_agent_that_refuses_one_question_is_asked_the_others(tmp_path: Path) -> None:
    documents = {name: value for name, value in DOCUMENTS.items() if name != "/v1/endpoint"}
    with AgentApiServer(tmp_path / "cilium.sock", documents) as server:
        found = agentapi.read(server.path)
    assert (found.endpoints, len(found.identities), len(found.services)) == ((), 1, 1)
    assert len(found.warnings) == 1


def test_a_socket_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(
        AgentError, match=r"does not answer /v1/healthz: No such file or directory$"
    ):
        agentapi.ask(tmp_path / "cilium.sock", "healthz")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense\r\n\r\n",
        http(b"{}", status="500 Oops"),
        http(b"[]", length=1 << 20),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500,
    ],
)
def test_a_broken_answer_is_our_own_error(tmp_path: Path, raw: bytes) -> None:
    with answering(tmp_path / "s", raw) as path, pytest.raises(AgentError, match=str(path)):
        agentapi.ask(path, "endpoint", seconds=1)


def test_an_answer_that_is_no_json_is_named(tmp_path: Path) -> None:
    with answering(tmp_path / "s", http(b"<html>")) as path, pytest.raises(FormatError, match="0"):
        agentapi.ask(path, "endpoint")


def test_a_server_that_drips_gets_no_more_time_than_one_that_hangs(tmp_path: Path) -> None:
    with answering(tmp_path / "s", http(b"[]" * 1000), each_byte=0.02) as path:
        started = time.monotonic()
        with pytest.raises(AgentError):
            agentapi.ask(path, "endpoint", seconds=0.3)
        assert time.monotonic() - started < 10


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(http)))
def test_no_bytes_make_the_reader_fail_or_hang(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "fuzz"
    path.unlink(missing_ok=True)
    with answering(path, raw):
        found = agentapi.read(path, seconds=0.5)
        assert isinstance(found, ApiSnapshot)
        with pytest.raises(CtconsoleError):
            agentapi.ask(Path("/nonexistent/socket"), "endpoint")
