"""``ctconsole ipcache``: address to security identity."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.records.spec import Kind


@click.group("ipcache")
def command() -> None:
    """List the identities of addresses."""


command.add_command(
    list_command(
        (Kind.IPCACHE,),
        """List prefixes and the security identity behind each.

    \b
    Examples:
      ctconsole ipcache list
      ctconsole ipcache list --output cilium      as Cilium's own tool prints it
      ctconsole ipcache list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
