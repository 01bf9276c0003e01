from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.model.listing.ct import (
    render_listing_csv,
    render_listing_json,
    render_listing_ndjson,
)
from ctconsole.model.listing.ct_table import render_listing_table
from ctconsole.model.listing.hex import render_hex
from tests.support.captures import FOLDERS, printed, tables

if TYPE_CHECKING:
    from collections.abc import Iterable

NOON = 1795427853.9  # 2026-11-23T09:57:33Z


def as_json(folder: str, *, now: int = 0, taken_at: float = 0.0) -> list[dict[str, Any]]:
    text = b"".join(render_listing_json(tables(folder, now=now, taken_at=taken_at)))
    found: list[dict[str, Any]] = json.loads(text)
    return found


def joined(parts: Iterable[memoryview]) -> str:
    return b"".join(parts).decode()


def test_a_service_entry_with_a_clock() -> None:
    assert as_json("real-1.18-svc", now=4325, taken_at=NOON)[0] == {
        "map": "cilium_ct4_global",
        "protocol": "TCP",
        "direction": "service",
        "related": False,
        "source": "10.244.1.8",
        "source_port": 37278,
        "destination": "10.96.0.10",
        "destination_port": 80,
        "state": "closing",
        "alive": True,
        "expires": "2026-11-23T09:57:43Z",
        "remaining_seconds": 10,
        "lifetime": 4335,
        "packets": 5,
        "bytes": 340,
        "flags": ["RxClosing", "TxClosing", "SeenNonSyn"],
        "rx_flags_seen": [],
        "tx_flags_seen": ["FIN", "SYN"],
        "last_rx_report": None,
        "last_tx_report": "2026-11-23T09:57:33Z",
        "rev_nat": 1,
        "backend_id": 1,
        "source_security_id": 0,
    }


def test_without_a_clock_nothing_is_claimed() -> None:
    first = as_json("handmade-1.9")[0]
    unknown = ("alive", "expires", "remaining_seconds", "last_rx_report")
    assert {first[name] for name in unknown} == {None}
    # What the dump says is kept: a stamp, where no clock makes a time of day of it.
    assert first["last_tx_report"] == 1059
    assert (first["lifetime"], first["rev_nat"], first["ifindex"]) == (1119, 258, 7)
    assert (first["packets"], first["rx_packets"], first["tx_packets"]) == (1, 0, 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_formats_say_the_same(folder: str) -> None:
    found = tables(folder, now=1509, taken_at=NOON)
    objects = as_json(folder, now=1509, taken_at=NOON)
    lines = joined(render_listing_ndjson(found)).splitlines()
    rows = list(csv.DictReader(io.StringIO(joined(render_listing_csv(found)))))
    assert [json.loads(line) for line in lines] == objects
    assert len(rows) == len(objects)
    for row, entry in zip(rows, objects, strict=True):
        assert list(row) == list(entry)
        assert row["source"] == entry["source"]
        assert row["flags"] == "|".join(entry["flags"])
        assert row["expires"] == (entry["expires"] or "")
    assert len(objects) == sum(line.count(b"->") for line in [printed(folder, "ct-list.txt")])


def test_nothing_at_all() -> None:
    assert joined(render_listing_json([])) == "[]\n"
    assert joined(render_listing_csv([])) == ""


def test_the_table_for_people_is_aligned() -> None:
    for folder in FOLDERS:
        for table in tables(folder, now=1509):
            heading, names, *lines, blank = joined(render_listing_table(table)).split("\n")[:-1]
            assert heading.startswith(f"{table.info.label}: {len(table)} ")
            assert blank == ""
            assert len(lines) == len(table)
            for line in lines:
                assert line[names.index("STATE") - 1] == " "
                assert line[names.index("STATE")].isalpha()
                assert line[names.index("FLAGS") - 3].isdigit()


def test_hexadecimal_of_unknown_entries() -> None:
    table = tables("handmade-1.9")[3]
    keys, values = (part.view("u1").reshape(1, -1)[:, :4] for part in (table.keys, table.values))
    assert joined(render_hex("cilium_x", keys, values)) == (
        "cilium_x: 1 entries, layout unknown\nkey fd 00 00 00  value 00 00 00 00\n\n"
    )
