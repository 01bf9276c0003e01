"""``ctconsole man``: the manual page, made of the same texts as every ``--help``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXAMPLES: Final = "Examples:"
_WIDE: Final = 10_000


@click.command(name="man")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Print the manual page, for man.

    \b
    Examples:
      ctconsole man | man -l -
      ctconsole man > /usr/local/share/man/man1/ctconsole.1
    """
    for line in page(ctx.find_root().command):
        click.echo(line)


def page(root: click.Command) -> Iterator[str]:
    """The page of a command tree, in the language of man(7)."""
    yield '.TH CTCONSOLE 1 "" "ctconsole" "User Commands"'
    yield ".SH NAME"
    settings = {**root.context_settings, "max_content_width": _WIDE}
    context = click.Context(root, info_name="ctconsole", **settings)
    first, *rest = _paragraphs(root)
    yield f"ctconsole \\- {_safe(first.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B ctconsole"
    yield "[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]"
    yield ".SH DESCRIPTION"
    for paragraph in rest:
        yield from _text(paragraph)
    yield ".SH COMMANDS"
    for words, found in _leaves(root, context, ()):
        yield from _verb(words, found, context)
    yield ".SH EXIT STATUS"
    yield _safe(root.epilog or "")
    yield ".SH SEE ALSO"
    yield "\\fBctconsole filter --help\\fR for the filter language, \\fBctconsole config "
    yield "--defaults\\fR for the configuration file."


def _leaves(
    command: click.Command, context: click.Context, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            yield from _leaves(found, context, (*words, name))


def _verb(words: tuple[str, ...], command: click.Command, parent: click.Context) -> Iterator[str]:
    """A verb: its usage, what its help says, and its options."""
    context = click.Context(
        command, parent, info_name=" ".join(words), max_content_width=_WIDE, terminal_width=_WIDE
    )
    usage = " ".join(("ctconsole", *words, *command.collect_usage_pieces(context)))
    yield f".SS {_safe(usage)}"
    for paragraph in _paragraphs(command):
        yield from _text(paragraph)
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            name, told = record
            yield ".TP"
            yield f".B {_safe(name)}"
            # A table of fields stands behind a backspace, line by line.
            head, _, fields = told.partition("\n\n\b\n")
            yield _safe(" ".join(head.split()))
            if fields:
                yield from ("\\(bu see \\fBctconsole filter --help\\fR",)


def _paragraphs(command: click.Command) -> list[str]:
    import inspect

    text = inspect.cleandoc(command.help or "").partition("\f")[0]
    return [part for part in text.split("\n\n") if part.strip()]


def _text(paragraph: str) -> Iterator[str]:
    """A paragraph; what stands behind a backspace keeps its lines."""
    lines = paragraph.lstrip("\n").splitlines()
    if lines and lines[0].strip() == "\b":
        yield ".PP"
        yield ".nf"
        yield from (_safe(line) for line in lines[1:])
        yield ".fi"
    else:
        yield ".PP"
        yield _safe(" ".join(line.strip() for line in lines))


def _safe(text: str) -> str:
    """Text of which nothing is a request or an escape of man(7)."""
    found = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{found}" if found[:1] in {".", "'"} else found
