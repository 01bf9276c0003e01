"""Verbs with verbs of their own: each is loaded when it is used, and guessed where mistyped."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import with_common_options

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verbs(click.Group):
    """A group that says what a mistyped verb may have been meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from ctconsole.model.filter.rules import meant

            hint = meant(args[0], self.list_commands(ctx))
            if not hint:
                raise
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx) from error


class Wing(Verbs):
    """A group that imports the modules of its verbs no sooner than they are asked for.

    Args:
        apart: the modules of verbs that live elsewhere, each under its verb's name.
    """

    def __init__(self, *args: Any, apart: Mapping[str, str], **more: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **more)
        self._apart = apart

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *self._apart})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, its module imported; None where there is none of that name."""
        if cmd_name in self._apart and cmd_name not in self.commands:
            command = getattr(import_module(self._apart[cmd_name]), cmd_name)
            self.add_command(with_common_options(command), cmd_name)
        return super().get_command(ctx, cmd_name)
