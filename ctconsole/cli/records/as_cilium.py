"""Which of Cilium's own renderings a list has."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.errors import UsageError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.model.cilium.services import ServiceView
    from ctconsole.model.records.table import RecordTable


def as_cilium(
    tables: Sequence[RecordTable], layout: Layout, *, as_json: bool, view: ServiceView | None = None
) -> Iterator[memoryview]:
    """What that version's own tool prints for these maps.

    Args:
        tables: the maps.
        layout: the release.
        as_json: whether with ``-o json``.
        view: the flag of ``lb list``.

    Raises:
        UsageError: the text needs the node's clock, and it is not known; or the tool has no
            such view.
    """
    kinds = {table.kind for table in tables}
    if RecordKind.NAT in kinds:
        yield from _nat(tables, layout, as_json=as_json)
    elif RecordKind.IPCACHE in kinds:
        yield from _ipcache(tables, layout, as_json=as_json)
    elif RecordKind.METRICS in kinds:
        yield memoryview(_metrics(tables, layout, as_json=as_json).encode())
    elif RecordKind.POLICY in kinds or RecordKind.POLICY_STATS in kinds:
        yield memoryview(_policies(tables, layout, as_json=as_json).encode())
    elif RecordKind.ENDPOINT in kinds:
        yield memoryview(_endpoints(tables, layout, as_json=as_json).encode())
    else:
        yield memoryview(_services(tables, layout, view, as_json=as_json).encode())


def _nat(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> Iterator[memoryview]:
    from ctconsole.model.cilium.nat import nat_json, nat_text

    # The tool lists the maps of other clusters only when asked for one of them.
    tables = [table for table in tables if "per_cluster" not in table.info.label]
    if as_json:
        yield from nat_json(tables, layout)
        return
    if any(not table.now and len(table) for table in tables):
        raise UsageError(
            "This list tells ages, and the files do not tell the clock they were written at",
            hint="Give it with --now",
        )
    for table in tables:
        yield from nat_text(table, layout)


def _ipcache(
    tables: Sequence[RecordTable], layout: Layout, *, as_json: bool
) -> Iterator[memoryview]:
    from ctconsole.model.cilium.ipcache import ipcache_entries, ipcache_text
    from ctconsole.model.cilium.lists import go_json

    if as_json:
        found = dict(chain.from_iterable(ipcache_entries(one, layout).items() for one in tables))
        yield memoryview(go_json(found).encode())
        return
    for table in tables:
        if len(table):
            yield from ipcache_text(table, layout)
        else:
            message("No entries found.")


def _metrics(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> str:
    from ctconsole.model.cilium.metrics import metrics_json, metrics_text

    if not any(map(len, tables)) and not (as_json and layout is Layout.V1_9):
        message("No entries found.")
        return ""
    render = metrics_json if as_json else metrics_text
    return "".join(render(table, layout) for table in tables)


def _policies(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> str:
    from ctconsole.model.cilium.policy import policies_json, policy_text

    policies = [table for table in tables if table.kind is RecordKind.POLICY]
    if as_json:
        return policies_json(policies, layout)
    return "".join(policy_text(table, layout) for table in policies)


def _endpoints(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> str:
    from ctconsole.model.cilium.lists import endpoints, endpoints_text, go_json

    if as_json:
        found = chain.from_iterable(endpoints(one, layout).items() for one in tables)
        return go_json(dict(found))
    return "".join(endpoints_text(table, layout) for table in tables)


def _services(
    tables: Sequence[RecordTable], layout: Layout, view: ServiceView | None, *, as_json: bool
) -> str:
    from ctconsole.model.cilium.lists import go_json
    from ctconsole.model.cilium.services import services, services_text

    if as_json:
        return go_json(services(tables, layout, view))
    return services_text(tables, layout, view)
