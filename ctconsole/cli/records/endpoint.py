"""``ctconsole endpoint``: the endpoints of cilium_lxc."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.records.spec import Kind


@click.group("endpoint")
def command() -> None:
    """List the node's endpoints."""


command.add_command(
    list_command(
        (Kind.ENDPOINT,),
        """List the local endpoints by address: id, interface, identity, link addresses.

    \b
    Examples:
      ctconsole endpoint list
      ctconsole endpoint list --output cilium      as Cilium's own tool prints it
      ctconsole endpoint list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
