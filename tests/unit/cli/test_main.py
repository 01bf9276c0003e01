"""The command tree as a whole: what holds for every verb in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root

if TYPE_CHECKING:
    from collections.abc import Iterator


def leaves(
    command: click.Command = root, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every verb with the words that lead to it."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert isinstance(found, click.Command), (*words, name)
        yield from leaves(found, (*words, name))


LEAVES = dict(leaves())


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_verb_tells_what_it_does(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(root, [*words, "--help"], standalone_mode=False)
    assert done.exception is None
    assert done.output.startswith("Usage: ")
