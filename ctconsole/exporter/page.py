"""A sample as text that Prometheus reads, in either of its forms."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector, CollectorRegistry

from ctconsole.exporter.families import FAMILIES, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import Metric

    from ctconsole.exporter.families import Family, Row
    from ctconsole.exporter.figures import NodeFigures

    Rows: TypeAlias = tuple[Row, ...]


class Exposition(Enum):
    """How metrics are written; the value is the Content-Type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_LATEST

    @classmethod
    def accepted(cls, header: str) -> Exposition:
        """What to answer a request that accepts this; text where it asks for nothing we have."""
        kinds = [part.split(";")[0].strip() for part in header.split(",")]
        return cls.OPENMETRICS if "application/openmetrics-text" in kinds else cls.TEXT


_END: Final = b"# EOF\n"
"""What ends the OpenMetrics form, and its parts when they are written one by one."""

_WRITERS: Final[Mapping[Exposition, Callable[[CollectorRegistry], bytes]]] = {
    Exposition.TEXT: plain_text,
    Exposition.OPENMETRICS: openmetrics_text,
}


class _Once(Collector):
    """One family of a sample.

    The library's own counters are not used: each of them brings a ``_created`` series.
    """

    def __init__(self, written: Metric) -> None:
        self._written = written

    def collect(self) -> Iterator[Metric]:
        yield self._written


def metric(family: Family, rows: Rows) -> Metric:
    """A family with its series.

    Numbers are written as floats, whole up to 2^53; nothing that is counted here comes near it.
    """
    kind = CounterMetricFamily if family.counter else GaugeMetricFamily
    found = kind(f"{NAMESPACE}_{family.name}", family.help, labels=family.labels)
    for labels, value in rows:
        found.add_metric(labels, float(value))
    return found


class Pages:
    """Writes one sample after the other; a family that says the same as before is not written anew.

    Most numbers of most maps do not change from sample to sample. For one thread at a time.
    """

    def __init__(self) -> None:
        self._written: dict[tuple[str, Exposition], tuple[Rows, bytes]] = {}

    def page(self, figures: NodeFigures, form: Exposition) -> bytes:
        """All metrics of a sample; a family without series still has its help and its type."""
        parts = [self._part(family, tuple(family.rows(figures)), form) for family in FAMILIES]
        if form is Exposition.OPENMETRICS:
            parts.append(_END)
        return b"".join(parts)

    def _part(self, family: Family, rows: Rows, form: Exposition) -> bytes:
        before = self._written.get((family.name, form))
        if before is not None and before[0] == rows:
            return before[1]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(metric(family, rows)))
        written = _WRITERS[form](registry).removesuffix(_END)
        self._written[family.name, form] = rows, written
        return written


def page(figures: NodeFigures, form: Exposition) -> bytes:
    """The page of a single sample."""
    return Pages().page(figures, form)
