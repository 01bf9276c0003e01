"""Cilium's own listings, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.cilium.ct_json import render_json
from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.text import chunks
from tests.support.captures import FOLDERS, printed, tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ctconsole.model.ct.table import CtTable


def text(found: Iterable[CtTable], *, time_diff: bool = False) -> bytes:
    return b"".join(part for one in found for part in render_text(one, time_diff=time_diff))


def one_line(layout: Layout, **fields: int) -> str:
    """The text of the first captured entry with some fields of key and value changed."""
    table = tables("handmade-1.9")[0].take(slice(0, 1))
    keys, values = table.keys.copy(), table.values.view("u1").copy().view(tables_dtype(layout))
    for name, number in fields.items():
        target = keys if name in {"nexthdr", "key_flags"} else values
        target[name.removeprefix("key_")] = number
    return text([replace(table, layout=layout, keys=keys, values=values)]).decode()


def tables_dtype(layout: Layout) -> np.dtype[np.void]:
    from ctconsole.model.ct.layout import value_dtype

    return value_dtype(layout)


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_is_what_the_tool_printed(folder: str) -> None:
    assert text(tables(folder)) == printed(folder, "ct-list.txt")


@pytest.mark.parametrize(("folder", "now"), [("real-1.18-a", 1509), ("real-1.18-svc", 4325)])
def test_time_diff_is_what_the_tool_printed(folder: str, now: int) -> None:
    assert text(tables(folder, now=now), time_diff=True) == printed(folder, "ct-list-timediff.txt")


@pytest.mark.parametrize("folder", FOLDERS)
def test_json_is_what_the_tool_printed(folder: str) -> None:
    assert b"".join(render_json(tables(folder))) == printed(folder, "ct-list.json")


def test_json_of_no_entries() -> None:
    empty = tables("handmade-1.18")[0].take(slice(0, 0))
    assert b"".join(render_json([empty])) == b"[]\n\n"


def test_a_protocol_of_zero_is_left_out_of_the_text_only() -> None:
    assert one_line(Layout.V1_18, nexthdr=0) == "\n"
    table = tables("handmade-1.18")[0]
    keys = table.keys.copy()
    keys["nexthdr"][1] = 0
    nameless = replace(table, keys=keys)
    assert len(text([nameless]).splitlines()) == len(table)
    assert len(json.loads(b"".join(render_json([nameless])))) == len(table)


@pytest.mark.parametrize(
    ("layout", "number", "name"),
    [
        (Layout.V1_9, 58, "ICMPv6"),
        (Layout.V1_9, 132, "132"),
        (Layout.V1_18, 132, "SCTP"),
        (Layout.V1_18, 47, "47"),
    ],
)
def test_protocols(layout: Layout, number: int, name: str) -> None:
    assert one_line(layout, nexthdr=number).startswith(f"{name} IN ")


@pytest.mark.parametrize(
    ("layout", "flags", "shown"),
    [
        (Layout.V1_9, 0x0004, "Flags=0x0004 [ Nat64 ] "),
        (Layout.V1_9, 0x0181, "Flags=0x0181 [ RxClosing DSR Unknown=0x0100 ] "),
        (Layout.V1_18, 0x0180, "Flags=0x0180 [ DSRInternal FromL7LB ] "),
        (Layout.V1_18, 0x0200, "Flags=0x0200 [ ] "),
        (Layout.V1_18, 0xFC00, "Flags=0xfc00 [ FromTunnel Unknown=0xf800 ] "),
    ],
)
def test_flags(layout: Layout, flags: int, shown: str) -> None:
    assert shown in one_line(layout, flags=flags)


@pytest.mark.parametrize(
    ("layout", "flags", "start", "between"),
    [
        (Layout.V1_9, 4 | 1, "TCP IN 192.168.7.1:40000 -> 10.0.0.10:30080", " service expires="),
        (Layout.V1_9, 4 | 2, "TCP OUT 192.168.7.1:40000", " related service expires="),
        (Layout.V1_18, 4 | 2, "TCP SVC 10.0.0.10:30080 -> 192.168.7.1:40000", " related expires="),
    ],
)
def test_tuple_flags(layout: Layout, flags: int, start: str, between: str) -> None:
    line = one_line(layout, key_flags=flags)
    assert line.startswith(start)
    assert between in line


def test_largest_numbers() -> None:
    line = one_line(Layout.V1_9, rx_packets=2**64 - 1, lifetime=2**32 - 1, rx_flags_seen=255)
    assert "expires=4294967295 RxPackets=18446744073709551615 " in line
    assert "RxFlagsSeen=0xff " in line


@pytest.mark.parametrize("layout", Layout)
def test_chunks_on_several_threads_keep_the_order(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = replace(tables("handmade-1.9")[0], layout=layout)
    many = replace(
        table,
        keys=np.tile(table.keys, 50),
        values=np.tile(table.values, 50).view("u1").view(tables_dtype(layout)),
    )
    whole = text([many])
    as_json = b"".join(render_json([many]))
    monkeypatch.setattr(chunks, "CHUNK", 7)
    assert text([many]) == whole
    assert b"".join(render_json([many])) == as_json
    assert whole.count(b"\n") == 201
