"""What is asked of Kubernetes, by its real client, over its real wire format."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import ClusterError, UsageError
from ctconsole.fleet.kube import bounded
from ctconsole.fleet.kube import cluster as module
from ctconsole.fleet.kube.cluster import KubeCluster
from ctconsole.lab.kube.objects import NAMESPACE, POD_LABEL, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.lab.kube.api import KubeApi


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)


def test_nodes_and_pods_are_listed_in_pages(
    api: KubeApi, cluster: KubeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 2)
    api.objects.nodes["n2"].cordoned = True
    api.objects.nodes["n3"].ready = False
    api.objects.pods["p-n1"].ready = False
    nodes = cluster.nodes("pool=a")
    assert [(one.name, one.ready, one.cordoned) for one in nodes] == [
        ("n1", True, False),
        ("n2", True, True),
        ("n3", False, False),
    ]
    assert cluster.nodes("pool=b") == []
    pods = cluster.pods(NAMESPACE, POD_LABEL)
    assert [(one.node, one.running) for one in pods] == [("n1", False), ("n2", True), ("n3", True)]
    assert [one.name for one in cluster.pods(NAMESPACE, POD_LABEL, "n2")] == ["p-n2"]


def test_a_config_map_is_changed_only_as_it_was_read(api: KubeApi, cluster: KubeCluster) -> None:
    found = cluster.config_map(NAMESPACE, "cilium-config")
    cluster.patch_config_map(NAMESPACE, "cilium-config", {"size": "7"}, found.version)
    assert api.objects.config_map("cilium-config") == {"size": "7", "other": "x"}
    with pytest.raises(ClusterError, match=r"has been modified.*\(409\)") as caught:
        cluster.patch_config_map(NAMESPACE, "cilium-config", {"size": "9"}, found.version)
    assert caught.value.status == HTTPStatus.CONFLICT
    again = cluster.config_map(NAMESPACE, "cilium-config")
    cluster.patch_config_map(NAMESPACE, "cilium-config", {"size": None}, again.version)
    assert api.objects.config_map("cilium-config") == {"other": "x"}


def test_a_pod_is_deleted_as_the_one_it_is(api: KubeApi, cluster: KubeCluster) -> None:
    ended = []
    api.objects.pods["p-n1"].deleted = lambda: ended.append(1)
    (pod,) = cluster.pods(NAMESPACE, POD_LABEL, "n1")
    cluster.delete_pod(pod)
    # The next by its name is another, which is left alone.
    cluster.delete_pod(pod)
    assert ended == [1]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (HTTPStatus.FORBIDDEN, "fleet-resize.yaml"),
        (HTTPStatus.NOT_FOUND, "the server"),
        (HTTPStatus.UNAUTHORIZED, "Log in anew"),
        (HTTPStatus.GONE, "grew old"),
        (HTTPStatus.TOO_MANY_REQUESTS, "try again later"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "the server"),
        (HTTPStatus.SERVICE_UNAVAILABLE, "the server"),
    ],
)
def test_each_refusal_is_one_clear_sentence(
    api: KubeApi, cluster: KubeCluster, status: HTTPStatus, said: str
) -> None:
    def refuse(_method: str, _path: str) -> None:
        raise StatusError(status, "the server says\nno \x1b[31m")

    api.before = refuse
    with pytest.raises(ClusterError) as caught:
        cluster.nodes("pool=a")
    text = str(caught.value)
    assert text.startswith("The nodes with pool=a cannot be listed: the server says no \\x1b[31m")
    assert f"({int(status)})" in text
    assert said in text
    assert caught.value.status == status


@pytest.mark.parametrize("status", [429, 500, 503, 410])
def test_what_passes_by_itself_is_asked_again(
    api: KubeApi, cluster: KubeCluster, status: int
) -> None:
    asked = []

    def first(_method: str, path: str) -> None:
        asked.append(path)
        if len(asked) == 1:
            raise StatusError(HTTPStatus(status), "busy")

    api.before = first
    assert len(cluster.nodes("pool=a")) == 3
    assert len(asked) == 2


def test_a_write_is_not_asked_twice(api: KubeApi, cluster: KubeCluster) -> None:
    found = cluster.config_map(NAMESPACE, "cilium-config")
    asked = []

    def refuse(method: str, _path: str) -> None:
        asked.append(method)
        raise StatusError(HTTPStatus.SERVICE_UNAVAILABLE, "busy")

    api.before = refuse
    with pytest.raises(ClusterError, match="503"):
        cluster.patch_config_map(NAMESPACE, "cilium-config", {"size": "7"}, found.version)
    assert asked == ["PATCH"]


@contextmanager
def answering(content: bytes) -> Iterator[str]:
    """The address of somebody who answers everything with this and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            try:
                while True:
                    one, _ = server.accept()
                    with one:
                        one.recv(65536)
                        one.sendall(content)
                        one.shutdown(socket.SHUT_WR)
                        one.recv(65536)
            except OSError:
                return

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def config_for(path: Path, url: str) -> Path:
    told = {
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(told))
    return path


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        http(b""),
        http(b"<html>"),
        http(b"[]"),
        http(b"{}"),
        http(b'{"items": 5}'),
        http(b'{"items": [{}]}'),
        http(b'{"items": [null]}'),
        http(b'{"items": [{"metadata": {"name": "a"}, "status": {"conditions": [7]}}]}'),
        http(b"[" * 100_000),
        http(b'{"items": [], "metadata": {"continue": "x"}'),
    ],
)
def test_whatever_answers_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with (
        answering(content) as url,
        KubeCluster(config_for(tmp_path / "k", url)) as asked,
        pytest.raises(ClusterError) as caught,
    ):
        asked.nodes("a=b")
    assert str(caught.value).startswith("The nodes with a=b cannot be listed: ")
    assert "\n" not in str(caught.value)


def test_an_answer_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "LARGEST", 1000)
    content = http(b'{"items": [' + b" " * 5000)
    with (
        answering(content) as url,
        KubeCluster(config_for(tmp_path / "k", url)) as asked,
        pytest.raises(ClusterError, match="too large"),
    ):
        asked.nodes("a=b")


def test_a_refusal_without_end_is_cut_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "LARGEST", 1000)
    content = b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"x" * 5000
    with (
        answering(content) as url,
        KubeCluster(config_for(tmp_path / "k", url)) as asked,
        pytest.raises(ClusterError, match="too large"),
    ):
        asked.nodes("a=b")


def test_a_cluster_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with (
            KubeCluster(config_for(tmp_path / "k", url)) as asked,
            pytest.raises(ClusterError, match="Kubernetes cannot be reached"),
        ):
            asked.nodes("a=b")


@pytest.mark.parametrize("text", [None, "", "{", "a: [", "- 1", "{clusters: 5}"])
def test_a_configuration_that_is_none_is_one_sentence(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match="for Kubernetes cannot be used") as caught:
        KubeCluster(path)
    assert "\n" not in str(caught.value)


WITHOUT = """
import sys
sys.modules["kubernetes"] = None
from ctconsole.fleet.kube.errors import require_client
require_client()
"""


def test_where_the_client_is_missing_it_is_said_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert "MissingFeatureError" in done.stderr
    assert "pip install 'ctconsole[fleet]'" in done.stderr
