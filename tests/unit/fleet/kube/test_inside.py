"""Commands in pods, over the WebSocket that Kubernetes speaks."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.errors import ClusterError, CutOffError
from ctconsole.fleet.kube import inside
from ctconsole.fleet.kube.inside import run_in_pod
from ctconsole.lab.kube import wire
from ctconsole.lab.kube.objects import NAMESPACE, POD_LABEL, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.kube.inside import PodRun
    from ctconsole.lab.kube.api import KubeApi


@pytest.fixture
def run(cluster: KubeCluster) -> Callable[..., PodRun]:
    (pod,) = cluster.pods(NAMESPACE, POD_LABEL, "n1")

    def in_pod(script: str, patience: float = 60.0, **more: Any) -> PodRun:  # noqa: ANN401
        return run_in_pod(cluster, pod, "", [script], patience=patience, **more)

    return in_pod


@pytest.mark.parametrize("protocols", [("v5.channel.k8s.io",), ("v4.channel.k8s.io",)])
def test_what_a_command_prints_and_how_it_ends(
    api: KubeApi, run: Callable[..., PodRun], protocols: tuple[str, ...]
) -> None:
    api.protocols = protocols
    heard: list[str] = []
    done = run("echo out; printf 'one\\ntw\\033[31m' >&2; exit 3", hear=heard.append)
    assert (done.code, done.out, done.last) == (3, b"out\n", "tw\\x1b[31m")
    assert heard == ["one", "tw\\x1b[31m"]
    assert run("true").code == 0


def test_large_output_comes_whole(run: Callable[..., PodRun]) -> None:
    assert len(run("head -c 3000000 /dev/zero").out) == 3_000_000


def test_output_without_end_is_cut(
    run: Callable[..., PodRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_LARGEST", 100_000)
    with pytest.raises(CutOffError, match="says too much"):
        run("head -c 300000 /dev/zero")


def test_one_that_does_not_end_is_not_waited_for_forever(
    api: KubeApi, run: Callable[..., PodRun]
) -> None:
    with pytest.raises(CutOffError, match="does not come to its end"):
        run("exec sleep 60", patience=0.5)
    # It goes on, as in a container.
    (child,) = api.running
    assert child.poll() is None
    child.kill()
    while api.running:
        time.sleep(0.05)


def test_a_refusal_is_its_own_sentence(api: KubeApi, run: Callable[..., PodRun]) -> None:
    def refuse(_method: str, path: str) -> None:
        if path.endswith("/exec"):
            raise StatusError(HTTPStatus.FORBIDDEN, 'User "me" cannot create "pods/exec"')

    api.before = refuse
    with pytest.raises(
        ClusterError, match=r'User "me" cannot create "pods/exec" \(403\)'
    ) as caught:
        run("true")
    assert caught.value.status == HTTPStatus.FORBIDDEN


def test_a_program_that_is_not_there_is_no_exit_code(
    api: KubeApi, run: Callable[..., PodRun]
) -> None:
    api.objects.pods["p-n1"].argv = lambda _: ["/nowhere/at-all"]
    with pytest.raises(ClusterError, match="Nothing can be run in pod kube-system/p-n1"):
        run("true")


def only(*frames: bytes, close: bool = True) -> Callable[..., None]:
    """What is said in the place of a command."""

    def say(connection: wire.Frames, _argv: object, _running: object) -> None:
        for one in frames:
            connection.send(one)
        if close:
            connection.close()

    return say


@pytest.mark.parametrize(
    ("frames", "close"),
    [
        ((b"\x01out",), True),
        ((b"\x01out",), False),
        ((), False),
        ((b"\x03",), True),
        ((b"\x03not json",), True),
        ((b"\x03[]",), True),
        ((b"\x03" + b"[" * 100_000,), True),
        ((b'\x03{"status": "Failure", "details": 7}',), True),
        ((b'\x03{"status": "Failure", "details": {"causes": [{"reason": "ExitCode"}]}}',), True),
        ((b"", b"\x09what", b"\xff\x01", b"\xff"), True),
    ],
)
def test_an_end_that_is_not_told_is_no_end(
    run: Callable[..., PodRun],
    monkeypatch: pytest.MonkeyPatch,
    frames: tuple[bytes, ...],
    close: bool,  # noqa: FBT001 - a table's
) -> None:
    monkeypatch.setattr(wire, "run", only(*frames, close=close))
    with pytest.raises(CutOffError) as caught:
        run("true", patience=10)
    assert "\n" not in str(caught.value)


def test_a_frame_larger_than_anything_is_refused(
    run: Callable[..., PodRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "_LARGEST", 1000)
    monkeypatch.setattr(wire, "run", only(b"\x01" + bytes(2000)))
    with pytest.raises(CutOffError, match="a frame of 2001 bytes"):
        run("true", patience=10)
