"""``ctconsole fleet``: the nodes of a cluster, as a Prometheus knows them."""

from __future__ import annotations

from typing import Final

import click

from ctconsole.cli.wing import Wing

_OWN_OPTIONS: Final = {"-h", "--help"}


class _FleetGroup(Wing):
    """Options alone are those of ``show``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        options = bool(args) and args[0].startswith("-") and args[0] not in _OWN_OPTIONS
        if options or (not args and not ctx.resilient_parsing):
            args = ["show", *args]
        return super().parse_args(ctx, args)


_APART: Final = {verb: f"ctconsole.cli.fleet.{verb}" for verb in ("advise", "resize", "show")}


@click.group("fleet", cls=_FleetGroup, apart=_APART)
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
