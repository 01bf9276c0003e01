"""The forms in which Kubernetes and tools that ask it tell of a node's cluster.

None of them holds a map: they say what nodes are called, how much memory they have, and the labels
of identities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError
from ctconsole.model.readers import cluster
from ctconsole.model.readers.lines import unprefixed
from ctconsole.observe.gathered import LARGEST_ANSWER, FileForm
from ctconsole.observe.sections import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ctconsole.model.readers.cluster import Cluster
    from ctconsole.observe.gathered import FoundFile, Gathered

_FIRST_LINES: Final = 50
_NODES: Final = "the nodes of a cluster"
_PODS: Final = "the pods of a cluster"
_LABELS: Final = "the labels of identities"


def _whole(
    read_it: Callable[[Iterable[bytes], str], Cluster],
) -> Callable[[FoundFile, Gathered], None]:
    def take(source: FoundFile, found: Gathered) -> None:
        try:
            found.nodes.clustered(source.node, read_it(source.blocks, source.name))
        except FormatError as error:
            found.problems.append(str(error))

    return take


def _text(
    read_text: Callable[[str], Cluster],
) -> Callable[[FoundFile, Gathered], None]:
    def take(source: FoundFile, found: Gathered) -> None:
        text = found.whole(source, LARGEST_ANSWER).decode("utf-8", "replace")
        found.nodes.clustered(source.node, read_text(text))

    return take


def _in_head(told: Callable[[str], bool]) -> Callable[[FoundFile], bool]:
    return lambda source: told(source.head.decode("utf-8", "replace"))


def _in_first(told: Callable[[str], bool]) -> Callable[[FoundFile], bool]:
    """Whether one of the first lines, without what stands before it, is such."""
    return lambda source: any(
        told(unprefixed(line))
        for line in source.head.decode("utf-8", "replace").splitlines()[:_FIRST_LINES]
    )


def _are_pods(source: FoundFile) -> bool:
    """Of an archive only the table of its pods is read, which has each on a line of its own."""
    return source.named and cluster.is_pods(source.head.decode("utf-8", "replace"))


def _row(
    name: str,
    told: Callable[[FoundFile], bool],
    read: Callable[[FoundFile, Gathered], None],
    begins: Callable[[str], bool] | None = None,
) -> FileForm:
    kind = Kind(begins, by_node=True) if begins else None
    return FileForm(name, told, read, kind=kind, beside=True)


CLUSTER: Final = (
    _row(_NODES, _in_head(cluster.is_nodes), _whole(cluster.read_nodes)),
    _row(_PODS, _are_pods, _whole(cluster.read_pods)),
    _row(
        _PODS,
        _in_first(cluster.is_pods_table),
        _text(cluster.read_pods_table),
        cluster.is_pods_table,
    ),
    _row(_LABELS, _in_head(cluster.is_identities_yaml), _whole(cluster.read_identities_yaml)),
    _row(_LABELS, _in_head(cluster.is_identities_json), _whole(cluster.read_identities_json)),
    _row(
        _LABELS,
        _in_first(cluster.is_identities),
        _text(cluster.read_identities),
        cluster.is_identities,
    ),
)
"""Every such form."""
