"""Which of Cilium's own renderings a list has."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.errors import UsageError
from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.records.spec import RecordKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ctconsole.model.cilium.services import ServiceView
    from ctconsole.model.records.table import RecordTable


@dataclass(frozen=True, slots=True)
class Rendering:
    """How a list is printed.

    Attributes:
        kinds: the maps it is of.
        layout: the release.
        as_json: whether with ``-o json``.
        view: the flag of ``lb list``.
        labels: what is known of identities; None for ``policy get --numeric``.
    """

    kinds: Collection[RecordKind]
    layout: Layout
    as_json: bool
    view: ServiceView | None = None
    labels: Mapping[int, Sequence[str]] | None = None


def as_cilium(tables: Sequence[RecordTable], how: Rendering) -> Iterator[memoryview]:
    """What that version's own tool prints for these maps.

    Args:
        tables: the maps; there may be none, of which the tool says what it says.
        how: what to print.

    Raises:
        UsageError: the text needs the node's clock, and it is not known; or the tool has no
            such view.
    """
    if RecordKind.NAT in how.kinds:
        yield from _nat(tables, how.layout, as_json=how.as_json)
    elif RecordKind.IPCACHE in how.kinds:
        yield from _ipcache(tables, how.layout, as_json=how.as_json)
    elif RecordKind.METRICS in how.kinds:
        yield memoryview(_metrics(tables, how.layout, as_json=how.as_json).encode())
    elif RecordKind.POLICY in how.kinds:
        yield memoryview(_policies(tables, how).encode())
    elif RecordKind.ENDPOINT in how.kinds:
        yield memoryview(_endpoints(tables, how.layout, as_json=how.as_json).encode())
    else:
        yield memoryview(_services(tables, how).encode())


def _nat(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> Iterator[memoryview]:
    from ctconsole.model.cilium.nat import nat_json, nat_text, repeats_entry

    # The tool lists the maps of other clusters only when asked for one of them.
    tables = [table for table in tables if "per_cluster" not in table.info.label]
    if as_json:
        if repeats_entry(layout) and any(map(len, tables)):
            message(
                f"Cilium {layout}'s JSON shows each map's last entry in the place of all, and so "
                "does this; --output json shows the right ones"
            )
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

    # Up to 1.13 the JSON of no entries is an empty one.
    if not any(map(len, tables)) and (not as_json or since(layout, Layout.V1_14)):
        message("No entries found.")
        return ""
    render = metrics_json if as_json else metrics_text
    return "".join(render(table, layout) for table in tables)


def _policies(tables: Sequence[RecordTable], how: Rendering) -> str:
    from ctconsole.model.cilium.policy import NO_MAPS, policies_json, policy_text, says_no_maps

    policies = [table for table in tables if table.kind is RecordKind.POLICY]
    if not policies:
        return NO_MAPS if says_no_maps(how.layout) else ""
    if how.as_json:
        return policies_json(policies, how.layout)
    return "".join(policy_text(table, how.layout, how.labels) for table in policies)


def _endpoints(tables: Sequence[RecordTable], layout: Layout, *, as_json: bool) -> str:
    from ctconsole.model.cilium.lists import endpoints, endpoints_text, go_json

    if as_json:
        found = chain.from_iterable(endpoints(one, layout).items() for one in tables)
        return go_json(dict(found))
    return "".join(endpoints_text(table, layout) for table in tables)


def _services(tables: Sequence[RecordTable], how: Rendering) -> str:
    from ctconsole.model.cilium.lists import go_json
    from ctconsole.model.cilium.services import services, services_text

    if how.as_json:
        return go_json(services(tables, how.layout, how.view))
    return services_text(tables, how.layout, how.view)
