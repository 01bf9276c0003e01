"""What Kubernetes tells of the nodes: their memory, the pods on them, the labels of identities.

A sysdump keeps the nodes (``k8s-nodes-TIME.yaml``), the pods (``k8s-pods-TIME.yaml`` and ``.txt``)
and the identities (``ciliumidentities-TIME.yaml``); operators send ``kubectl get nodes -o yaml``
and ``cilium identity list``. A node's ``capacity.memory`` is the kubelet's reading of MemTotal,
which the agent's dynamic sizing follows, too.

Of YAML only what is asked for is read, by its indentation, since the pods of a large cluster are
hundreds of megabytes. Sources: ``core/v1`` of Kubernetes, ``api/v1/models/identity.go`` and
``cilium-dbg/cmd/identity_list.go`` of Cilium 1.9 to 1.20.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.readers import agentjson
from ctconsole.model.readers.lines import bundles, unprefixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST: Final = 1 << 18
"""Nodes, pods and identities that are kept of each."""

_BLOCK: Final = 1 << 20
_UNITS: Final[Mapping[str, int]] = {
    "": 1,
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTP", 1)},
    **{unit: 1000**power for power, unit in enumerate("kMGTP", 1)},
}
_QUANTITY: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,6}))?([KMGTP]i?|k|)")
_LINE: Final = re.compile(
    rb"^(?P<indent> *)(?P<dash>- )?(?P<name>[A-Za-z_][\w./:-]{0,300}|\"[^\"\n]{0,300}\"):"
    rb"(?: +(?P<value>[^\r\n]*))?\r?$",
    re.MULTILINE,
)
_INDENT: Final = re.compile(rb"^items:[ \t]*\r?\n( *)- ", re.MULTILINE)
_NODES: Final = re.compile(
    r'^ *(?:- )?kind: Node(?:List)?\r?$|"kind": ?"Node(?:List)?"|^ {2,4}nodeInfo:\r?$',
    re.MULTILINE,
)
_PODS: Final = re.compile(r'^ *(?:- )?kind: Pod(?:List)?\r?$|"kind": ?"Pod(?:List)?"', re.MULTILINE)
_PODS_TABLE: Final = re.compile(r"\s*NAMESPACE +NAME +READY +STATUS +RESTARTS +AGE +IP +NODE\b")
_IDENTITIES: Final = re.compile(r"\s*ID[ \t]+LABELS(?:[ \t]+REFCOUNT)?\s*$")
_IDENTITY: Final = re.compile(r"\s{0,3}(?P<id>\d{1,10})\s+(?P<label>[\w.-]+:\S+)(?:\s+\d+)?\s*$")
_MORE: Final = re.compile(r"\s{2,}(?P<label>[\w.-]+:\S+)\s*$")
_IDENTITIES_JSON: Final = re.compile(r'\s*\[\s*\{\s*"id":\s*\d+,\s*"labels":\s*\[')
_IDENTITIES_YAML: Final = re.compile(
    r"^ *(?:- )?kind: CiliumIdentity(?:List)?\r?$|^ {2,4}security-labels:\r?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Cluster:
    """What is told of a cluster.

    Attributes:
        memory: bytes of each node, by its name.
        nodes: the node that a pod runs on, by the pod's name.
        identities: labels of security identities.
    """

    memory: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, str] = field(default_factory=dict)
    identities: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def joined(self, other: Cluster) -> Cluster:
        """What both tell; the other one has the last word."""
        return Cluster(
            {**self.memory, **other.memory},
            {**self.nodes, **other.nodes},
            {**self.identities, **other.identities},
        )


NO_CLUSTER: Final = Cluster()


def quantity(text: str) -> int:
    """An amount as Kubernetes writes it (``16393244Ki``); 0 for anything else."""
    found = _QUANTITY.fullmatch(text.strip().strip("\"'"))
    if found is None:
        return 0
    unit = _UNITS[found[3]]
    return int(found[1]) * unit + int(unit * float(f"0.{found[2] or 0}"))


def is_nodes(head: str) -> bool:
    """Whether a text is a list of nodes, in YAML or JSON."""
    return _NODES.search(head) is not None


def is_pods(head: str) -> bool:
    """Whether a text is a list of pods, in YAML or JSON."""
    return _PODS.search(head) is not None


def is_pods_table(text: str) -> bool:
    """Whether a line is the title of ``kubectl get pods -A -o wide``."""
    return _PODS_TABLE.match(text) is not None


def is_identities(text: str) -> bool:
    """Whether a line is the title of the tool's list of identities."""
    return _IDENTITIES.match(text) is not None


def is_identities_json(head: str) -> bool:
    """Whether a text is that list in JSON."""
    return _IDENTITIES_JSON.match(head) is not None


def is_identities_yaml(head: str) -> bool:
    """Whether a text has the identities as Kubernetes keeps them."""
    return _IDENTITIES_YAML.search(head) is not None


def read_nodes(blocks: Iterable[bytes], where: str) -> Cluster:
    """The memory of the nodes.

    Args:
        blocks: YAML or JSON in order.
        where: its name, for messages.

    Raises:
        FormatError: it is JSON that makes no sense, or takes too much memory.
    """
    memory: dict[str, int] = {}
    for one in _objects(blocks, where, ("metadata", "name"), ("status", "capacity", "memory")):
        name, amount = one
        if name and (size := quantity(amount)) and len(memory) < MOST:
            memory[name] = size
    return Cluster(memory=memory)


