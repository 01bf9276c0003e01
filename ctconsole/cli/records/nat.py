"""``ctconsole nat``: the node's source translations."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.records.spec import Kind


@click.group("nat")
def command() -> None:
    """List address translations."""


command.add_command(
    list_command(
        (Kind.NAT,),
        """List the translations of the node's NAT maps: who leaves with which address and port.

    \b
    Examples:
      ctconsole nat list
      ctconsole nat list --output cilium      as Cilium's own tool prints it
      ctconsole nat list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
