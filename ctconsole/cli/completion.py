"""``ctconsole completion``: what makes a shell complete verbs, options, maps, fields and labs."""

from __future__ import annotations

from typing import Final

import click

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the lines that make bash, zsh or fish complete ctconsole when tab is pressed.

    Completed are verbs, options, the names of pinned maps, columns and fields, what a filter can
    ask for, saved filters, and the labs that are up.

    \b
    Examples:
      source <(ctconsole completion bash)
      ctconsole completion bash > /etc/bash_completion.d/ctconsole
      ctconsole completion zsh > "${fpath[1]}/_ctconsole"
      ctconsole completion fish > ~/.config/fish/completions/ctconsole.fish
    """
    click.echo(script(ctx.find_root().command, shell), nl=False)


def script(root: click.Command, shell: str) -> str:
    """The lines that make one of the shells complete a command tree."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click has the three
    complete = found(root, {}, "ctconsole", "_CTCONSOLE_COMPLETE")
    # What asks the shell for its version is left out: this one may not be installed here.
    text = complete.source_template % complete.source_vars()
    return f"{text.strip()}\n"
