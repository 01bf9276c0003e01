"""A sample as text that Prometheus reads, in either of its forms."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector, CollectorRegistry

from ctconsole.exporter.families import FAMILIES, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

    from ctconsole.exporter.families import Family
    from ctconsole.exporter.figures import NodeFigures


class Exposition(Enum):
    """How metrics are written; the value is the Content-Type."""

    TEXT = CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = CONTENT_TYPE_LATEST

    @classmethod
    def accepted(cls, header: str) -> Exposition:
        """What to answer a request that accepts this; text where it asks for nothing we have."""
        kinds = [part.split(";")[0].strip() for part in header.split(",")]
        return cls.OPENMETRICS if "application/openmetrics-text" in kinds else cls.TEXT


class _Sampled(Collector):
    """Families of one sample.

    The library's own counters are not used: each of them brings a ``_created`` series.
    """

    def __init__(self, figures: NodeFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield metric(family, family.rows(self._figures))


def metric(family: Family, rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """A family with its series.

    Numbers are written as floats, whole up to 2^53; nothing that is counted here comes near it.
    """
    kind = CounterMetricFamily if family.counter else GaugeMetricFamily
    found = kind(f"{NAMESPACE}_{family.name}", family.help, labels=family.labels)
    for labels, value in rows:
        found.add_metric(labels, float(value))
    return found


def page(figures: NodeFigures, form: Exposition) -> bytes:
    """All metrics of a sample; a family without series still has its help and its type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sampled(figures))
    write: Callable[[CollectorRegistry], bytes] = (
        openmetrics_text if form is Exposition.OPENMETRICS else plain_text
    )
    return write(registry)
