"""Policy maps, as Cilium's own tools print them."""

from __future__ import annotations

import pytest

from ctconsole.model.cilium.policy import policies_json, policy_text
from ctconsole.model.ct.layout import Layout
from ctconsole.model.records.policy_counters import counted
from tests.support.record_maps import table


def test_policy_of_1_9() -> None:
    rows = (
        {"sec_label": 2, "egress": 1},
        {"sec_label": 104, "dport": 8080, "protocol": 6, "proxy_port": 15001, "packets": 2},
        {"sec_label": 1, "flags": 1},
    )
    assert policy_text(table("cilium_policy_00990", *rows), Layout.V1_9) == (
        "cilium_policy_00990:\n\n"
        "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   BYTES   PACKETS   \n"
        "Deny     Ingress     1          ANY          NONE         0       0         \n"
        "Allow    Ingress     104        8080/TCP     15001        0       2         \n"
        "Allow    Egress      2          ANY          NONE         0       0         \n"
        "\n\n"
    )


def test_policy_of_1_18_names_ranges_by_their_prefix() -> None:
    rows = (
        {"prefixlen": 40, "sec_label": 0},
        {"prefixlen": 58, "sec_label": 5, "protocol": 6, "dport": 8000, "auth_type": 1},
        {"prefixlen": 48, "sec_label": 6, "protocol": 17, "egress": 1},
    )
    lines = policy_text(table("cilium_policy_v2_00990", *rows), Layout.V1_18).splitlines()[3:6]
    assert [" ".join(line.split()) for line in lines] == [
        "POLICY DIRECTION IDENTITY PORT/PROTO PROXY PORT AUTH TYPE BYTES PACKETS PREFIX",
        "Allow Ingress 0 ANY NONE disabled - - 0",
        "Allow Ingress 5 8000-8063/TCP NONE spire - - 18",
    ]


def test_an_empty_policy_says_what_the_tool_says() -> None:
    assert "Policy stats empty." in policy_text(table("cilium_policy_00001"), Layout.V1_9)


WEB = {"prefixlen": 64, "sec_label": 5, "protocol": 6, "dport": 80}
ANY = {"prefixlen": 40, "sec_label": 2, "egress": 1}
STATISTICS = {"endpoint_id": 990, "prefix_len": 24, "sec_label": 5, "protocol": 6, "dport": 80}


def test_policy_of_1_18_joins_its_statistics() -> None:
    policy = table("cilium_policy_v2_00990", ANY, WEB | {"proxy_port": 15001, "auth_type": 0x81})
    statistics = table("cilium_policystats", STATISTICS | {"packets": 3, "bytes": 180})
    assert policy_text(counted(policy, statistics), Layout.V1_18) == (
        "Endpoint ID: 990\nPath: cilium_policy_v2_00990\n\n"
        "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS   "
        "PREFIX   \n"
        "Allow    Ingress     5          80/TCP       15001        spire       180     3         "
        "24       \n"
        "Allow    Egress      2          ANY          NONE         disabled    -       -         "
        "0        \n"
        "\n\n"
    )


def test_policy_of_1_19_ends_with_the_cookie() -> None:
    policy = table("cilium_policy_v3_00007", WEB | {"cookie": 77}, since=Layout.V1_19)
    assert policy_text(counted(policy, None), Layout.V1_19).splitlines()[3:5] == [
        (
            "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   "
            "PACKETS   PREFIX   COOKIE"
        ),
        (
            "Allow    Ingress     5          80/TCP       NONE         disabled    -       "
            "-         24       77"
        ),
    ]


def test_policy_of_1_16_counts_in_its_own_values() -> None:
    one = WEB | {"packets": 3, "bytes": 180, "auth_type": 0x81, "flags": 1}
    policy = table("cilium_policy_00990", one, since=Layout.V1_14)
    assert policy_text(policy, Layout.V1_16).splitlines()[3:5] == [
        (
            "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   AUTH TYPE               "
            "BYTES   PACKETS   PREFIX   "
        ),
        (
            "Deny     Ingress     5          80/TCP       NONE         Unknown-auth-type-129   "
            "180     3         24       "
        ),
    ]


