"""Lists that the tool prints as JSON, held against its text and against the maps they are of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.readers import documents, nat_items, policy_items, tool_json
from ctconsole.model.readers.lines import Sort
from ctconsole.model.readers.printed import read_printed
from ctconsole.model.readers.printed_lists import LISTS
from ctconsole.model.records.spec import RecordKind
from tests.support.captures import CAPTURES, dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ctconsole.model.readers.printed import Printed
    from ctconsole.model.readers.tool_json import PairList

HELD = [
    (release, name)
    for release in ("1.12", "1.16-rc", "1.18.3")
    for name in (
        *("lb", "lb-revnat", "lb-frontends", "lb-backends", "lb-source-ranges"),
        *("ipcache", "endpoint", "policy"),
    )
    if (CAPTURES / release / "tool" / f"{name}.json").exists()
]


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


def pairs_of(text: str) -> PairList:
    [found] = [one for one in tool_json.PAIRS if tool_json.is_pairs(text, one)]
    return found


def read(text: bytes, size: int = 1 << 20) -> list[Printed]:
    if policy_items.is_policies(text.decode()):
        return tool_json.read_policies(pieces(text, size), "a.json")
    return tool_json.read_pairs(pieces(text, size), pairs_of(text.decode()), "a.json")


def rows(lists: Iterable[Printed]) -> list[str]:
    """Every row as the list's columns say it, in an order of their own.

    Numbers have no release, in which a protocol may not have a name yet.
    """
    numbers = {"2": "IGMP", "112": "VRRP"}
    return sorted(
        json.dumps({name: numbers.get(str(row.get(name)), row.get(name)) for name in one.columns})
        if one.kind is RecordKind.POLICY
        else json.dumps({name: row.get(name) for name in one.columns})
        for one in lists
        for row in one.rows
    )


@pytest.mark.parametrize(("release", "name"), HELD)
def test_the_json_of_a_list_says_what_its_text_does(release: str, name: str) -> None:
    folder = CAPTURES / release / "tool"
    text, other = (folder / f"{name}.{end}" for end in ("txt", "json"))
    one = next(one for one in LISTS if one.head.search(text.read_text()))
    printed = read_printed([text.read_bytes()], one, "a.txt")
    assert all("Policy stats empty" in one.text for one in printed[0].told)
    for size in (1 << 20, 1000):
        found = read(other.read_bytes(), size)
        assert rows(found) == rows(printed)
        assert not found[0].told


@pytest.mark.parametrize("release", ["1.12", "1.16-rc", "1.18.3"])
def test_the_json_of_metrics_has_what_the_text_has(release: str) -> None:
    """The tool itself puts together what it has no name for, and 1.12 its text has signs."""
    folder = CAPTURES / release / "tool"
    one = next(one for one in LISTS if one.head.search((folder / "metrics.txt").read_text()))
    printed = read_printed([(folder / "metrics.txt").read_bytes()], one, "a.txt")
    text = (folder / "metrics.json").read_bytes()
    assert tool_json.is_metrics(text.decode())
    found = tool_json.read_metrics([text], "a.json")
    unknown = '"reason": "1, 0"', '"direction": "unknown"'
    told = {
        row
        for row in rows(found)
        if not any(word in row for word in unknown) and json.loads(row)["packets"] < 1 << 63
    }
    assert len(told) > 50
    assert told <= set(rows(printed))


def test_metrics_of_the_first_release_are_keys_and_values() -> None:
    text = b'{\n  "reason:133 dir:2": [\n    "count:7 bytes:70"\n  ]\n}\n'
    [found] = read(text)
    assert [row["reason"] for row in found.rows] == ["Policy denied"]
    assert [row["packets"] for row in found.rows] == [7]


@pytest.mark.parametrize("release", ["1.16-rc", "1.18.3"])
def test_translations_in_json_are_the_bytes_of_their_maps(release: str) -> None:
    text = (CAPTURES / release / "tool" / "nat.json").read_bytes()
    assert nat_items.is_nat(text.decode())
    read = nat_items.read_nat_items(documents.stream(pieces(text, 1000)))
    for (_, name), (keys, values) in read.maps.items():
        held = dump(CAPTURES / release / "dump" / f"{name}.json")
        theirs = {
            key.tobytes() + value.tobytes()
            for key, value in zip(held.keys, held.values, strict=True)
        }
        assert {
            key.tobytes() + value.tobytes() for key, value in zip(keys, values, strict=True)
        } == theirs
    assert len(read.maps) == 2
    assert (read.bad, read.told) == (0, ())


def test_a_translation_that_is_cut_is_told() -> None:
    text = (CAPTURES / "1.18.3" / "tool" / "nat.json").read_bytes()
    cut = text[: text.rindex(b'"Addr"')]
    read = nat_items.read_nat_items(documents.stream([cut]))
    assert read.found == 73
    assert [one.sort for one in read.told if one.sort is Sort.DAMAGE]


def test_a_list_that_is_cut_or_damaged_is_told_line_by_line() -> None:
    text = (CAPTURES / "1.18.3" / "tool" / "ipcache.json").read_text()
    whole = len(read(text.encode())[0].rows)
    [found] = read(text[: text.rindex("tunnelendpoint")].encode())
    assert len(found.rows) == whole - 1
    assert any(one.reason == "no JSON" for one in found.told)
    other = text.replace("encryptkey=0", "encryptkey=zero", 1)
    [found] = read(other.encode())
    assert len(found.rows) == whole - 1
    [told] = found.told
    assert told.number == 1 + other[: other.index("zero")].count("\n") - 1
    assert told.reason == "a member that is no row of its list"


def test_lists_of_several_nodes_are_told_apart() -> None:
    one = '{\n  "10.0.0.1/32": [\n    "identity=1 encryptkey=0 tunnelendpoint=0.0.0.0"\n  ]\n}\n'
    text = f"==> node-a <==\n{one}==> node-b <==\n{one}"
    found = read(text.encode())
    assert [(part.whose.name, len(part.rows)) for part in found] == [("node-a", 1), ("node-b", 1)]


def test_policies_of_many_endpoints_are_read_though_each_is_large() -> None:
    entry = {
        "ProxyPortNetwork": 0,
        "Flags": 0,
        "AuthRequirement": 0,
        "ProxyPortPriority": 0,
        "Pad1": 0,
        "Pad2": 0,
        "Packets": (1 << 64) - 1,
        "Bytes": 2,
        "Key": {
            "Prefixlen": 64,
            "Identity": 3,
            "TrafficDirection": 1,
            "Nexthdr": 6,
            "DestPortNetwork": 20480,
        },
    }
    many = [
        {"EndpointID": str(number), "Path": f"/x/cilium_policy_v2_{number:05}", "Content": content}
        for number, content in ((7, [entry] * 2000), (9, []), (11, [entry]))
    ]
    text = json.dumps(many, indent=2).encode()
    [found] = read(text, 1 << 16)
    assert not found.told
    assert [row["endpoint"] for row in found.rows] == ["7"] * 2000 + ["11"]
    assert (found.rows[0]["port"], found.rows[0]["packets"], found.rows[0]["bytes"]) == (
        "80",
        None,
        2,
    )


def test_policies_up_to_1_13_stand_below_the_path_of_their_map() -> None:
    entry = {
        "ProxyPort": 0,
        "Flags": 1,
        "Pad0": 0,
        "Pad1": 0,
        "Pad2": 0,
        "Packets": 1,
        "Bytes": 2,
        "Key": {"Identity": 3, "DestPort": 13568, "Nexthdr": 17, "TrafficDirection": 0},
    }
    text = f"/sys/fs/bpf/tc/globals/cilium_policy_00042:\n\n{json.dumps([entry], indent=2)}\n\n"
    [found] = read(text.encode())
    [row] = found.rows
    said = {name: row[name] for name in ("endpoint", "policy", "port", "protocol", "auth_type")}
    assert said == {
        "endpoint": "42",
        "policy": "deny",
        "port": "53",
        "protocol": "UDP",
        "auth_type": None,
    }
    assert not found.told


@pytest.mark.parametrize(
    "text",
    [
        '{\n  "10.244.1.0:0": [\n    "172.18.0.3:0"\n  ]\n}\n',
        '{\n  "labels": [\n    "k8s:app=web"\n  ]\n}\n',
        '{"a": ["b"]}',
        "{}",
        "[]",
    ],
)
def test_what_is_no_list_of_these_is_taken_for_none(text: str) -> None:
    assert not [one for one in tool_json.PAIRS if tool_json.is_pairs(text, one)]
    assert not policy_items.is_policies(text)
    assert not nat_items.is_nat(text)
    assert not tool_json.is_metrics(text)


def as_yaml(pairs: dict[str, list[str]], width: int) -> str:
    """The list as the tool prints it, whose long values go on in the next line."""
    text = ""
    for name, values in sorted(pairs.items()):
        text += f"'{name}':\n" if name.startswith("[") or ": " in name else f"{name}:\n"
        for value in values:
            words = value.split(" ")
            line = "- " + words[0]
            for word in words[1:]:
                if len(line) > width:
                    text, line = f"{text}{line}\n", f"  {word}"
                else:
                    line += f" {word}"
            text += f"{line}\n"
    return text


@pytest.mark.parametrize("width", [80, 1000])
@pytest.mark.parametrize(("release", "name"), [one for one in HELD if one[1] != "policy"])
def test_the_yaml_of_a_list_says_what_its_json_does(release: str, name: str, width: int) -> None:
    text = (CAPTURES / release / "tool" / f"{name}.json").read_text()
    pairs = pairs_of(text)
    printed = as_yaml(json.loads(text), width)
    assert [one for one in tool_json.PAIRS if tool_json.is_yaml_pairs(printed, one)] == [pairs]
    for size in (1 << 20, 1000):
        found = tool_json.read_yaml_pairs(pieces(printed.encode(), size), pairs, "a.yaml")
        assert rows(found) == rows(read(text.encode()))
        assert not found[0].told
    cut = f"here it begins\n{printed}- nothing of a row\n  that goes on\n"
    found = tool_json.read_yaml_pairs([cut.encode()], pairs, "a.yaml")
    assert rows(found) == rows(read(text.encode()))
    number = cut.count("\n")
    assert [one.number for one in found[0].told] == [1, number - 1, number]
