"""``ctconsole lb``: services, backends, reverse NAT and session affinity."""

from __future__ import annotations

import click

from ctconsole.cli.record_lists import list_command
from ctconsole.model.record_spec import Kind


@click.group("lb")
def command() -> None:
    """List services and their backends."""


command.add_command(
    list_command(
        (Kind.SERVICE, Kind.BACKEND, Kind.REVERSE_NAT, Kind.AFFINITY, Kind.AFFINITY_MATCH),
        """List services, backends, reverse NAT and session affinity.

    \b
    Examples:
      ctconsole lb list
      ctconsole lb list --output cilium      as Cilium's own tool prints it
      ctconsole lb list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
