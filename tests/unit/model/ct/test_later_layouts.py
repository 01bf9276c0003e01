"""The layouts of which no tool's output is at hand, by what their sources say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePath

import numpy as np
import pytest

from ctconsole.model.cilium.ct_json import render_json
from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.layout import KEY4, KEY6, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.spec import MapInfo, MapType

INFO = MapInfo(1, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 1024)


def table(layout: Layout, *, ipv6: bool = False, flags: int = 0, **fields: object) -> CtTable:
    """One TCP entry from 10.0.0.1:40000 to 10.0.0.2:80, or from fd00::1 to fd00::2."""
    keys = np.zeros(1, KEY6 if ipv6 else KEY4)
    for name, last in (("daddr", 1), ("saddr", 2)):
        keys[name] = [0xFD, *[0] * 14, last] if ipv6 else [10, 0, 0, last]
    keys["sport"], keys["dport"], keys["nexthdr"], keys["flags"] = 40000, 80, 6, flags
    values = np.zeros(1, value_dtype(layout))
    for name, number in fields.items():
        values[name] = number
    return CtTable(INFO, layout, keys, values, now=0, taken_at=0.0)


def text(one: CtTable) -> str:
    return b"".join(render_text(one)).decode()


def test_1_16_prints_the_interface_before_the_backend() -> None:
    one = text(table(Layout.V1_16, ifindex=7, packets=3, bytes=180))
    assert one == (
        "TCP OUT 10.0.0.1:40000 -> 10.0.0.2:80 expires=0 Packets=3 Bytes=180 RxFlagsSeen=0x00 "
        "LastRxReport=0 TxFlagsSeen=0x00 LastTxReport=0 Flags=0x0000 [ ] RevNAT=0 "
        "SourceSecurityID=0 IfIndex=7 BackendID=0 \n\n"
    )


@pytest.mark.parametrize("layout", [Layout.V1_19, Layout.V1_20])
def test_since_1_19_nat_port_is_printed_last(layout: Layout) -> None:
    one = text(table(layout, ipv6=True, nat_port=30080, backend_id=5))
    assert one.startswith("TCP OUT fd00::1:40000 -> fd00::2:80 expires=0 ")
    assert one.endswith(" BackendID=5 NatPort=30080 \n\n")


def test_1_13_names_a_flag_that_1_14_took_back() -> None:
    service = table(Layout.V1_13, flags=4)
    values = service.values.copy()
    values["flags"] = 0x0700
    one = text(replace(service, values=values))
    assert "Flags=0x0700 [ FromL7LB AuthRequired Unknown=0x0400 ] " in one
    assert one.startswith("TCP OUT ")
    assert " service expires=" in one


@pytest.mark.parametrize(
    ("layout", "shown"), [(Layout.V1_19, "10.0.0.1:"), (Layout.V1_20, "::ffff:10.0.0.1:")]
)
def test_1_20_marks_ipv4_addresses_in_ipv6_ones(layout: Layout, shown: str) -> None:
    one = table(layout, ipv6=True)
    keys = one.keys.copy()
    keys["daddr"] = [*[0] * 10, 255, 255, 10, 0, 0, 1]
    assert text(replace(one, keys=keys)).startswith(f"TCP OUT {shown}40000 -> fd00::2:80 ")


@pytest.mark.parametrize(
    ("layout", "flags", "shown"),
    [
        (Layout.V1_9, 0, "TCP OUT 10.0.0.2 80:40000 expires="),
        (Layout.V1_9, 1, "TCP IN 10.0.0.2 40000:80 expires="),
        (Layout.V1_14, 4, "TCP OUT 10.0.0.2 80:40000 service expires="),
        (Layout.V1_15, 4, "TCP SVC 10.0.0.1 80:40000 expires="),
        (Layout.V1_17, 3, "TCP IN 10.0.0.2 40000:80 related expires="),
        (Layout.V1_18, 0, "TCP OUT 10.0.0.1:40000 -> 10.0.0.2:80 expires="),
    ],
)
def test_the_table_of_a_single_endpoint_leaves_out_its_own_address_up_to_1_17(
    layout: Layout, flags: int, shown: str
) -> None:
    one = table(layout, flags=flags)
    one = replace(one, info=replace(one.info, pin=PurePath("cilium_ct4_00042")))
    assert text(one).startswith(shown)


def test_1_15_says_svc_and_names_the_flags_added_since_1_9() -> None:
    one = text(_flagged())
    assert "TCP SVC 10.0.0.2:80 -> 10.0.0.1:40000 " in one
    assert "Flags=0x0d80 [ DSR FromL7LB FromTunnel Unknown=0x0800 ] " in one
    assert one.endswith(" IfIndex=0 \n\n")


def _flagged() -> CtTable:
    service = table(Layout.V1_15, flags=4)
    values = service.values.copy()
    values["flags"] = 0x0D80
    return replace(service, values=values)


def test_1_19_json_shows_the_union_as_two_numbers() -> None:
    [entry] = json.loads(b"".join(render_json([table(Layout.V1_19, union0=[2, 9], nat_port=80)])))
    assert entry["Value"]["Union0"] == [2, 9]
    assert entry["Value"]["NatPort"] == 0x5000
    assert next(iter(entry["Value"])) == "Union0"


def test_a_few_addresses_among_silent_entries_are_1_19() -> None:
    values = np.zeros(20, value_dtype(Layout.V1_19))
    values["last_tx_report"] = values["last_rx_report"] = 9
    values["nat_addr"][0] = 7
    assert guess_layout(values).layout is Layout.V1_19
