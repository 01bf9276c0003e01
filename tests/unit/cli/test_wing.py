"""A verb's verbs are loaded one by one, and offered before they are."""

from __future__ import annotations

import sys

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.cli.wing import Wing


@click.group(
    cls=Wing, apart={"calls": "ctconsole.cli.map.calls", "users": "ctconsole.cli.map.users"}
)
def wing() -> None:
    """Two verbs that live elsewhere, and one that does not."""


@wing.command()
def near() -> None:
    """Here."""
    click.echo("near")


def test_a_verb_is_loaded_when_it_is_asked_for_and_only_it() -> None:
    for name in ("calls", "users"):
        sys.modules.pop(f"ctconsole.cli.map.{name}", None)
    context = click.Context(wing)
    assert wing.list_commands(context) == ["calls", "near", "users"]
    found = wing.get_command(context, "calls")
    assert found is not None
    assert found is wing.get_command(context, "calls")
    assert "ctconsole.cli.map.calls" in sys.modules
    assert "ctconsole.cli.map.users" not in sys.modules


def test_every_verb_has_the_options_that_all_have_once() -> None:
    context = click.Context(wing)
    for _ in range(2):
        found = wing.get_command(context, "users")
        assert found is not None
        assert [one.opts for one in found.params].count(["--color"]) == 1


def test_what_lives_beside_it_works_and_what_is_no_verb_is_refused() -> None:
    assert CliRunner().invoke(wing, ["near"]).output == "near\n"
    refused = CliRunner().invoke(wing, ["far"])
    assert refused.exit_code == 2
    assert "No such command 'far'" in refused.output


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ("agnt", "agent"),
        ("agent strt", "start"),
        ("ct flsh", "flush"),
        ("filter sav", "save"),
        ("fleet advse", "advise"),
        ("lab upp", "up"),
        ("lab policy ad", "add"),
        ("map resiz", "resize"),
    ],
)
def test_a_mistyped_verb_is_guessed_at_every_depth(argv: str, meant: str) -> None:
    refused = CliRunner().invoke(root, argv.split())
    assert refused.exit_code == 2
    mistyped = argv.rsplit(maxsplit=1)[-1]
    assert f"There is no command '{mistyped}'. Did you mean {meant}?" in refused.output
