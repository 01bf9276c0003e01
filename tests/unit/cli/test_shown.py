"""The options by which every result is shown, on a verb of a list that is made up."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli.common import is_coloured, with_common_options
from ctconsole.cli.main import root
from ctconsole.cli.printing import print_json, show_parts, show_rows
from ctconsole.cli.shown import filtered_rows_options, json_option
from ctconsole.errors import FilterError, UsageError
from tests.unit.cli.test_main import LEAVES

if TYPE_CHECKING:
    from click.testing import Result

PODS = [
    {"name": "web", "id": 3, "memory": 4096},
    {"name": "db", "id": 20, "memory": 1 << 30},
    {"name": "cache", "id": 1, "memory": None},
]


@click.command()
@filtered_rows_options
def pods() -> None:
    show_rows(PODS)


@click.command()
@json_option
def one(*, as_json: bool) -> None:
    if as_json:
        print_json({"a": 1, "b": [1, 2]})
    else:
        click.echo("for people")


def ask(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_a_list_is_a_table_with_units() -> None:
    assert ask(pods).output.splitlines() == [
        "NAME   ID   MEMORY",
        "web     3  4.0 KiB",
        "db     20  1.0 GiB",
        "cache   1        -",
    ]
    assert "4096" in ask(pods, "--raw").output


def test_it_is_sorted_cut_and_filtered_in_every_output() -> None:
    assert ask(pods, "--sort", "memory", "--limit", "1").output.split()[3] == "db"
    rows = json.loads(
        ask(pods, "-o", "json", "--filter", "id>1 memory<1g", "--columns", "id").output
    )
    assert rows == [{"id": 3}]
    assert ask(pods, "--json").output == ask(pods, "-o", "json").output
    lines = ask(pods, "-o", "ndjson", "--sort", "name").output.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["cache", "db", "web"]
    csv = ask(pods, "-o", "csv", "--sort", "-id", "--columns", "id,memory").output
    assert csv.splitlines() == ["id,memory", "1,", "3,4096", "20,1073741824"]


def test_what_cannot_be_meant_is_told() -> None:
    assert "exclude" in ask(pods, "--json", "-o", "csv").output
    assert isinstance(ask(pods, "--sort", "nme").exception, UsageError)
    refused = ask(pods, "--filter", "nme:web").exception
    assert isinstance(refused, FilterError)
    assert "Did you mean name?" in str(refused)


def test_one_thing_has_the_same_outputs() -> None:
    assert ask(one).output == "for people\n"
    assert ask(one, "-o", "wide").output == ask(one, "-o", "text").output == "for people\n"
    assert ask(one, "-o", "ndjson").output == '{"a": 1, "b": [1, 2]}\n'
    assert ask(one, "-o", "csv").output == "a,b\n1,1|2\n"


def test_several_lists_share_the_options_where_they_have_the_column() -> None:
    @click.command()
    @filtered_rows_options
    def both() -> None:
        show_parts([("pods:", PODS), ("empty:", []), ("nodes:", [{"host": "n1"}, {"host": "n0"}])])

    told = ask(both, "--sort", "id", "--limit", "2").output.splitlines()
    assert told[0] == "pods:"
    assert [line.split()[0] for line in told[2:4]] == ["db", "web"]
    assert told[5:7] == ["empty:", ""]
    assert told[-3:-1] == ["n1", "n0"], "a list without the column stays as it is"
    rows = json.loads(ask(both, "--json", "--columns", "host,id").output)
    assert rows[0] == {"host": None, "id": 3}
    assert isinstance(ask(both, "--columns", "hosst").exception, UsageError)


def test_a_list_is_watched_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", wait)
    done = ask(pods, "--watch", "0.5", "--columns", "name", "--limit", "1")
    assert waited == [0.5] * 3
    assert done.output.startswith("NAME\nweb\n" * 3)


@pytest.mark.parametrize(
    ("asked", "coloured"), [("always", True), ("never", False), ("auto", False)]
)
def test_every_verb_is_told_about_colours(asked: str, *, coloured: bool) -> None:
    @click.command()
    def verb() -> None:
        click.echo(str(is_coloured()))

    assert ask(with_common_options(verb), "--color", asked).output == f"{coloured}\n"


def test_colours_are_of_the_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = CliRunner().invoke(root, ["layouts", "--color", "always", "--limit", "1"], color=True)
    assert text.output.startswith("\x1b[1mLAYOUT\x1b[0m")
    plain = CliRunner().invoke(root, ["layouts", "--limit", "1"], color=True)
    assert "\x1b" not in plain.output


LISTS = [words for words in LEAVES if words[-1] in {"list", "layouts"} and words[0] != "filter"]


@pytest.mark.parametrize(
    "words", [one for one in LISTS if one != ("lab", "policy", "list")], ids=" ".join
)
def test_every_list_has_the_same_options(words: tuple[str, ...]) -> None:
    names = {name for option in LEAVES[words].params for name in option.opts}
    assert {"-o", "--json", "--filter", "--sort", "--limit", "--columns", "--watch"} <= names


def test_every_verb_with_json_has_outputs_and_every_one_says_more_with_v() -> None:
    for words, command in LEAVES.items():
        names = {name for option in command.params for name in option.opts}
        if "--json" in names:
            assert "--output" in names, words
        if "--theme" not in names:
            assert {"--verbose", "--color"} <= names, words
        if "--bpf-root" in names or "--state-dir" in names:
            assert "--lab" in names, words