@pytest.mark.parametrize(
    ("layout", "bits"), [(Layout.V1_16, 4294967295), (Layout.V1_17, 255), (Layout.V1_18, 255)]
)
def test_a_prefix_shorter_than_its_fixed_part_is_called_invalid(layout: Layout, bits: int) -> None:
    policy = table("cilium_policy_00990", WEB | {"prefixlen": 39}, since=Layout.V1_14)
    line = policy_text(policy, layout).splitlines()[4]
    assert f"<INVALID PREFIX LENGTH: {bits}>   " in line
    assert line.split()[-1] == str(bits)


def test_a_direction_that_is_none_is_unknown_and_comes_last() -> None:
    policy = table("cilium_policy_00990", {"sec_label": 1, "egress": 2}, {"sec_label": 9})
    lines = policy_text(policy, Layout.V1_9).splitlines()
    assert [line.split()[1:3] for line in lines[3:5]] == [["Ingress", "9"], ["Unknown", "1"]]


def test_json_of_1_9_stands_under_each_heading() -> None:
    one = {"sec_label": 104, "dport": 80, "protocol": 6, "proxy_port": 15001, "packets": 2}
    tables = [table("cilium_policy_00990", one), table("cilium_policy_00991")]
    assert policies_json(tables, Layout.V1_9) == (
        "cilium_policy_00990:\n\n"
        "[\n"
        "  {\n"
        '    "ProxyPort": 39226,\n'
        '    "Flags": 0,\n'
        '    "Pad0": 0,\n'
        '    "Pad1": 0,\n'
        '    "Pad2": 0,\n'
        '    "Packets": 2,\n'
        '    "Bytes": 0,\n'
        '    "Key": {\n'
        '      "Identity": 104,\n'
        '      "DestPort": 20480,\n'
        '      "Nexthdr": 6,\n'
        '      "TrafficDirection": 0\n'
        "    }\n"
        "  }\n"
        "]\n\n\n\n"
        "cilium_policy_00991:\n\n[]\n\n\n\n"
    )


def test_json_of_1_18_is_one_document() -> None:
    policy = table("cilium_policy_v2_00990", WEB | {"precedence": 9, "auth_type": 0x81})
    assert policies_json([counted(policy, None)], Layout.V1_18) == (
        "[\n"
        "  {\n"
        '    "EndpointID": "990",\n'
        '    "Path": "cilium_policy_v2_00990",\n'
        '    "Content": [\n'
        "      {\n"
        '        "ProxyPortNetwork": 0,\n'
        '        "Flags": 0,\n'
        '        "AuthRequirement": 129,\n'
        '        "ProxyPortPriority": 9,\n'
        '        "Pad1": 0,\n'
        '        "Pad2": 0,\n'
        '        "Packets": 18446744073709551615,\n'
        '        "Bytes": 18446744073709551615,\n'
        '        "Key": {\n'
        '          "Prefixlen": 64,\n'
        '          "Identity": 5,\n'
        '          "TrafficDirection": 0,\n'
        '          "Nexthdr": 6,\n'
        '          "DestPortNetwork": 20480\n'
        "        }\n"
        "      }\n"
        "    ]\n"
        "  }\n"
        "]\n\n"
    )


@pytest.mark.parametrize(
    ("name", "record", "layout", "fields"),
    [
        ("cilium_policy_00990", Layout.V1_14, Layout.V1_16, "AuthType Pad1 Pad2 Packets Bytes"),
        (
            "cilium_policy_00990",
            Layout.V1_14,
            Layout.V1_17,
            "AuthRequirement ProxyPortPriority Pad1 Pad2 Packets Bytes",
        ),
        (
            "cilium_policy_v2_00990",
            Layout.V1_19,
            Layout.V1_19,
            "AuthRequirement Precedence Cookie Packets Bytes",
        ),
    ],
)
def test_json_has_the_fields_of_its_release(
    name: str, record: Layout, layout: Layout, fields: str
) -> None:
    text = policies_json([table(name, WEB, since=record)], layout)
    shown = [line.split('"')[1] for line in text.splitlines() if line.startswith(" " * 8 + '"')]
    assert shown == ["ProxyPortNetwork", "Flags", *fields.split(), "Key"]