def read_pods(blocks: Iterable[bytes], where: str) -> Cluster:
    """On which nodes pods run; see `read_nodes`."""
    nodes: dict[str, str] = {}
    for pod, node in _objects(blocks, where, ("metadata", "name"), ("spec", "nodeName")):
        if pod and node and len(nodes) < MOST:
            nodes[pod] = node
    return Cluster(nodes=nodes)


def read_identities_yaml(blocks: Iterable[bytes], where: str) -> Cluster:
    """The labels of identities as Kubernetes keeps them; see `read_nodes`."""
    found: dict[int, tuple[str, ...]] = {}
    labels = ("security-labels", "*")
    for name, told in _objects(blocks, where, ("metadata", "name"), labels):
        if name.isdecimal() and told and len(found) < MOST:
            found[int(name)] = tuple(sorted(told.split("\n")))
    return Cluster(identities=found)


def read_pods_table(text: str) -> Cluster:
    """On which nodes pods run, of the table that kubectl prints."""
    nodes: dict[str, str] = {}
    title, place = "", 0
    for line in text.splitlines():
        bare = unprefixed(line)
        if is_pods_table(bare):
            title = bare
            place = title.index(" NODE") + 1
            continue
        words = bare.split()
        node = bare[place:].split(" ", 1)[0] if title else ""
        if node and node != "<none>" and bare[place - 1] == " " and len(nodes) < MOST:
            nodes[words[1]] = node
    return Cluster(nodes=nodes)


def read_identities(text: str) -> Cluster:
    """The labels of identities as the tool lists them: one a line, the others below it."""
    found: dict[int, list[str]] = {}
    now: list[str] | None = None
    for line in text.splitlines():
        bare = unprefixed(line)
        if begun := _IDENTITY.match(bare):
            if len(found) >= MOST:
                break
            now = found.setdefault(int(begun["id"]), [])
            now.append(begun["label"])
        elif (more := _MORE.match(bare)) and now is not None:
            now.append(more["label"])
        else:
            now = None
    return Cluster(identities={number: tuple(labels) for number, labels in found.items()})


def read_identities_json(blocks: Iterable[bytes], where: str) -> Cluster:
    """The same in JSON; see `read_nodes`."""
    answer = agentjson.document(b"".join(blocks), where)
    return Cluster(identities=dict(agentjson.identities(answer).items))


def _objects(
    blocks: Iterable[bytes], where: str, *paths: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """What stands in each object of a list at some paths; empty where nothing does.

    A path that ends with ``*`` takes all names and values below it as ``name=value``, one a line.
    """
    source = iter(blocks)
    first = b""
    for block in source:
        first += block
        if first.strip():
            break
    whole = (block for part in ([first], source) for block in part)
    if first.lstrip().startswith(b"{"):
        answer = agentjson.document(b"".join(whole), where)
        listed = answer.get("items", [answer]) if isinstance(answer, dict) else []
        for one in listed if isinstance(listed, list) else []:
            yield tuple(_at(one, path) for path in paths)
        return
    yield from _outlined(whole, paths)


def _at(value: Any, path: tuple[str, ...]) -> str:  # noqa: ANN401 - JSON is anything
    for step in path:
        if step == "*":
            pairs = value.items() if isinstance(value, dict) else ()
            return "\n".join(f"{name}={text}" for name, text in pairs if isinstance(text, str))
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _outlined(
    blocks: Iterator[bytes], paths: tuple[tuple[str, ...], ...]
) -> Iterator[tuple[str, ...]]:
    """The same of YAML as Kubernetes' tools write it, with two blanks for each step."""
    deepest = max(len(path) for path in paths) - 1
    depth: int | None = None
    kept, above = [""] * len(paths), [""]
    sought = _LINE
    for block in bundles(blocks, _BLOCK):
        if depth is None:
            found = _INDENT.search(block)
            depth = len(found[1]) + 2 if found else 0
            # What stands further to the right is never looked at, and that is nearly all of it.
            sought = re.compile(
                _LINE.pattern.replace(b"*", b"{0,%d}" % (depth + 2 * deepest), 1), re.MULTILINE
            )
        for line in sought.finditer(block):
            indent = len(line["indent"])
            if line["dash"] and indent + 2 == depth:
                yield tuple(kept)
                kept, indent = [""] * len(paths), depth
            elif line["dash"] or indent < depth:
                continue
            step = (indent - depth) // 2
            above[step:] = [_plain(line["name"])]
            _keep(kept, paths, tuple(above), _plain(line["value"] or b""))
    yield tuple(kept)


def _plain(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip().strip("\"'")


def _keep(
    kept: list[str], paths: tuple[tuple[str, ...], ...], above: tuple[str, ...], value: str
) -> None:
    """Take a value that stands where one is asked for."""
    for place, path in enumerate(paths):
        if path == above:
            kept[place] = value
        elif path[-1] == "*" and above[:-1] == path[:-1] and value:
            pair = f"{above[-1]}={value}"
            kept[place] = f"{kept[place]}\n{pair}" if kept[place] else pair
