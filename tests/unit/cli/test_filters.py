"""``--filter`` of every verb, the manual, saved filters, and how an error is pointed at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.common import pointed, run
from ctconsole.cli.main import root as cli
from ctconsole.errors import FilterError
from ctconsole.history import History
from ctconsole.model.event import Event, EventKind, Level
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = ("--from-dump", str(CAPTURES / "real-1.18-svc"), "--now", "4325")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def told(*arguments: str) -> str:
    found = CliRunner().invoke(cli, arguments)
    assert found.exit_code == 0, found.output
    return found.stdout


def listed(where: str) -> list[dict[str, object]]:
    return [
        json.loads(line)
        for line in told("ct", "list", *SOURCE, "-o", "ndjson", "--filter", where).splitlines()
    ]


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[str]]:
    """The exit code and stderr of the whole program."""
    lines: list[str] = []
    monkeypatch.setattr("ctconsole.cli.common.message", lines.append)
    monkeypatch.setattr("sys.argv", ["ctconsole", *arguments])
    return run(cli), "\n".join(lines).splitlines()


def test_the_old_spellings_and_the_new_mean_the_same() -> None:
    every = listed("")
    tcp, udp = listed("proto:tcp"), listed("!tcp")
    assert len(tcp) + len(udp) == len(every) > len(tcp) > 0
    assert listed("proto:udp or tcp dir:svc") == [
        one
        for one in every
        if one["protocol"] == "UDP" or (one["protocol"], one["direction"]) == ("TCP", "service")
    ]
    assert listed("not (tcp or udp)") == [
        one for one in every if one["protocol"] not in {"TCP", "UDP"}
    ]


def test_an_error_points_at_the_column(monkeypatch: pytest.MonkeyPatch) -> None:
    where = "tcp (dport:443 or prot:udp)"
    code, lines = refused(monkeypatch, "ct", "list", *SOURCE, "--filter", where)
    assert code == 2
    assert "Did you mean proto?" in lines[0]
    assert lines[1:] == [f"  {where}", " " * (2 + where.index("prot")) + "^^^^"]


def test_what_a_table_does_not_tell_is_pointed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = ("--from-dump", str(CAPTURES / "real-1.18-svc"))
    code, lines = refused(monkeypatch, "ct", "stats", *dump, "--filter", "tcp rate>10k")
    assert code == 2
    assert "needs two samples" in lines[-3]
    assert lines[-1] == "      ^^^^^^^^"


@pytest.mark.parametrize(
    ("text", "at", "length", "shown"),
    [
        ("tcp x", 4, 1, ["  tcp x", "      ^"]),
        ("tcp ", 4, 1, ["  tcp ", "      ^"]),
        ("\x1b[1m x", 5, 1, ["  \\x1b[1m x", "          ^"]),
        ("日本 x", 3, 1, ["  日本 x", "       ^"]),
        ("a" * 100 + " x", 101, 1, ["  ..." + "a" * 74 + " x", " " * 80 + "^"]),
        ("x " + "a" * 100, 0, 1, ["  x " + "a" * 74 + "...", "  ^"]),
    ],
)
def test_the_caret_stands_below_what_is_wrong(
    text: str, at: int, length: int, shown: list[str]
) -> None:
    assert pointed(FilterError("wrong", text=text, at=at, length=length)).splitlines() == shown


def test_a_filter_is_saved_named_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "@svc is saved in" in told("filter", "save", "svc", "dir:svc or flag:dsr")
    assert listed("@svc !udp") == listed("(dir:svc or flag:dsr) !udp")
    assert json.loads(told("filter", "list", "--json")) == {"svc": "dir:svc or flag:dsr"}
    assert "@svc  dir:svc" in told("filter", "list")
    assert refused(monkeypatch, "filter", "save", "me", "@me or tcp")[0] == 2
    assert refused(monkeypatch, "filter", "save", "bad", "dpotr:1")[1][2].startswith("  ^")
    assert "forgotten" in told("filter", "drop", "@svc")
    assert "None is saved" in told("filter", "list")


def test_the_manual_is_the_help_of_the_verb() -> None:
    said = told("filter", "--help")
    for part in ("The language:", "left<30s", "What events are asked for:", "save", "Examples:"):
        assert part in said


def test_events_are_filtered(tmp_path: Path) -> None:
    file = tmp_path / "history"
    with History(file) as history:
        history.append(
            Event(1000.0 + number, kind, "observe", f"/bpf/ct{number}", "Full", level)
            for number, (kind, level) in enumerate(
                [
                    (EventKind.MAP_FULL, Level.ERROR),
                    (EventKind.MAP_CREATED, Level.INFO),
                    (EventKind.STORY, Level.INFO),
                    (EventKind.MAP_PINNED, Level.INFO),
                ]
            )
        )

    def kinds(*arguments: str) -> list[str]:
        found = told("events", "--history", str(file), "--json", *arguments)
        return [json.loads(line)["kind"] for line in found.splitlines()]

    assert kinds("--filter", "kind:map-* !map:ct1") == ["map-full", "map-pinned"]
    assert kinds("--filter", "kind:map-*", "-n", "2") == ["map-created", "map-pinned"]
    assert kinds("--filter", "age<1h") == []


def test_maps_are_filtered_and_what_is_not_known_is_told() -> None:
    dump = ("--from-dump", str(CAPTURES / "real-1.18-svc"))
    every = json.loads(told("map", "list", *dump, "--json"))
    some = json.loads(told("map", "list", *dump, "--json", "--filter", "map:*ct4*"))
    assert some == [row for row in every if "ct4" in row["name"]]
    assert some
    unknown = sum(row["fill"] is None for row in every)
    found = CliRunner().invoke(cli, ["map", "list", *dump, "--json", "--filter", "fill>50"])
    assert f"{unknown} maps are left out" in found.stderr


@pytest.mark.parametrize(
    ("verb", "example"),
    [
        (("ct", "list"), "risk:breaks"),
        (("ct", "delete"), "risk:breaks"),
        (("events",), "kind:map-recreated"),
        (("watch",), "level>=warning"),
        (("map", "list"), "fill>80"),
    ],
)
def test_the_help_of_a_verb_tells_its_own_fields(verb: tuple[str, ...], example: str) -> None:
    assert f"{example} " in told(*verb, "--help")
