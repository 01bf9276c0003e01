"""``ctconsole lb``: services, backends, reverse NAT and session affinity."""

from __future__ import annotations

import click

from ctconsole.cli.records.lists import list_command
from ctconsole.model.cilium.services import View
from ctconsole.model.records.spec import Kind


@click.group("lb")
def command() -> None:
    """List services and their backends."""


command.add_command(
    list_command(
        (
            Kind.SERVICE,
            Kind.BACKEND,
            Kind.REVERSE_NAT,
            Kind.SOURCE_RANGE,
            Kind.AFFINITY,
            Kind.AFFINITY_MATCH,
        ),
        """List services, backends, reverse NAT, source ranges and session affinity.

    \b
    Examples:
      ctconsole lb list
      ctconsole lb list --output cilium      as Cilium's own tool prints it
      ctconsole lb list --revnat             which service each id in an entry stands for
      ctconsole lb list --from-dump cilium-sysdump.zip -o json
    """,
        {
            View.FRONTENDS: "Only services, a line for each slot.",
            View.BACKENDS: "Only backends.",
            View.REVNAT: "Only reverse NAT.",
            View.SOURCE_RANGES: "Only the source ranges of services.",
        },
    )
)
