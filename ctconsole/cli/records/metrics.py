"""``ctconsole metrics``: what the programs forwarded and dropped."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.records.spec import Kind


@click.group("metrics")
def command() -> None:
    """List packets and bytes by reason."""


command.add_command(
    list_command(
        (Kind.METRICS,),
        """List packets and bytes forwarded and dropped, by reason, summed over all processors.

    \b
    Examples:
      ctconsole metrics list
      ctconsole metrics list --output cilium      as Cilium's own tool prints it
      ctconsole metrics list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
