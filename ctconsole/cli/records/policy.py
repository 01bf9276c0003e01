"""``ctconsole policy``: the policy maps of all endpoints."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.records.spec import Kind


@click.group("policy")
def command() -> None:
    """List what endpoints allow."""


command.add_command(
    list_command(
        (Kind.POLICY, Kind.POLICY_STATS),
        """List the policy map of every endpoint: identity, port, protocol, verdict.

    \b
    Examples:
      ctconsole policy list
      ctconsole policy list --output cilium      as Cilium's own tool prints it
      ctconsole policy list --from-dump cilium-sysdump.zip -o json
    """,
    )
)
