"""What a Prometheus answers to a query, as the text of the metrics it was made of.

Sources: Prometheus' HTTP API (``/api/v1/query`` and ``query_range``); of a range the last value of
each series counts. Which agent a series is of stands in its labels, under names that differ with
the cluster.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from ctconsole.model.readers.agentjson import MOST_MEMORY, memory_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST: Final = 1 << 24
"""Bytes of an answer that is read; a thousand nodes with a hundred maps are some."""

_TYPE: Final = re.compile(rb'"resultType"\s*:\s*"(?:vector|matrix)"')
_OWNERS: Final = ("node", "nodename", "k8s_node_name", "kubernetes_node", "pod", "instance")
_LEFT_OUT: Final = frozenset({"__name__"})


def is_answer(head: bytes) -> bool:
    """Whether a text begins as an answer that holds series."""
    return head.lstrip()[:1] == b"{" and _TYPE.search(head[:4096]) is not None


def as_metrics(text: bytes) -> bytes | None:
    """An answer as text: the metrics of each agent below its name, one series a line.

    None where it cannot be read, or has no series with a name.
    """
    if memory_of(text) > MOST_MEMORY:
        return None
    try:
        document = json.loads(text)
        series = [*_series(document["data"]["result"])]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if not series:
        return None
    owners = dict.fromkeys(owner for owner, _ in series)
    lines: list[str] = []
    for owner in owners:
        if owner and len(owners) > 1:
            lines.append(f"==> {owner} <==")
        lines += [line for whose, line in series if whose == owner]
    return ("\n".join(lines) + "\n").encode()


def _series(result: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Each series that has a name: whose it is, and its line."""
    for one in result:
        labels = {str(name): str(value) for name, value in one["metric"].items()}
        name = labels.get("__name__")
        _, value = one["value"] if "value" in one else one["values"][-1]
        if not name:
            continue
        owner = next((labels[label] for label in _OWNERS if labels.get(label)), "")
        # Ours read a map's name as the first label, as agents print it.
        order = sorted(labels, key=lambda label: (label != "map_name", label))
        said = ",".join(
            f"{label}={json.dumps(labels[label], ensure_ascii=False)}"
            for label in order
            if label not in _LEFT_OUT
        )
        yield " ".join(owner.split()), f"{name}{{{said}}} {float(value):g}"
