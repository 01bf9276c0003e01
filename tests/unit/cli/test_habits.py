"""What every verb has: one table of verbs and options, which a new verb has to be put into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.cli.shown import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

CHOOSING = {"--filter", "--sort", "--limit", "--columns", "--watch", "--raw"}
STREAMED = {"--filter", "--limit", "--columns"}
"""What comes one by one has no order and no end, so there is nothing to sort or to show again."""

LISTS = {
    "ct list", "nat list", "lb list", "policy list", "ipcache list", "metrics list",
    "endpoint list", "map list", "layouts", "fleet show", "filter list", "lab list",
    "lab service list", "lab endpoint list", "lab policy list", "map advise", "map calls",
    "map users",
}  # fmt: skip
"""Verbs that list rows."""

STREAMS = {"watch": STREAMED, "monitor": STREAMED, "events": STREAMED | {"--sort", "--watch"},
           "guard": {"--columns"}}  # fmt: skip
"""Verbs that tell of one thing after the other; a guard tells of little, and of all of it."""

REPORTS = {
    "agent restart", "agent start", "agent status", "check", "config", "ct delete", "ct flush",
    "ct risk", "ct stats", "diff", "doctor", "explain", "fleet advise", "fleet resize",
    "lab endpoint add", "lab policy add", "lab policy del", "lab policy import",
    "lab service add", "lab tour", "lab traffic", "lab up", "map recreate", "map resize",
    "map show", "node",
}  # fmt: skip
"""Verbs that tell one thing, or one document."""

SILENT = {
    "agent run", "agent stop", "completion", "console", "ct snapshot", "export", "filter drop",
    "filter save", "lab demo", "lab down", "lab endpoint del", "lab exec", "lab service del",
    "man", "record", "replay", "serve",
}  # fmt: skip
"""Verbs that open something, write a file, pass something on, or say that it is done."""

LAB_OF_ANOTHER_KIND = {
    "agent run", "completion", "config", "diff", "filter drop", "filter list", "filter save",
    "fleet advise", "fleet resize", "fleet show", "lab demo", "lab down", "lab list", "lab tour",
    "lab up", "layouts", "man", "replay",
}  # fmt: skip
"""Verbs that look at no node, or name the lab as an argument."""

MAPS = {
    "check", "ct delete", "ct flush", "ct list", "ct risk", "ct stats", "endpoint list",
    "ipcache list", "lb list", "map advise", "map calls", "map list", "map recreate",
    "map resize", "map show", "map users", "metrics list", "nat list", "policy list",
}  # fmt: skip
"""Verbs that take a map as an argument."""


def verbs() -> dict[str, click.Command]:
    """Every verb with its words."""

    def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield " ".join(words), command
            return
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None
            yield from walk(one, (*words, name))

    context = click.Context(root)
    return dict(walk(root, ()))


VERBS = verbs()


def options(verb: str) -> set[str]:
    return {name for one in VERBS[verb].params for name in one.opts if name.startswith("--")}


def outputs(verb: str) -> list[str]:
    [option] = [one for one in VERBS[verb].params if "--output" in one.opts]
    assert isinstance(option.type, click.Choice)
    return list(option.type.choices)


def test_every_verb_is_of_one_kind() -> None:
    kinds = [LISTS, STREAMS.keys(), REPORTS, SILENT]
    known = [name for kind in kinds for name in kind]
    assert len(known) == len(set(known))
    assert VERBS.keys() - set(known) == set()
    assert set(known) <= VERBS.keys()


@pytest.mark.parametrize("verb", sorted(LISTS | STREAMS.keys() | REPORTS))
def test_what_tells_something_tells_it_in_every_form(verb: str) -> None:
    assert outputs(verb)[: len(OUTPUTS)] == list(OUTPUTS)
    assert "--json" in options(verb)


@pytest.mark.parametrize("verb", sorted(LISTS))
def test_every_list_is_filtered_sorted_cut_and_watched(verb: str) -> None:
    assert options(verb) >= CHOOSING


@pytest.mark.parametrize("verb", STREAMS)
def test_what_comes_one_by_one_is_chosen_from(verb: str) -> None:
    assert options(verb) >= STREAMS[verb]


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - LAB_OF_ANOTHER_KIND))
def test_a_lab_can_be_named(verb: str) -> None:
    assert "--lab" in options(verb)


@pytest.mark.parametrize("verb", sorted(MAPS))
def test_a_map_is_an_argument(verb: str) -> None:
    names = [one.name or "" for one in VERBS[verb].params if isinstance(one, click.Argument)]
    assert any(
        name in {"maps", "name", "names", "words", "tables"} or "map" in name for name in names
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("mpa",), "map"),
        (("map", "lsit"), "list"),
        (("ct", "flsh"), "flush"),
        (("lab", "endpiont"), "endpoint"),
        (("filter", "sav"), "save"),
        (("agent", "stat"), "status"),
    ],
)
def test_a_mistyped_verb_is_met_with_what_may_be_meant(typed: tuple[str, ...], meant: str) -> None:
    done = CliRunner().invoke(root, list(typed))
    assert done.exit_code == 2
    told = done.output.partition("id you mean ")[2]
    assert meant in told
