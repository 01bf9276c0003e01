"""Servers of a lab whose clients go away, and one whose own code fails."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

from ctconsole.lab.foreign_api import AgentApiServer
from ctconsole.lab.kube.api import KubeApi

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER``: on, for no second; closing sends a reset."""


def ask(kube: KubeApi) -> socket.socket:
    """A connection to the server that answered one request."""
    client = socket.create_connection(("127.0.0.1", int(kube.url.rpartition(":")[2])))
    client.sendall(
        b"GET /api/v1/namespaces/kube-system/pods HTTP/1.1\r\nHost: lab\r\n"
        b"Authorization: Bearer " + kube.token.encode() + b"\r\n\r\n"
    )
    client.recv(1)
    return client


def await_the_answers() -> None:
    """Return when each request has been answered or given up."""
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join()


def test_a_client_that_resets_its_connection_is_no_fault(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with KubeApi() as kube:
        client = ask(kube)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        ask(kube).close()
        await_the_answers()
    assert capfd.readouterr().err == ""


def test_a_client_of_the_agents_socket_that_does_not_wait_is_no_fault(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    documents = {"/v1/map": ["x" * (4 << 20)]}
    with AgentApiServer(tmp_path / "cilium.sock", documents) as api:
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(api.path))
                client.sendall(b"GET /v1/map HTTP/1.0\r\n\r\n")
                client.recv(1)
        await_the_answers()
    assert capfd.readouterr().err == ""


def test_a_fault_of_the_servers_own_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(method: str, path: str) -> None:
        raise ValueError(f"{method} {path}")

    with KubeApi() as kube:
        kube.before = fail
        with ask(kube) as client:
            assert client.recv(1) == b""
        await_the_answers()
    assert "ValueError: GET /api/v1/" in capfd.readouterr().err
