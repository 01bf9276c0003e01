"""Metrics, as Cilium's own tools print them."""

from __future__ import annotations

import pytest

from ctconsole.model.cilium.metrics import metrics_json, metrics_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.packets.reasons import file_name, reason_name
from tests.support.record_maps import table


def test_metrics_are_sorted_as_texts() -> None:
    rows = (
        {"reason": 0, "dir": 2, "count": 10, "bytes": 600},
        {"reason": 155, "dir": 1, "count": 1, "bytes": 60},
        {"reason": 0, "dir": 1, "count": 9, "bytes": 540},
    )
    one = table("cilium_metrics", *rows, since=Layout.V1_9)
    assert metrics_text(one, Layout.V1_9) == (
        "REASON                     DIRECTION   PACKETS   BYTES\n"
        "CT: Map insertion failed   INGRESS     1         60\n"
        "Success                    EGRESS      10        600\n"
        "Success                    INGRESS     9         540\n"
    )


def test_metrics_of_1_18_say_line_and_file() -> None:
    one = table("cilium_metrics", {"line": 53, "file": 1, "dir": 3}, since=Layout.V1_16)
    assert metrics_text(one, Layout.V1_18).splitlines()[1].split() == [
        *("Success", "SERVICE", "0", "0", "53", "bpf_host.c"),
    ]


@pytest.mark.parametrize(
    ("layout", "code", "shown"),
    [
        (Layout.V1_9, 136, "CT: Missing TCP ACK flag"),
        (Layout.V1_9, 161, "Failed to insert into proxymap"),
        (Layout.V1_9, 182, "182"),
        (Layout.V1_15, 136, "Fragmentation needed"),
        (Layout.V1_15, 198, "Rate limited"),
        (Layout.V1_14, 199, "199, 0"),
        (Layout.V1_13, 202, "202, 0"),
        (Layout.V1_14, 202, "Host datapath not ready"),
        (Layout.V1_10, 197, "197"),
        (Layout.V1_11, 197, "No node ID found"),
        (Layout.V1_16, 12, "12, 0"),
        (Layout.V1_17, 12, "Interface Decrypting"),
        (Layout.V1_17, 13, "Interface Encrypting"),
        (Layout.V1_17, 14, "14, 0"),
        (Layout.V1_16, 204, "No Egress IP configured"),
        (Layout.V1_16, 205, "205, 0"),
        (Layout.V1_19, 15, "MTU error message"),
        (Layout.V1_18, 206, "206, 0"),
        (Layout.V1_9, 11, "11"),
        (Layout.V1_10, 11, "Missed tail call to custom program"),
        (Layout.V1_10, 136, "Fragmentation needed"),
        (Layout.V1_11, 182, "VLAN traffic disallowed by VLAN filter"),
        (Layout.V1_13, 194, "No egress gateway found"),
        (Layout.V1_13, 190, "190, 0"),
        (Layout.V1_14, 190, "No conntrack map found"),
        (Layout.V1_19, 206, "206, 0"),
        (Layout.V1_20, 206, "No device"),
        (Layout.V1_20, 207, "207, 0"),
        (Layout.V1_19, 255, "255, 0"),
        (None, 207, "First logical datagram fragment not found from world"),
        (None, 255, "255"),
    ],
)
def test_reasons_have_the_words_of_their_release(
    layout: Layout | None, code: int, shown: str
) -> None:
    assert reason_name(code, layout) == shown


@pytest.mark.parametrize(
    ("layout", "code", "shown"),
    [
        (Layout.V1_16, 101, "arp.h"),
        (Layout.V1_17, 109, "conntrack.h"),
        (Layout.V1_18, 101, "arp.h"),
        (Layout.V1_18, 110, "local_delivery.h"),
        (Layout.V1_18, 6, "bpf_network.c"),
        (Layout.V1_19, 6, "bpf_network.c"),
        (Layout.V1_20, 6, "unknown(6)"),
        (Layout.V1_19, 101, "drop.h"),
        (Layout.V1_20, 115, "classifiers.h"),
        (Layout.V1_19, 116, "unknown(116)"),
    ],
)
def test_source_files_got_other_numbers_in_1_18_and_1_19(
    layout: Layout, code: int, shown: str
) -> None:
    assert file_name(code, layout) == shown


def test_a_direction_past_the_known_ones_is_unknown() -> None:
    one = table("cilium_metrics", {"dir": 5, "count": 1}, since=Layout.V1_16)
    assert metrics_text(one, Layout.V1_18).splitlines()[1].split()[1] == "UNKNOWN"


ROWS = (
    {"reason": 155, "dir": 1, "count": 1, "bytes": 60, "line": 53, "file": 108},
    {"reason": 0, "dir": 2, "count": 10, "bytes": 600, "line": 7, "file": 1},
    {"reason": 0, "dir": 2, "count": 5, "bytes": 300, "line": 9, "file": 1},
)


def test_json_of_1_9_shows_keys_and_values_as_texts() -> None:
    one = table("cilium_metrics", {"dir": 2, "count": 10, "bytes": 600}, since=Layout.V1_9)
    assert metrics_json(one, Layout.V1_9) == (
        '{\n  "reason:0 dir:2": [\n    "count:10 bytes:600"\n  ]\n}\n\n'
    )
    nothing = table("cilium_metrics", since=Layout.V1_9)
    assert metrics_json(nothing, Layout.V1_9) == "{}\n\n"


def test_json_of_1_18_says_where() -> None:
    assert metrics_json(table("cilium_metrics", *ROWS[:2], since=Layout.V1_16), Layout.V1_18) == (
        "[\n"
        "  {\n"
        '    "reason": "CT: Map insertion failed",\n'
        '    "direction": "ingress",\n'
        '    "packets": 1,\n'
        '    "bytes": 60,\n'
        '    "line": 53,\n'
        '    "file": "ipv4.h"\n'
        "  },\n"
        "  {\n"
        '    "reason": "Success",\n'
        '    "direction": "egress",\n'
        '    "packets": 10,\n'
        '    "bytes": 600,\n'
        '    "line": 7,\n'
        '    "file": "bpf_host.c"\n'
        "  }\n"
        "]\n\n"
    )


def test_json_of_1_15_adds_up_what_it_cannot_tell_apart() -> None:
    assert metrics_json(table("cilium_metrics", *ROWS[1:], since=Layout.V1_16), Layout.V1_15) == (
        "[\n"
        "  {\n"
        '    "reason": "Success",\n'
        '    "direction": "egress",\n'
        '    "packets": 15,\n'
        '    "bytes": 900\n'
        "  }\n"
        "]\n\n"
    )
