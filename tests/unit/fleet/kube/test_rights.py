"""What is asked of Kubernetes is allowed by the rights that deploy/ asks for, and no more is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ctconsole.fleet.kube.inside import run_in_pod
from ctconsole.fleet.kube.lease import FleetLease
from ctconsole.lab.kube.objects import NAMESPACE, POD_LABEL

if TYPE_CHECKING:
    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.lab.kube.api import KubeApi

MANIFEST = Path(__file__).parents[4] / "deploy" / "kubernetes" / "fleet-resize.yaml"
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def rules() -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(MANIFEST.read_text())
    return [rule for one in documents if "Role" in one["kind"] for rule in one.get("rules", [])]


def allowed(method: str, path: str) -> list[int]:
    """Which rules allow it."""
    group = "coordination.k8s.io" if path.startswith("/apis/") else ""
    _, kind, name, sub = re.search(
        r"(/namespaces/[^/]+)?/(nodes|pods|configmaps|leases)(?:/([^/]+))?(?:/(exec))?$", path
    ).groups()  # type: ignore[union-attr] # of paths that are ours
    verb = VERBS.get(method) or ("get" if name else "list")
    found = []
    for number, rule in enumerate(rules()):
        names = rule.get("resourceNames", [name])
        if (
            group in rule["apiGroups"]
            and f"{kind}/{sub}" * bool(sub) + kind * (not sub) in rule["resources"]
            and verb in rule["verbs"]
            and name in names
        ):
            found.append(number)
    return found


def test_the_rights_are_enough_and_each_is_needed(api: KubeApi, cluster: KubeCluster) -> None:
    asked: list[tuple[str, str]] = []
    api.before = lambda method, path: asked.append((method, path))
    cluster.nodes("pool=a")
    (pod,) = cluster.pods(NAMESPACE, POD_LABEL, "n1")
    run_in_pod(cluster, pod, "", ["true"], patience=30)
    found = cluster.config_map(NAMESPACE, "cilium-config")
    cluster.patch_config_map(NAMESPACE, "cilium-config", {"size": "7"}, found.version)
    FleetLease(cluster.again(), NAMESPACE, "me").close()
    cluster.delete_pod(pod)
    used = [allowed(method, path) for method, path in asked]
    assert [one for one, rule in zip(asked, used, strict=True) if not rule] == []
    assert {number for some in used for number in some} == set(range(len(rules())))
