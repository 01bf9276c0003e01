"""``ctconsole fleet``: the nodes of a cluster, as a Prometheus knows them."""

from __future__ import annotations

from typing import Final

import click

from ctconsole.cli.fleet.advise import advise
from ctconsole.cli.fleet.resize import resize
from ctconsole.cli.fleet.show import show

_OWN_OPTIONS: Final = {"-h", "--help"}


class _FleetGroup(click.Group):
    """Options alone are those of ``show``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        options = bool(args) and args[0].startswith("-") and args[0] not in _OWN_OPTIONS
        if options or (not args and not ctx.resilient_parsing):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("fleet", cls=_FleetGroup)
def command() -> None:
    """See many nodes at once, as a Prometheus that scrapes their exporters knows them.

    Without a verb the nodes are shown (``ctconsole fleet show --help``).

    \b
    Examples:
      ctconsole fleet --prometheus http://prometheus:9090
      ctconsole fleet --nodes 'worker-1.*' --sort full_in
      ctconsole fleet --filter 'fill>80% or split>0' -o csv
      ctconsole fleet advise --by nodepool
    """


command.add_command(resize)
command.add_command(show)
command.add_command(advise)
