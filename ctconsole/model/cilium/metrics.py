"""What ``cilium bpf metrics list`` prints.

Sources: ``cilium/cmd/bpf_metrics_list.go`` (1.9) and ``cilium-dbg/cmd/bpf_metrics_list.go`` (1.15
to 1.19), ``pkg/maps/metricsmap``; Cilium's pull request 13731 shows the JSON of 1.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ctconsole.model.cilium.lists import go_json
from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.packets.reasons import direction_name, file_name, reason_name
from ctconsole.model.text.tabwriter import aligned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.records.table import RecordTable


class _Metric(NamedTuple):
    reason: str
    direction: str
    packets: int
    bytes: int
    line: int
    file: str


def metrics_text(table: RecordTable, layout: Layout) -> str:
    """The table: sorted as texts; source lines since 1.16."""
    places = since(layout, Layout.V1_16)
    titles = ["REASON", "DIRECTION", "PACKETS", "BYTES", *(["LINE", "FILE"] if places else [])]
    found = _metrics(table, layout)
    if since(layout, Layout.V1_10) and not since(layout, Layout.V1_15):
        # They print both counters with a sign.
        found = (
            one._replace(packets=_signed(one.packets), bytes=_signed(one.bytes)) for one in found
        )
    rows = sorted([str(cell) for cell in metric] for metric in found)
    return aligned([titles, *(row[: len(titles)] for row in rows)])


def metrics_json(table: RecordTable, layout: Layout) -> str:
    """The JSON: 1.9 shows keys and values as texts, later ones objects in no order.

    1.10 to 1.14 put the directions of a reason together; of several that have no name the last
    one counts.

    Metrics that a release cannot tell apart, because it knows fewer fields of the key, are added
    up.
    """
    if layout is Layout.V1_9:
        texts = {
            f"reason:{key['reason']} dir:{key['dir']}": [
                f"count:{value['count']} bytes:{value['bytes']}"
            ]
            for key, value in _rows(table)
        }
        return go_json(dict(sorted(texts.items())))
    if not since(layout, Layout.V1_15):
        return go_json(_by_reason(table, layout))
    places = since(layout, Layout.V1_16)
    sums: dict[tuple[str, str, int, str], tuple[int, int]] = {}
    for metric in sorted(_metrics(table, layout)):
        place = (metric.line, metric.file) if places else (0, "")
        name = (metric.reason, metric.direction.lower(), *place)
        packets, octets = sums.get(name, (0, 0))
        sums[name] = (packets + metric.packets, octets + metric.bytes)
    names = ("reason", "direction", "packets", "bytes", *(["line", "file"] if places else []))
    rows = ((*name[:2], *counts, *name[2:]) for name, counts in sums.items())
    return go_json([dict(zip(names, row, strict=False)) for row in rows])


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _by_reason(table: RecordTable, layout: Layout) -> list[dict[str, object]]:
    found: dict[int, dict[str, dict[str, int]]] = {}
    for key, value in sorted(_rows(table), key=_reason_and_direction):
        direction = direction_name(int(key["dir"])).lower()
        counts = {"packets": int(value["count"]), "bytes": int(value["bytes"])}
        found.setdefault(int(key["reason"]), {})[direction] = counts
    return [
        {"reason": code, "description": reason_name(code, layout), "values": values}
        for code, values in sorted(found.items())
    ]


def _reason_and_direction(row: tuple[Any, Any]) -> tuple[int, int]:
    return int(row[0]["reason"]), int(row[0]["dir"])


def _rows(table: RecordTable) -> Iterator[tuple[Any, Any]]:
    return zip(table.keys, table.values, strict=True)


def _metrics(table: RecordTable, layout: Layout) -> Iterator[_Metric]:
    for key, value in _rows(table):
        line, file = (key["line"], key["file"]) if "line" in key.dtype.names else (0, 0)
        yield _Metric(
            reason_name(int(key["reason"]), layout),
            direction_name(int(key["dir"])),
            int(value["count"]),
            int(value["bytes"]),
            int(line),
            file_name(int(file), layout),
        )
