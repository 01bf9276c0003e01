"""A sysdump's own files about its cluster: what nodes are called, and how much memory they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import FormatError
from ctconsole.node.advising import advise_files
from ctconsole.node.names import labels_of_files, names_of_files
from ctconsole.observe.offline import read_offline

if TYPE_CHECKING:
    from pathlib import Path

LISTED = (
    "TCP OUT 10.0.0.1:40000 -> 10.0.0.2:80 expires=2000 Packets=1 Bytes=1 RxFlagsSeen=0x02 "
    "LastRxReport=1000 TxFlagsSeen=0x02 LastTxReport=1000 Flags=0x0010 [ SeenNonSyn ] RevNAT=0 "
    "SourceSecurityID=12345 BackendID=0 \n"
)
STATUS = "Cilium: Ok 1.17.2 (v1.17.2-b8f6a8d5)\nBPF Maps:   dynamic sizing: on (ratio: 0.002500)\n"
STATUS += "  TCP connection tracking   146890\n"
TABLE = "NAMESPACE   NAME           READY   STATUS    RESTARTS   AGE   IP         NODE     X\n"


def sysdump(folder: Path, *nodes: tuple[str, str, str], table: bool = True) -> Path:
    """Nodes, each with its pod and the memory that it has."""
    top = folder / "cilium-sysdump-20250301-101112"
    for _, pod, _ in nodes:
        cmd = top / f"cilium-bugtool-{pod}-20250301-101112" / "cmd"
        cmd.mkdir(parents=True)
        (cmd / "cilium-dbg-bpf-ct-list-global.md").write_text(LISTED, "utf-8")
        (cmd / "cilium-dbg-status---verbose.md").write_text(STATUS, "utf-8")
    items = "".join(
        f"- metadata:\n    name: {name}\n  status:\n    capacity:\n      memory: {memory}\n"
        "    nodeInfo:\n      architecture: amd64\n"
        for name, _, memory in nodes
    )
    file = top / "k8s-nodes-20250301-101112.yaml"
    file.write_text(f"apiVersion: v1\nitems:\n{items}kind: NodeList\n", "utf-8")
    if table:
        rows = "".join(
            f"kube-system {pod:14} 1/1     Running   0          9d    10.0.0.1   {name}   <none>\n"
            for name, pod, _ in nodes
        )
        (top / "k8s-pods-20250301-101112.txt").write_text(TABLE + rows, "utf-8")
    return top


def test_nodes_are_called_by_name_and_have_their_own_memory(tmp_path: Path) -> None:
    top = sysdump(tmp_path, ("node-a", "cilium-4zq7p", "8Gi"), ("node-b", "cilium-9vv2m", "16Gi"))
    found = read_offline([top])
    assert not found.problems
    assert [(one.whose.node, one.whose.pod) for one in found.maps] == [
        ("node-a", "cilium-4zq7p"),
        ("node-b", "cilium-9vv2m"),
    ]
    assert [found.node_of(one).memory for one in found.maps] == [8 << 30, 16 << 30]
    told = {one.node: one.sizing for one in advise_files([top])}
    assert told["node-a"] is not None
    assert told["node-b"] is not None
    assert "of 8.0 GiB" in told["node-a"].text
    assert "of 16.0 GiB" in told["node-b"].text


def test_memory_is_known_without_names_where_all_have_the_same(tmp_path: Path) -> None:
    nodes = ("node-a", "cilium-4zq7p", "8Gi"), ("node-b", "cilium-9vv2m", "8Gi")
    found = read_offline([sysdump(tmp_path, *nodes, table=False)])
    assert {found.node_of(one).memory for one in found.maps} == {8 << 30}


def test_memory_is_not_guessed_where_nodes_differ_and_none_is_named(tmp_path: Path) -> None:
    nodes = ("node-a", "cilium-4zq7p", "8Gi"), ("node-b", "cilium-9vv2m", "16Gi")
    found = read_offline([sysdump(tmp_path, *nodes, table=False)])
    assert {found.node_of(one).memory for one in found.maps} == {0}


def test_labels_come_from_the_tools_list_wherever_it_stands(tmp_path: Path) -> None:
    listing, labels = tmp_path / "ct.txt", tmp_path / "identities.txt"
    listing.write_text(LISTED, "utf-8")
    labels.write_text("ID      LABELS\n12345   k8s:app=web\n        k8s:x=y\n", "utf-8")
    assert labels_of_files([listing, labels])[0][12345] == ("k8s:app=web", "k8s:x=y")
    assert names_of_files([listing, labels])[0].identity(12345) == "k8s:app=web,k8s:x=y"
    both = tmp_path / "both.txt"
    both.write_text(LISTED + "\n$ cilium identity list\n" + labels.read_text("utf-8"), "utf-8")
    assert labels_of_files([both])[0][12345] == ("k8s:app=web", "k8s:x=y")
    assert len(read_offline([both]).maps[0].keys) == 1


def test_a_list_of_nodes_alone_is_said_to_be_that(tmp_path: Path) -> None:
    top = sysdump(tmp_path, ("node-a", "cilium-4zq7p", "8Gi"))
    [file] = top.glob("k8s-nodes*")
    with pytest.raises(FormatError, match="holds the nodes of a cluster, which only helps"):
        raise read_offline([file]).without("a map", [file])
