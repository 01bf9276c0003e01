"""Our own lists, read again: what comes out of them is what was read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.model.readers import own_lists
from ctconsole.model.records.spec import RecordKind
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DUMPS = sorted((CAPTURES / "1.18.3" / "dump").glob("cilium_*.json"))
TOOL = CAPTURES / "1.18.3" / "tool"
VERBS = ("nat", "lb", "policy", "ipcache", "endpoint", "metrics")


def listed(verb: str, files: Sequence[Path], output: str, *more: str) -> str:
    named = [part for file in files for part in ("--from-dump", str(file))]
    done = CliRunner().invoke(cli, [verb, "list", *named, "-o", output, *more])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def again(verb: str, text: str, output: str, folder: Path) -> str:
    file = folder / f"from-a-colleague.{output}"
    file.write_text(text, "utf-8")
    return listed(verb, [file], output)


@pytest.mark.parametrize("verb", VERBS)
def test_what_maps_hold(verb: str, tmp_path: Path) -> None:
    rows = json.loads(listed(verb, DUMPS, "json", "--now", "4429"))
    assert rows
    for output in ("json", "ndjson"):
        text = again(verb, listed(verb, DUMPS, output, "--now", "4429"), output, tmp_path)
        assert (json.loads(text) if output == "json" else _lines(text)) == rows
    table = listed(verb, DUMPS, "csv", "--now", "4429")
    assert again(verb, table, "csv", tmp_path) == table
    file = tmp_path / "table"
    file.write_text(table)
    assert json.loads(listed(verb, [file], "json")) == rows


def _lines(text: str) -> list[object]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("verb", [one for one in VERBS if one != "nat"])
def test_what_the_tool_printed(verb: str, tmp_path: Path) -> None:
    for output in ("json", "ndjson", "csv"):
        text = listed(verb, [TOOL / f"{verb}.txt"], output)
        assert again(verb, text, output, tmp_path) == text


def test_several_lists_in_one_file(tmp_path: Path) -> None:
    for output in ("json", "ndjson", "csv"):
        parts = {verb: listed(verb, DUMPS, output, "--now", "4429") for verb in VERBS}
        file = tmp_path / "all"
        file.write_text("".join(parts.values()))
        for verb, text in parts.items():
            found = listed(verb, [file], output)
            if output == "json":
                assert json.loads(found) == json.loads(text)
            else:
                assert found.replace('", "', '","') == text.replace('", "', '","')


def test_rows_of_several_nodes_keep_theirs() -> None:
    row = {"map": "cilium_lxc", "node": "node-a", "pod": None, "address": "10.0.0.1", "flags": 0}
    text = "\n".join(json.dumps(row | {"node": node}) for node in ("node-a", "node-b"))
    read = own_lists.read_objects([text.encode()], "a.json")
    assert [(one.whose.node, one.label, len(one.rows)) for one in read.lists] == [
        ("node-a", "cilium_lxc", 1),
        ("node-b", "cilium_lxc", 1),
    ]


def test_what_is_no_row_is_told() -> None:
    good = {"map": "cilium_lxc", "address": "10.0.0.1", "flags": 0}
    bad = [good | {"flags": {"a": 1}}, good | {"color": "red"}, {"map": 7}]
    text = "".join(f"{json.dumps(one)}\n" for one in [good, *bad]) + "here it stops {\n"
    read = own_lists.read_objects([text.encode()], "a.json")
    assert [len(one.rows) for one in read.lists] == [1]
    assert [one.text for one in read.told] == [*map(json.dumps, bad), "here it stops {"]


def test_lines_of_a_table_that_are_no_rows_are_told() -> None:
    text = b"map,prefix,rev_nat\ncilium_lb4_source_range,10.0.0.0/8,1\ncut,\nx,y,z,4\n"
    read = own_lists.read_tables([text], "a.csv")
    [one] = read.lists
    assert (one.kind, one.rows) == (
        RecordKind.SOURCE_RANGE,
        ({"prefix": "10.0.0.0/8", "rev_nat": 1},),
    )
    assert [(told.number, told.text) for told in read.told] == [(3, "cut,"), (4, "x,y,z,4")]


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_that_a_spreadsheet_wrote(between: str) -> None:
    text = between.join(("map", "prefix", "rev_nat"))
    row = between.join(("cilium_lb4_source_range", "10.0.0.0/8", "1"))
    read = own_lists.read_tables([f"{text}\r\n{row}\r\n".encode()], "a.csv")
    assert [one.rows for one in read.lists] == [({"prefix": "10.0.0.0/8", "rev_nat": 1},)]


@pytest.mark.parametrize(
    "text",
    ['{"map": "a.png", "size": 3}', '{"map": null, "name": "x"}', '{"map": 1}', '{"map": "'],
)
def test_other_json_is_none_of_ours(text: str) -> None:
    assert own_lists.kind_of_objects(text) is None
