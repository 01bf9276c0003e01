from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.agent.wire import Server, request
from ctconsole.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A server in a folder whose path is too long for a socket's address."""

    def refuse(_request: Mapping[str, Any]) -> dict[str, Any]:
        raise AgentError("It cannot be done", hint="Do something else")

    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    handlers = {"add": lambda asked: {"sum": asked["a"] + asked["b"]}, "refuse": refuse}
    with closing(Server(folder / "agent.sock", handlers)):
        yield folder / "agent.sock"


def test_requests_are_answered(path: Path) -> None:
    assert request(path, "add", a=1, b=2)["sum"] == 3


def test_refusals_arrive_as_the_same_sentence(path: Path) -> None:
    with pytest.raises(AgentError, match=r"^It cannot be done\. Do something else$"):
        request(path, "refuse")
    with pytest.raises(AgentError, match="does not know this request"):
        request(path, "dance")


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"verb": []}\n'])
def test_rubbish_is_refused_and_does_not_end_the_server(path: Path, line: bytes) -> None:
    import os

    with socket.socket(socket.AF_UNIX) as client:
        folder = os.open(path.parent, os.O_PATH)
        client.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        client.sendall(line)
        assert b"does not know" in client.recv(1000)
    assert request(path, "add", a=2, b=2)["sum"] == 4


def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"No agent answers at .*ctconsole agent start"):
        request(tmp_path / "agent.sock", "status")
