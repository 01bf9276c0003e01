from __future__ import annotations

import errno
import json
import os
import resource
import socket
import stat
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.agent import wire
from ctconsole.agent.wire import LARGEST, Server, Teller, request, stream
from ctconsole.errors import AgentError, RequestFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A server in a folder whose path is too long for a socket's address."""

    def refuse(_request: Mapping[str, Any]) -> dict[str, Any]:
        raise AgentError("It cannot be done", hint="Do something else")

    def break_off(_request: Mapping[str, Any]) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, "No space left on device")

    def work(asked: Mapping[str, Any]) -> dict[str, Any]:
        threading.Event().wait(asked["seconds"])
        return {}

    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    handlers = {
        "add": lambda asked: {"sum": asked["a"] + asked["b"]},
        "refuse": refuse,
        "break": break_off,
        "work": work,
        "much": lambda asked: {"text": "x" * asked["size"]},
    }
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
    with socket.socket(socket.AF_UNIX) as client:
        folder = os.open(path.parent, os.O_PATH)
        client.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        client.sendall(line)
        client.settimeout(10)
        assert b"does not know" in client.recv(1000)
    assert request(path, "add", a=2, b=2)["sum"] == 4


def test_nobody_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"No agent answers at .*ctconsole agent start"):
        request(tmp_path / "agent.sock", "status")


def test_what_a_handler_failed_at_is_told(path: Path) -> None:
    with pytest.raises(RequestFailedError, match=r"failed at break: OSError.*No space left"):
        request(path, "break")


def test_nobody_else_may_ask(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_answer_may_be_large_and_has_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(request(path, "much", size=5 << 20)["text"]) == 5 << 20
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    with pytest.raises(AgentError, match="more than 1 MiB in one line"):
        request(path, "much", size=5 << 20)
    assert LARGEST >= 1 << 26


def test_work_may_take_longer_than_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BEAT", 0.02)
    assert request(path, "work", silence=0.3, seconds=0.9)
    with pytest.raises(AgentError, match="did not answer in time"):
        request(path, "work", silence=0.3, total=0.1, seconds=0.9)


def test_the_socket_outlives_a_shortage_of_descriptors(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    line = b'{"verb": "add", "a": 1, "b": 2}\n'
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        folder = os.open(path.parent, os.O_PATH)
        taken = max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken, limits[1]))
        held = []
        try:
            with suppress(OSError):
                while True:
                    held.append(os.dup(folder))
            # The kernel has set a descriptor aside for the accept() under way.
            for client in (first, second):
                client.connect(f"/proc/self/fd/{folder}/{path.name}")
                client.sendall(line)
            first.settimeout(10)
            assert json.loads(first.recv(100))["sum"] == 3
            second.settimeout(0.3)
            with pytest.raises(TimeoutError):
                second.recv(100)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in held:
                os.close(fd)
            os.close(folder)
        second.settimeout(10)
        assert json.loads(second.recv(100))["sum"] == 3
    assert request(path, "add", a=2, b=2)["sum"] == 4


@contextmanager
def answering(folder: Path, answer: Callable[[socket.socket], None]) -> Iterator[Path]:
    """Something that is no agent behind a socket; it answers each request in its own way."""
    path = folder / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    client.recv(1000)
                    answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


STRANGE = [
    b"[]", b"3", b"null", b'"x"', b"{}", b'{"ok": true}', b'{"ok": 1}', b"[" * 100_000,
    b"\xff\xfe", b"\x1b]0;owned\x07", b'{"ok": true, "endpoints": []}',
    b'{"ok": false, "error": 3}', b'{"ok": true, "pid": "one"}', b'{"ok": true', b"",
]  # fmt: skip


@pytest.mark.parametrize("said", STRANGE, ids=lambda said: said[:20].decode("ascii", "replace"))
@pytest.mark.parametrize("verb", ["status", "endpoint-list", "gc", "switch-begin"])
def test_a_strange_answer_is_one_sentence(tmp_path: Path, verb: str, said: bytes) -> None:
    if verb == "endpoint-list" and b"endpoints" in said:
        said = b'{"ok": true, "endpoints": [{"id": "3"}]}'
    with answering(tmp_path, lambda client: client.sendall(said + b"\n")) as path:
        with pytest.raises(AgentError) as caught:
            request(path, verb)
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 600


def test_what_is_wrong_with_an_answer_is_named(tmp_path: Path) -> None:
    said = b'{"ok": true, "endpoints": [{"id": true}]}\n'
    with (
        answering(tmp_path, lambda client: client.sendall(said)) as path,
        pytest.raises(AgentError, match=r"endpoint-list with .*: endpoints\[0\]\.id is no int"),
    ):
        request(path, "endpoint-list")


@pytest.mark.parametrize("way", ["request", "stream"])
@pytest.mark.parametrize("dripped", [b"", b"{"])
def test_silence_and_a_drip_have_an_end(
    tmp_path: Path, way: str, dripped: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "SILENCE", 0.3)

    def drip(client: socket.socket) -> None:
        client.settimeout(0.02)
        while True:
            client.sendall(dripped)
            with suppress(TimeoutError):
                if not client.recv(1):
                    return

    ask: Mapping[str, Callable[[Path], object]] = {
        "request": lambda path: request(path, "status", silence=0.3),
        "stream": lambda path: list(stream(path, "monitor")),
    }
    with answering(tmp_path, drip) as path, pytest.raises(AgentError, match="in time"):
        ask[way](path)


def test_a_stream_of_strange_things_is_one_sentence(tmp_path: Path) -> None:
    with (
        answering(tmp_path, lambda client: client.sendall(b"3\n")) as path,
        pytest.raises(AgentError, match="no agent of ours"),
    ):
        list(stream(path, "monitor"))


def test_a_starter_that_does_not_read_holds_up_no_start() -> None:
    heard, told = os.pipe()
    tell = Teller(told)
    for number in range(10_000):
        tell.progress(number, 10_000, "endpoint")
    os.close(heard)
    tell.progress(1, 1, "endpoint")
    tell({"ready": True})
