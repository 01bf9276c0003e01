"""Which of Cilium's own renderings a list has."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.errors import UsageError
from ctconsole.model.record_spec import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.model.layout import Layout
    from ctconsole.model.records import RecordTable


def as_cilium(
    tables: Sequence[RecordTable], layout: Layout, *, as_json: bool
) -> Iterator[memoryview]:
    """What that version's own tool prints for these maps.

    Raises:
        UsageError: the text needs the node's clock, and it is not known.
    """
    kinds = {table.kind for table in tables}
    if Kind.NAT in kinds:
        yield from _nat(tables, layout, as_json=as_json)
    elif Kind.IPCACHE in kinds:
        yield from _ipcache(tables, layout, as_json=as_json)
    else:
        yield memoryview(_text(tables, kinds, layout, as_json=as_json).encode())


def _nat(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> Iterator[memoryview]:
    from ctconsole.model.cilium_nat import nat_json, nat_text

    if as_json:
        yield from nat_json(tables, layout)
        return
    if any(not table.now and len(table) for table in tables):
        raise UsageError(
            "A dump does not tell the time, which this list shows", hint="Give it with --now"
        )
    for table in tables:
        yield from nat_text(table, layout)


def _ipcache(
    tables: Sequence[RecordTable], layout: Layout, *, as_json: bool
) -> Iterator[memoryview]:
    from ctconsole.model.cilium_ipcache import ipcache_entries, ipcache_text
    from ctconsole.model.cilium_lists import go_json

    if as_json:
        found = dict(chain.from_iterable(ipcache_entries(one, layout).items() for one in tables))
        yield memoryview(go_json(found).encode())
        return
    for table in tables:
        if len(table):
            yield from ipcache_text(table, layout)
        else:
            message("No entries found.")


def _text(tables: Sequence[RecordTable], kinds: set[Kind], layout: Layout, *, as_json: bool) -> str:
    from ctconsole.model import cilium_lists as lists

    if Kind.ENDPOINT in kinds or Kind.SERVICE in kinds or Kind.BACKEND in kinds:
        return _addresses(tables, kinds, layout, as_json=as_json)
    if Kind.METRICS in kinds and not any(map(len, tables)):
        message("No entries found.")
        return ""
    if Kind.METRICS in kinds:
        return "".join(lists.metrics_text(table, layout) for table in tables)
    policies = (table for table in tables if table.kind is Kind.POLICY)
    return "".join(lists.policy_text(table, layout) for table in policies)


def _addresses(
    tables: Sequence[RecordTable], kinds: set[Kind], layout: Layout, *, as_json: bool
) -> str:
    from ctconsole.model import cilium_lists as lists

    if Kind.ENDPOINT not in kinds:
        if as_json:
            return lists.go_json(lists.services(tables, layout))
        return lists.services_text(tables, layout)
    if as_json:
        found = chain.from_iterable(lists.endpoints(one, layout).items() for one in tables)
        return lists.go_json(dict(found))
    return "".join(lists.endpoints_text(table, layout) for table in tables)
