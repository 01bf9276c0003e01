"""``ctconsole diff`` on recordings and dumps."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.ct.diff import command
from ctconsole.errors import CtconsoleError, FormatError, UsageError
from ctconsole.observe.recording.moment import VERSION, Head, NodeMoment
from ctconsole.observe.recording.writer import RecordingWriter
from ctconsole.observe.source import MapRow, NodeSnapshot
from tests.support.captures import dump_files
from tests.support.ct_tables import Entry, ct_table

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

NOON = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))
PIN = PurePath("/sys/fs/bpf/tc/globals/cilium_ct4_global")

A, B, C = (Entry(f"10.0.1.{number}:40000") for number in (1, 2, 3))
BUSIER = replace(B, packets=99)


def moment(second: int, *entries: Entry, map_id: int = 7) -> NodeMoment:
    table = ct_table(*entries, taken_at=NOON + second, map_id=map_id)
    info = replace(table.info, pin=PIN)
    row = MapRow(info, len(table))
    return NodeMoment(
        NOON + second,
        NodeSnapshot((row,), NOON + second, 0.0),
        MappingProxyType({row.key: replace(table, info=info)}),
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """At noon A and B; two seconds later B with more packets, and C; then nothing else."""
    path = tmp_path / "node.ctrec"
    with RecordingWriter(path, Head(VERSION, "node", "", NOON, 2.0), 1 << 20) as writer:
        for one in (moment(0, A, B), moment(2, BUSIER, C), moment(4, BUSIER, C)):
            assert writer.add(one)
    return path


def diff(*arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if isinstance(result.exception, CtconsoleError):
        raise result.exception
    return result


def test_new_gone_and_changed_entries_have_their_sign(recording: Path) -> None:
    result = diff(f"{recording}@12:00:00", str(recording))
    lines = result.stdout.splitlines()
    assert lines[0].endswith("node.ctrec at 2026-11-28 12:00:04")
    assert lines[1] == "cilium_ct4_global: 1 new, 1 gone, 1 changed, 0 the same"
    told = {line[0]: line.split()[3] for line in lines[3:] if line}
    assert told == {"+": "10.0.1.3:40000", "-": "10.0.1.1:40000", "~": "10.0.1.2:40000"}
    assert result.return_value == 1


def test_moments_that_do_not_differ_end_with_0(recording: Path) -> None:
    result = diff(f"{recording}@12:00:02", f"{recording}@now")
    assert "0 new, 0 gone, 0 changed, 2 the same" in result.stdout
    assert result.return_value == 0


def test_the_second_moment_may_be_of_the_same_file(recording: Path) -> None:
    assert "1 new, 1 gone" in diff(f"{recording}@4s ago", "@2s ago").stdout


def test_programs_get_each_entry_with_what_became_of_it(recording: Path) -> None:
    both = (f"{recording}@4s ago", str(recording))
    rows = json.loads(diff(*both, "-o", "json").stdout)
    assert [(row["change"], row["source"]) for row in rows] == [
        ("new", "10.0.1.3"),
        ("gone", "10.0.1.1"),
        ("changed", "10.0.1.2"),
    ]
    lines = [json.loads(line) for line in diff(*both, "-o", "ndjson").stdout.splitlines()]
    assert lines == rows
    table = list(csv.DictReader(diff(*both, "-o", "csv").stdout.splitlines()))
    assert [(row["change"], row["source"]) for row in table] == [
        (row["change"], row["source"]) for row in rows
    ]


def test_the_filter_says_which_entries_are_compared(recording: Path) -> None:
    result = diff(f"{recording}@4s ago", str(recording), "--filter", "src:10.0.1.3")
    assert "1 new, 0 gone, 0 changed" in result.stdout


def test_what_only_moved_its_counters_can_be_left_out(recording: Path) -> None:
    result = diff(f"{recording}@4s ago", str(recording), "--no-changed")
    assert "~" not in result.stdout
    assert "changed" not in result.stdout


def test_a_map_that_was_recreated_is_told(tmp_path: Path) -> None:
    path = tmp_path / "node.ctrec"
    with RecordingWriter(path, Head(VERSION, "node", "", NOON, 2.0), 1 << 20) as writer:
        assert writer.add(moment(0, A))
        assert writer.add(moment(2, B, map_id=8))
    assert "; it is another map" in diff(f"{path}@2s ago", str(path)).stdout


def test_two_dumps_are_compared_by_the_names_of_their_maps() -> None:
    [one, *_] = [path for path in dump_files("handmade-1.9") if "ct4" in path.name]
    result = diff(str(one), str(one))
    assert ": 0 new, 0 gone, 0 changed, " in result.stdout
    assert result.return_value == 0


def test_what_is_on_one_side_only_is_told(recording: Path) -> None:
    [dump] = [path for path in dump_files("handmade-1.9") if "ct6" in path.name][:1]
    with pytest.raises(FormatError, match="have no conntrack table in common"):
        diff(str(dump), str(recording))


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("{}@11:00", "reaches from 2026-11-28 12:00:00 to"),
        ("{}@soon", "names no moment"),
        ("{}.gone", "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_compared_is_told(recording: Path, first: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        diff(first.format(recording), str(recording))


def test_a_dump_has_no_moments() -> None:
    [dump, *_] = dump_files("handmade-1.9")
    with pytest.raises(UsageError, match="is no recording, and has no moment '12:00'"):
        diff(f"{dump}@12:00", str(dump))
