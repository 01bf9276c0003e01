"""The command tree; each verb's module is imported only when the verb is used."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from ctconsole.cli.common import invoke, with_common_options
from ctconsole.cli.wing import Verbs

_VERBS: Final = {
    "agent": ("agent", "Run the embedded agent: start, restart, status, stop."),
    "check": ("check", "Say whether tables are full, with an exit code for monitoring."),
    "completion": ("completion", "Print what makes bash, zsh or fish complete ctconsole."),
    "config": ("config_verb", "Show what is settled in the configuration file, and what can be."),
    "console": ("console", "Open the console (the default)."),
    "ct": ("ct.list", "List, count and delete conntrack entries."),
    "diff": ("ct.diff", "Say what two dumps, recordings or moments differ in."),
    "doctor": ("node.doctor", "Say what this node can and cannot do."),
    "endpoint": ("records.lists", "List the node's endpoints."),
    "events": ("node.events", "Show what happened to maps and agent."),
    "export": ("export", "Export the maps as metrics for Prometheus."),
    "explain": ("node.explain", "Answer what operators ask, with figures and what is not known."),
    "filter": ("filter_verb", "Tell how filters are written, and save them under names."),
    "fleet": ("fleet.verbs", "Show many nodes at once, as a Prometheus knows them."),
    "guard": ("node.guard", "Carry tables over that an agent re-creates."),
    "ipcache": ("records.lists", "List the identities of addresses."),
    "lab": ("lab.verbs", "Build, use and remove the embedded lab node."),
    "layouts": ("node.layouts", "Say which releases can be read, and how that was checked."),
    "lb": ("records.lists", "List services and their backends."),
    "man": ("manpage", "Print the manual page."),
    "map": ("map.verbs", "List, show, resize and recreate maps."),
    "metrics": ("records.lists", "List packets and bytes by reason."),
    "monitor": ("node.monitor", "Follow drops and connections as the datapath tells of them."),
    "nat": ("records.lists", "List address translations."),
    "node": ("node.facts", "Say what is known of this node's agent, clock and layout, and how."),
    "policy": ("records.lists", "List what endpoints allow."),
    "record": ("node.record", "Record a node's maps, entries and events into one file."),
    "replay": ("replay", "Open the console on a recording."),
    "serve": ("serve", "Open the console in a browser of this machine, only to look."),
    "watch": ("node.watch", "Follow a node's agent, maps and log, and tell each restart."),
}


_OWN_OPTIONS: Final = {"--version", "-h", "--help"}


class LazyGroup(Verbs):
    """A group that knows its verbs' names and help, and loads a verb's module on first use."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options alone are the console's: ``ctconsole --read-only`` opens it so."""
        if ctx.resilient_parsing and not args:
            # A shell completes verbs.
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = ["console", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in alphabetical order."""
        del ctx
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the verb and take its ``command``, or it of its ``commands``."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        module = import_module(f"ctconsole.cli.{_VERBS[cmd_name][0]}")
        several = getattr(module, "commands", None)
        command = several()[cmd_name] if several else module.command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb's module exports one
        return with_common_options(command)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a closed pipe is no error."""
        return invoke(lambda: super(LazyGroup, self).invoke(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from the table, so that help imports nothing."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(verb, told) for verb, (_, told) in sorted(_VERBS.items())])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed or the answer is no, 2 bad usage, 3 this node lacks "
    "something or refuses permission, 4 the write gate is closed, 130 ended by Ctrl-C.",
)
@click.version_option(package_name="ctconsole")
def root() -> None:
    """See, forecast and change the BPF conntrack tables of a Cilium node.

    Without a command the console opens on this node.

    \b
    Examples:
      ctconsole                          open the console
      ctconsole --read-only              ... without the means to change anything
      ctconsole ct list --output cilium  print the tables as Cilium's own tool does
      ctconsole lab tour                 watch the article's test case run for real
      ctconsole doctor                   what can this node do?
    """
