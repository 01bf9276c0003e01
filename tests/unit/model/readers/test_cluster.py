"""What Kubernetes and the tool tell of a cluster: nodes, pods, identities."""

from __future__ import annotations

import json

import pytest

from ctconsole.errors import FormatError
from ctconsole.model.readers.cluster import (
    is_identities_json,
    is_identities_yaml,
    is_nodes,
    quantity,
    read_identities,
    read_identities_json,
    read_identities_yaml,
    read_nodes,
    read_pods,
    read_pods_table,
)

NODES = """\
apiVersion: v1
items:
- metadata:
    annotations:
      node.alpha.kubernetes.io/ttl: "0"
    labels:
      name: a-label
    managedFields:
    - apiVersion: v1
      fieldsV1:
        f:status:
          f:capacity:
            memory: 1Ki
      name: another
    name: node-a
  spec:
    podCIDR: 10.0.0.0/24
  status:
    allocatable:
      memory: 100Ki
    capacity:
      cpu: "4"
      memory: 16393244Ki
    nodeInfo:
      architecture: amd64
- metadata:
    name: "node-b"
  status:
    capacity:
      memory: 32Gi
kind: NodeList
metadata:
  resourceVersion: "1"
"""
MEMORY = {"node-a": 16393244 << 10, "node-b": 32 << 30}


def further_right(text: str) -> str:
    """The same list with its objects below ``items``, as other tools write it."""
    head, _, rest = text.partition("items:\n")
    listed, _, tail = rest.partition("kind: ")
    return (
        f"{head}items:\n" + "".join(f"  {line}\n" for line in listed.splitlines()) + f"kind: {tail}"
    )


@pytest.mark.parametrize("text", [NODES, further_right(NODES), NODES.replace("\n", "\r\n")])
def test_a_nodes_memory_is_its_capacity(text: str) -> None:
    assert is_nodes(text)
    assert read_nodes([text.encode()], "nodes.yaml").memory == MEMORY


def test_a_list_may_come_in_pieces() -> None:
    raw = NODES.encode()
    pieces = [raw[at : at + 7] for at in range(0, len(raw), 7)]
    assert read_nodes(pieces, "nodes.yaml").memory == MEMORY


def test_one_node_alone_is_read() -> None:
    one = "kind: Node\nmetadata:\n  name: node-a\nstatus:\n  capacity:\n    memory: 8Gi\n"
    assert is_nodes(one)
    assert read_nodes([one.encode()], "node.yaml").memory == {"node-a": 8 << 30}


def test_nodes_in_json() -> None:
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"memory": "2Gi"}}}
    for answer in (node, {"kind": "List", "items": [node]}):
        text = json.dumps(answer)
        assert is_nodes(text)
        assert read_nodes([b"\n", text.encode()], "nodes.json").memory == {"n": 2 << 30}
    with pytest.raises(FormatError, match=r"nodes\.json is no JSON"):
        read_nodes([b"{"], "nodes.json")


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("5", 5), ("2Ki", 2048), ("1.5Gi", 3 << 29), ("16G", 16 * 10**9), ("100m", 0), ("", 0)],
)
def test_amounts(text: str, bytes_: int) -> None:
    assert quantity(text) == bytes_


def test_pods_tell_their_node() -> None:
    yaml = (
        "items:\n- metadata:\n    name: cilium-4zq7p\n  spec:\n    containers:\n    - name: agent\n"
        "    nodeName: node-a\n- metadata:\n    name: pending\n  spec: {}\nkind: PodList\n"
    )
    assert read_pods([yaml.encode()], "pods.yaml").nodes == {"cilium-4zq7p": "node-a"}
    table = (
        "NAMESPACE     NAME           READY   STATUS    RESTARTS     AGE   IP         NODE     "
        "NOMINATED NODE   READINESS GATES\n"
        "kube-system   cilium-4zq7p   1/1     Running   2 (3d ago)   9d    10.0.0.1   node-a   "
        "<none>           <none>\n"
        "default       pending        0/1     Pending   0            9d    <none>     <none>   "
        "<none>           <none>\n"
    )
    assert read_pods_table(table).nodes == {"cilium-4zq7p": "node-a"}


def test_identities_as_the_tool_lists_them() -> None:
    text = (
        "ID      LABELS\n1       reserved:host\n        reserved:kube-apiserver\n"
        "12345   k8s:app=web\n        k8s:io.kubernetes.pod.namespace=default\n\nOK\n"
    )
    labels = ("k8s:app=web", "k8s:io.kubernetes.pod.namespace=default")
    assert read_identities(text).identities == {
        1: ("reserved:host", "reserved:kube-apiserver"),
        12345: labels,
    }
    counted = "ID    LABELS          REFCOUNT\n7     k8s:app=db      3\n      k8s:tier=back   \n"
    assert read_identities(counted).identities == {7: ("k8s:app=db", "k8s:tier=back")}
    answer = json.dumps([{"id": 12345, "labels": list(labels), "labelsSHA256": "ab"}])
    assert is_identities_json(answer)
    assert read_identities_json([answer.encode()], "identities").identities == {12345: labels}
    yaml = (
        "apiVersion: cilium.io/v2\nitems:\n- metadata:\n    labels:\n      app: no\n"
        '    name: "12345"\n  security-labels:\n    k8s:app: web\n'
        "    k8s:io.kubernetes.pod.namespace: default\nkind: CiliumIdentityList\n"
    )
    assert is_identities_yaml(yaml)
    assert read_identities_yaml([yaml.encode()], "identities").identities == {12345: labels}
