from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BpfError, DeniedError, GoneError
from ctconsole.kernel import iproute, netns
from tests.support.namespaces import namespace, unique

if TYPE_CHECKING:
    from types import FrameType

    from ctconsole.kernel.gate import Gate


def own_namespace() -> str:
    return str(Path("/proc/thread-self/ns/net").readlink())


def test_a_namespace_lives_from_create_to_delete(gate: Gate) -> None:
    name = unique("life")
    netns.create(gate, name)
    try:
        assert netns.exists(name)
        assert name in netns.names("ctt-")
        assert [(link.name, link.up) for link in iproute.links(netns=name)] == [("lo", True)]
    finally:
        assert netns.delete(gate, name)
    assert not netns.exists(name)
    assert not netns.delete(gate, name)


def test_a_name_cannot_be_taken_twice(gate: Gate) -> None:
    with namespace(gate) as name:
        with pytest.raises(BpfError, match="File exists"):
            netns.create(gate, name)
        assert netns.exists(name)


def test_a_plain_file_left_by_a_killed_process_can_be_deleted(gate: Gate) -> None:
    with namespace(gate):
        left = unique("left-over")
        (netns.FOLDER / left).touch()
        assert netns.delete(gate, left)
        assert not netns.exists(left)


def test_inside_comes_back_also_after_an_error(gate: Gate) -> None:
    home = own_namespace()
    with namespace(gate) as name:
        with netns.inside(name):
            assert own_namespace() != home
        assert own_namespace() == home
        with pytest.raises(ZeroDivisionError), netns.inside(name):
            1 // 0  # noqa: B018 - the error is what matters
        assert own_namespace() == home


def test_inside_moves_only_the_calling_thread(gate: Gate) -> None:
    home = own_namespace()
    entered, asked = threading.Event(), threading.Event()

    def visit(name: str) -> None:
        with netns.inside(name):
            entered.set()
            asked.wait(10)

    with namespace(gate) as name:
        thread = threading.Thread(target=visit, args=(name,))
        thread.start()
        assert entered.wait(10)
        assert own_namespace() == home
        asked.set()
        thread.join()


def test_threads_may_be_in_different_namespaces_at_once(gate: Gate) -> None:
    both_in = threading.Barrier(2, timeout=10)
    seen: dict[str, str] = {}

    def visit(name: str) -> None:
        with netns.inside(name):
            both_in.wait()
            seen[name] = own_namespace()
            both_in.wait()

    with namespace(gate, "a") as first, namespace(gate, "b") as second:
        threads = [threading.Thread(target=visit, args=(name,)) for name in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(seen.values()) - {own_namespace()}) == 2


def test_a_child_runs_in_the_namespace(gate: Gate) -> None:
    with namespace(gate) as name:
        link = netns.popen(name, ["readlink", "/proc/self/ns/net"], stdout=subprocess.PIPE)
        told, _ = link.communicate(timeout=30)
        assert told.decode().strip() not in {"", own_namespace()}
        child = netns.popen(name, ["sleep", "30"])
        try:
            assert netns.pids(name) == [child.pid]
        finally:
            child.kill()
            child.wait()
        assert netns.pids(name) == []


def test_a_setting_is_written_in_its_namespace_only(gate: Gate) -> None:
    forward = Path("/proc/sys/net/ipv4/ip_forward")
    before = forward.read_text("ascii")
    with namespace(gate) as name:
        netns.set_sysctl(gate, name, "ipv4.ip_forward", "1")
        with netns.inside(name):
            assert forward.read_text("ascii") == "1\n"
        with pytest.raises(BpfError, match=r"net\.ipv4\.no_such=1"):
            netns.set_sysctl(gate, name, "ipv4.no_such", "1")
    assert forward.read_text("ascii") == before


def test_loopback_of_a_new_namespace_answers(gate: Gate) -> None:
    with (
        namespace(gate) as name,
        netns.inside(name),
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_a_missing_namespace_is_named() -> None:
    with (
        pytest.raises(GoneError, match="network namespace ctt-nowhere"),
        netns.inside("ctt-nowhere"),
    ):
        pass


@pytest.mark.parametrize("error", [OSError(errno.EPERM, "no"), RuntimeError("fault")])
def test_a_namespace_that_could_not_be_made_leaves_its_name_free(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Its loopback comes up last, when the name is mounted already."""
    name = unique("half")

    def fail() -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(netns, "_loopback_up", fail)
        expected = DeniedError if isinstance(error, OSError) else RuntimeError
        with pytest.raises(expected):
            netns.create(gate, name)
    assert not netns.exists(name)
    netns.create(gate, name)
    assert netns.delete(gate, name)


def test_a_signal_right_after_the_name_was_taken_leaves_none(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, heard, touch = unique("signal"), threading.Event(), Path.touch

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        heard.set()
        raise SystemExit(128 + number)

    def interrupted(path: Path, *, mode: int, exist_ok: bool) -> None:
        touch(path, mode=mode, exist_ok=exist_ok)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard.wait(20)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        monkeypatch.setattr(Path, "touch", interrupted)
        with pytest.raises(SystemExit):
            netns.create(gate, name)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not netns.exists(name)
