"""What comes one by one, as lines, as objects and as CSV: events, records of the datapath."""

from __future__ import annotations

import csv
import io
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.cli.node import watch
from ctconsole.cli.node.events import EVENT_COLUMNS
from ctconsole.errors import FilterError
from ctconsole.history import History
from ctconsole.model.packets import monitor
from ctconsole.model.packets.monitor import Notice, Notify
from ctconsole.model.packets.monitor_text import EXAMPLE, as_row
from tests.support.fakes import story

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.db"
    with History(path) as opened:
        opened.append([event for _, event in story()])
    return path


def events(history: Path, *options: str) -> Result:
    return CliRunner().invoke(root, ["events", "--history", str(history), *options])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_events_as_csv_have_one_heading_and_every_column(history: Path) -> None:
    found = rows(events(history, "-o", "csv").stdout)
    assert len(found) == len(events(history).stdout.splitlines())
    assert tuple(found[0]) == EVENT_COLUMNS
    assert json.loads(found[0]["fields"]) == {"pid": 1211}


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("table", "agent-start  Agent starts"),
        ("wide", "agent-start  Agent starts"),
        ("ndjson", '{"kind": "agent-start", "message": "Agent starts"}'),
        ("csv", "agent-start,Agent starts"),
    ],
)
def test_columns_are_chosen_in_every_form(history: Path, output: str, line: str) -> None:
    told = events(history, "--columns", "kind,message", "-o", output).stdout.splitlines()
    assert line in told[:2]


def test_events_are_sorted_and_cut(history: Path) -> None:
    first = rows(events(history, "--sort", "kind", "-o", "csv").stdout)
    assert [row["kind"] for row in first] == sorted(row["kind"] for row in first)
    cut = rows(events(history, "--sort", "-kind", "-n", "2", "-o", "csv").stdout)
    assert [row["kind"] for row in cut] == [row["kind"] for row in first[::-1][:2]]
    assert [row["id"] for row in rows(events(history, "-n", "2", "-o", "csv").stdout)] == [
        row["id"] for row in rows(events(history, "-o", "csv").stdout)[-2:]
    ]


@pytest.mark.parametrize("option", ["--columns", "--sort"])
def test_a_column_that_is_none_is_refused_with_what_may_be_meant(
    history: Path, option: str
) -> None:
    done = events(history, option, "messag")
    assert "There is no column messag" in str(done.exception or done.output)


@pytest.mark.parametrize("options", [("--sort", "kind"), ("--watch",)])
def test_what_has_no_end_has_no_order(history: Path, options: tuple[str, ...]) -> None:
    done = events(history, "--follow", *options)
    assert done.exit_code == 2
    assert "--follow goes on for ever" in done.output


LOG = "\n".join(
    f'time=2025-03-01T10:0{minute}:00Z level=warning msg="Max entries mismatch for BPF map" '
    "file-path=/sys/fs/bpf/tc/globals/cilium_ct4_global new=2 old=1"
    for minute in range(5)
)


def test_watch_ends_after_so_many(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    path.write_text(LOG, "utf-8")
    runner = CliRunner()
    every = rows(runner.invoke(watch.command, ["--log", str(path), "-o", "csv"]).stdout)
    assert len(every) > 2
    cut = rows(runner.invoke(watch.command, ["--log", str(path), "-n", "2", "-o", "csv"]).stdout)
    assert cut == every[:2]


def notice(kind: Notify, dport: int) -> Notice:
    packet = bytes(12) + bytes.fromhex("0800") + bytes([0x45]) + bytes(8) + bytes([6]) + bytes(2)
    packet += bytes([10, 0, 0, 1, 10, 0, 0, 2]) + (40_000).to_bytes(2) + dport.to_bytes(2)
    drop = kind is Notify.DROP
    return Notice(
        time=1, cpu=0, type=kind, subtype=133 if drop else 0, source=7, hash=1, length=74,
        src_label=2, dst_label=3, dst_id=0, state=None if drop else 0, ifindex=0, packet=packet,
    )  # fmt: skip


@pytest.fixture
def datapath(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """What the datapath tells of in one read."""
    found = [notice(Notify.DROP, 443), notice(Notify.TRACE, 443), notice(Notify.DROP, 80)]

    class Read:
        lost = 3

    def told(samples: object) -> Sequence[Notice]:
        assert isinstance(samples, Read)
        return found

    monkeypatch.setattr("ctconsole.cli.node.monitor._source", lambda *_: nullcontext([Read()]))
    monkeypatch.setattr(monitor, "notices", told)
    return found


def followed(*options: str) -> Result:
    return CliRunner().invoke(root, ["monitor", "--bpf-root", "/nowhere", *options])


def test_a_record_has_every_column_and_no_other(datapath: list[Notice]) -> None:
    for one in datapath:
        assert as_row(one).keys() == EXAMPLE.keys()


def test_records_are_filtered_by_their_columns(datapath: list[Notice]) -> None:
    assert len(datapath) == 3
    told = followed("--filter", "type:drop dport:443", "-o", "csv").stdout
    assert [(row["type"], row["dport"]) for row in rows(told)] == [("lost", ""), ("drop", "443")]
    assert len(followed().stdout.splitlines()) == 4
    wrong = followed("--filter", "dprt:443").exception
    assert isinstance(wrong, FilterError)
    assert "dport" in (wrong.hint or "")


def test_columns_of_records_are_chosen(datapath: list[Notice]) -> None:
    assert datapath
    told = followed("--columns", "src,dport,reason", "--filter", "type:drop").stdout.splitlines()
    assert [line.split()[:2] for line in told[1:]] == [["10.0.0.1", "443"], ["10.0.0.1", "80"]]
    whole = [json.loads(line) for line in followed("--json").stdout.splitlines()]
    assert whole[0] == {"type": "lost", "count": 3}
    assert whole[1]["summary"]["l4"] == {"src": "40000", "dst": "443"}


def test_saved_filters_are_a_list_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    run = CliRunner().invoke
    run(root, ["filter", "save", "web", "dport:443"])
    run(root, ["filter", "save", "old", "age>1h"])
    assert run(root, ["filter", "list", "-o", "csv", "--sort", "-name"]).stdout.splitlines() == [
        "name,text", "@web,dport:443", "@old,age>1h",
    ]  # fmt: skip
    assert json.loads(run(root, ["filter", "list", "--json"]).stdout) == {
        "web": "dport:443", "old": "age>1h",
    }  # fmt: skip
    assert "@web" in run(root, ["filter", "list", "--filter", "text:443"]).stdout
