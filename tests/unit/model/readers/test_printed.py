"""Lists of the tool as they reach us: cut, of several hosts, with what nobody expects in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.model.readers.lines import Sort, whose_section
from ctconsole.model.readers.printed import Printed, read_printed
from ctconsole.model.readers.printed_lists import LISTS
from ctconsole.model.records.spec import RecordKind
from ctconsole.observe.offline import read_offline
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

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


RANGES = "SOURCE RANGE\n2001:db8::/32 (1)\n64:ff9b::/96 (2)\n10.0.0.0/8 (1)\n"


def prefixes(text: str) -> list[object]:
    return [row["prefix"] for row in read("the tool's list of source ranges", text)[0].rows]


def test_an_address_that_begins_with_digits_is_no_number_of_a_line() -> None:
    whole = ["2001:db8::/32", "64:ff9b::/96", "10.0.0.0/8"]
    assert prefixes(RANGES) == whole
    lines = RANGES.splitlines()
    assert prefixes("".join(f"some/a.txt:{line}\n" for line in lines)) == whole
    numbered = [f"{number}:{line}\n" for number, line in enumerate(lines, start=1)]
    assert prefixes("".join(numbered)) == whole
    assert prefixes("".join(numbered[1:3])) == whole[:2]
    assert prefixes("".join(f"a.txt:{line}" for line in numbered)) == whole


def test_a_backend_of_another_cluster_is_read_with_it() -> None:
    [found] = read(
        "the tool's list of services",
        "SERVICE ADDRESS              BACKEND ADDRESS (REVNAT_ID) (SLOT)\n"
        "10.96.0.12:80/TCP (1)        10.5.5.10:8080/TCP (1) (1)\n"
        "10.96.0.40:5353/TCP (12)     10.5.5.12@3:8082/SCTP (506) (12)\n"
        "[fd00:96::1f]:30000/UDP (1)  [fd00:5::c@3]:8082/SCTP (300) (1)\n",
    )
    assert not found.told
    said = [(row["address"], row["backend_address"], row["backend_cluster"]) for row in found.rows]
    assert said == [
        ("10.96.0.12", "10.5.5.10", None),
        ("10.96.0.40", "10.5.5.12", 3),
        ("fd00:96::1f", "fd00:5::c", 3),
    ]


def test_a_row_of_services_that_is_not_understood_is_no_backend_of_the_row_before() -> None:
    [found] = read(
        "the tool's list of services",
        "SERVICE ADDRESS              BACKEND ADDRESS (REVNAT_ID) (SLOT)\n"
        "10.96.0.12:80/TCP (1)        10.5.5.10:8080/TCP (1) (1)\n"
        "10.96.0.40:5353/TCP (12)     10.5.5.12%eth0:8082/SCTP (506) (12)\n",
    )
    assert len(found.rows) == 1
    assert [one.sort for one in found.told] == [Sort.DAMAGE]


def test_a_slot_that_stands_above_holds_for_the_rows_below_it() -> None:
    [found] = read(
        "the tool's list of services by slot",
        "SERVICE ADDRESS             BACKEND ID\n"
        "10.96.0.40:5353 (9)         5 0 (506) [0x40 0x0]\n"
        "                            103 0 (517) [0x40 0x40]\n",
    )
    assert [(row["port"], row["slot"]) for row in found.rows] == [(5353, 9), (5353, 9)]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("7", "TCP", "15001"), ("7", None, "TCP", 15001)),
        (("0", "ANY", "NONE"), ("0", None, None, None)),
        (("42", "80/ANY", "NONE"), ("42", "80", "ANY", None)),
        (("10", "112", "NONE"), ("10", None, "112", None)),
    ],
)
def test_a_rule_for_a_whole_protocol_is_read_by_its_columns(
    cells: tuple[str, ...], said: tuple[object, ...]
) -> None:
    identity, port, proxy = cells
    [found] = read(
        "the tool's list of an endpoint's policy",
        "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS\n"
        f"Allow    Ingress     {identity}          {port}          {proxy}         disabled"
        "    63      9000      8\n",
    )
    [row] = found.rows
    assert (row["labels"], row["port"], row["protocol"], row["proxy_port"]) == (
        [said[0]],
        *said[1:],
    )
    assert (row["auth_type"], row["bytes"], row["packets"]) == ("disabled", 63, 9000)


ALONE = [
    (release, name, kind)
    for release in ("1.12", "1.16-rc", "1.18.3")
    for name, kind in (
        ("ipcache", RecordKind.IPCACHE),
        ("endpoint", RecordKind.ENDPOINT),
        ("policy", RecordKind.POLICY),
        ("metrics", RecordKind.METRICS),
        ("lb", RecordKind.SERVICE),
        ("lb-frontends", RecordKind.SERVICE),
        ("lb-backends", RecordKind.BACKEND),
    )
    if (CAPTURES / release / "tool" / f"{name}.txt").exists()
]


@pytest.mark.parametrize(("release", "name", "kind"), ALONE)
def test_rows_that_can_be_nothing_else_need_no_title(
    release: str, name: str, kind: RecordKind, tmp_path: Path
) -> None:
    whole = CAPTURES / release / "tool" / f"{name}.txt"
    titled = [row for one in read_offline([whole]).printed for row in one.rows]
    for before in ("", "{}:", "list.txt:", "list.txt:{}:", "list.txt-{}-", "> "):
        lines = [
            line
            for line in whole.read_text("utf-8").splitlines()
            if not any(one.heading and one.heading.match(line) for one in LISTS)
        ]
        file = tmp_path / "grepped"
        file.write_text(
            "".join(f"{before.format(number)}{line}\n" for number, line in enumerate(lines, 77))
        )
        found = read_offline([file])
        assert {one.kind for one in found.printed} == {kind}
        rows = [row for one in found.printed for row in one.rows]
        assert rows == titled
        assert {one.whose.name for one in found.printed if one.rows} <= {"", "list.txt"}


@pytest.mark.parametrize(
    "line",
    ["1   10.96.0.1:80", "10.0.0.0/8 (1)", "10.0.0.1:0   (localhost)", "10.1.0.1/32   2 0 0.0.0.0"],
)
def test_a_row_that_could_be_something_else_is_told(line: str, tmp_path: Path) -> None:
    file = tmp_path / "grepped"
    file.write_text(f"{line}\n")
    found = read_offline([file])
    assert found.printed == ()
    assert f"holds nothing that is known: it begins with {line!r}" in found.problems[0]


def test_a_row_among_other_lines_of_a_chat_is_read(tmp_path: Path) -> None:
    file = tmp_path / "chat"
    file.write_text(
        "look what I found\n"
        "10.0.1.14/32   identity=31244 encryptkey=0 tunnelendpoint=10.5.2.102 flags=hastunnel\n"
        "that identity is not ours\n"
    )
    found = read_offline([file])
    [one] = found.printed
    assert [row["identity"] for row in one.rows] == [31244]
    assert [told.number for told in one.told] == [1, 3]
