"""A cluster whose API is a lab's, and nothing behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.fleet.kube.cluster import KubeCluster
from ctconsole.lab.kube.api import KubeApi
from ctconsole.lab.kube.objects import LabNode, LabPod

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def in_a_shell(argv: Sequence[str]) -> Sequence[str]:
    """The command of a pod is a script."""
    return ["/bin/sh", "-c", argv[0]]


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        for name in ("n1", "n2", "n3"):
            running.objects.nodes[name] = LabNode(name, {"pool": "a"})
            running.objects.pods[f"p-{name}"] = LabPod(f"p-{name}", name, argv=in_a_shell)
        running.objects.set_config_map("cilium-config", {"size": "5", "other": "x"})
        yield running


@pytest.fixture
def cluster(api: KubeApi, tmp_path: Path) -> Iterator[KubeCluster]:
    api.write_kubeconfig(tmp_path / "kubeconfig")
    with KubeCluster(tmp_path / "kubeconfig") as opened:
        yield opened
