"""Lists of the tool as they reach us: cut, of several hosts, with what nobody expects in them."""

from __future__ import annotations

import pytest

from ctconsole.model.readers.lines import Sort, whose_section
from ctconsole.model.readers.printed import Printed, read_printed
from ctconsole.model.readers.printed_lists import LISTS

NAT = (
    "TCP OUT 10.0.0.1:4000 -> 10.0.0.9:80 XLATE_SRC 10.1.0.3:40000 Created=35sec ago NeedsCT=1\n"
    "TCP IN [fd00::9]:80 -> [fd00::1]:4000 XLATE_DST [fd00:10::e]:4000 Created=5sec ago NeedsCT=0\n"
)


def read(title: str, text: str) -> list[Printed]:
    [one] = [one for one in LISTS if one.title == title]
    return read_printed([text.encode()], one, "a.txt")


def rows_and_told(text: str) -> tuple[int, int]:
    [found] = read("the tool's NAT listing", text)
    assert all(one.sort is Sort.DAMAGE for one in found.told)
    return len(found.rows), len(found.told)


def test_a_row_that_is_cut_is_told_wherever_it_is_cut() -> None:
    first, last = NAT.splitlines(keepends=True)
    assert rows_and_told(NAT) == (2, 0)
    # Before it has an address, a line is a remark.
    for end in range(len("TCP IN [fd00::9]:80 -> ["), len(last) - 2):
        assert rows_and_told(first + last[:end]) == (1, 1), last[:end]
        assert rows_and_told(last[:end] + "\n" + first) == (1, 1), last[:end]


def test_a_row_that_goes_on_below_is_whole() -> None:
    first, last = NAT.splitlines(keepends=True)
    for end in (40, 60, len(last) - 14):
        assert rows_and_told(first + last[:end] + "\n" + last[end:]) == (2, 0), last[:end]


def test_releases_that_end_their_rows_earlier_are_read() -> None:
    old = "TCP OUT 10.0.0.1:4000 -> 10.0.0.9:80 XLATE_SRC 10.1.0.3:40000\n"
    assert rows_and_told(old + old.replace("4000", "4001")) == (2, 0)


def test_a_title_with_a_host_before_it_says_that_all_lines_have_one() -> None:
    rows = (
        "SERVICE ADDRESS     BACKEND ADDRESS (REVNAT_ID) (SLOT)",
        "10.96.0.1:443 (1)   10.0.0.5:6443 (1) (1)",
    )
    hosts = "".join(f"node-{host}: {line}\n" for host in "ab" for line in rows)
    found = read("the tool's list of services", hosts)
    assert [(one.whose.name, len(one.rows), one.told) for one in found] == [
        ("node-a", 1, ()),
        ("node-b", 1, ()),
    ]


def test_a_rule_of_a_direction_that_the_tool_does_not_know_is_a_rule() -> None:
    [found] = read(
        "the tool's list of an endpoint's policy",
        "POLICY   DIRECTION   LABELS   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS\n"
        "Allow    Unknown     42       80/TCP       NONE         disabled    7       8\n",
    )
    assert [row["direction"] for row in found.rows] == ["unknown"]
    assert not found.told


@pytest.mark.parametrize(
    ("line", "node"),
    [
        ("node-a | CHANGED | rc=0 >>", "node-a"),
        ("10.0.0.7 | FAILED | rc=1 >>", "10.0.0.7"),
        ("[3] 10:11:12 [SUCCESS] root@node-b", "node-b"),
        ("[12] 10:11:12 [FAILURE] node-c Exited with error code 1", "node-c"),
        ("| node | CHANGED |", ""),
    ],
)
def test_what_runs_a_command_on_many_nodes_names_them(line: str, node: str) -> None:
    assert whose_section(line).node == node


@pytest.mark.parametrize("node", ["", " nodeid=3", " nodeid=0x1f"])
def test_the_ipcache_of_every_patch_is_read(node: str) -> None:
    [found] = read(
        "the tool's ipcache listing",
        "IP PREFIX/ADDRESS   IDENTITY\n"
        f"10.0.0.7/32         identity=4 encryptkey=0 tunnelendpoint=10.1.0.2{node}   \n"
        "10.0.0.8/32         identity=4 encryptkey=0 tunnelendpoint=10.1.\n",
    )
    assert [(row["identity"], row["tunnel_endpoint"]) for row in found.rows] == [(4, "10.1.0.2")]
    assert [one.sort for one in found.told] == [Sort.DAMAGE]
