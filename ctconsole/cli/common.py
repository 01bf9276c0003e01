"""What all verbs share: the error boundary, messages, JSON and pipes.

Exit codes: 0 done, 1 failed or the answer is no, 2 the command line cannot be meant, 3 this node
lacks something or refuses permission, 4 the write gate is closed, 130 ended by Ctrl-C (128 and the
number of another signal that asked a change to end).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.streams import Terminal
from ctconsole.errors import CtconsoleError, FilterError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ctconsole.model.ct.guess import Guess


def message(text: str) -> None:
    """Say something to the person, on stderr, so that stdout stays data.

    Where it cannot be said, what is being done goes on.
    """
    with suppress(OSError):
        click.echo(text, err=True)


def say_guess(guess: Guess) -> None:
    """Say which release is taken for a node's, why, and what to do where that is in doubt."""
    if guess.certain:
        detail(f"layout {guess.layout}: {guess.reason}")
    else:
        message(f"layout {guess.layout}: {guess.reason}; name it with --layout if you know better")


COLOUR: Final = "ctconsole.colour"
VERBOSE: Final = "ctconsole.verbose"
"""Where the options that every verb has are kept while it runs."""


def is_coloured() -> bool:
    """Whether standard output gets colours: ``--color``, else a terminal without ``NO_COLOR``."""
    context = click.get_current_context(silent=True)
    asked = context.meta.get(COLOUR) if context else None
    if asked in {"always", "never"}:
        return bool(asked == "always")
    return isinstance(sys.stdout, Terminal) and not os.environ.get("NO_COLOR")


def with_common_options(command: click.Command) -> click.Command:
    """The command, each verb of it with ``-v`` and ``--color`` where these are not its own."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_common_options(one)
        return command
    known = {name for one in command.params for name in one.opts}
    for option in (_verbose(), _colour()):
        # A console draws in its own colours.
        if not known & {"--theme", *option.opts}:
            command.params.append(option)
    return command


def _verbose() -> click.Option:
    return click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=lambda context, _, given: context.meta.update({VERBOSE: given}),
        help="Also say on stderr what was taken for granted.",
    )


def _colour() -> click.Option:
    return click.Option(
        ["--color"],
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        expose_value=False,
        is_eager=True,
        callback=lambda context, _, given: context.meta.update({COLOUR: given}),
        help="Colours; auto: on a terminal, where NO_COLOR is not set.",
    )


def detail(text: str) -> None:
    """Say on stderr what only somebody who asked for it with ``-v`` wants to know."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(VERBOSE):
        message(text)


def styled(text: str, **style: Any) -> None:  # noqa: ANN401 - click's own options
    """Print a text of our own in colour where stdout is a terminal; no newline follows.

    Args:
        text: what to print; nothing that comes from outside.
        style: as `click.style` takes it.
    """
    text = click.style(text, **style) if is_coloured() else text
    if isinstance(sys.stdout, Terminal):
        sys.stdout.styled(text)
    else:
        sys.stdout.write(text)


def print_columns(rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> None:
    """Print a table for people: a line for each row, whatever its cells hold.

    Args:
        rows: all of the same length.
        right: the columns that stand at the right of their place.
    """
    from ctconsole.model.text.safe import cell, width

    lines = [[cell(text) for text in row] for row in rows]
    widths = [width(column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (
            text.rjust(wide) if number in right else text.ljust(wide)
            for number, (text, wide) in enumerate(zip(line, widths, strict=True))
        )
        click.echo("  ".join(padded).rstrip())


def run(command: click.Command) -> int:
    """Run the command line and turn every outcome into an exit code.

    Our own errors become one sentence on stderr. Ctrl-C ends with 130 as shells expect.
    """
    try:
        result = command.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except CtconsoleError as error:
        message(f"ctconsole: {error}")
        if isinstance(error, FilterError):
            message(pointed(error))
        return error.exit_code
    except MemoryError:
        message("ctconsole: There is not enough memory for this; what was to be read is too large")
        return CtconsoleError.exit_code
    finally:
        _let_go_of_dead_streams()
    return result if isinstance(result, int) else 0


def invoke(call: Callable[[], object]) -> object:
    """Call a command and flush what it printed; a reader that closes the pipe early is no error.

    Click would make it exit code 1, so it must not see the BrokenPipeError.
    """
    try:
        result = call()
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_dead_streams()
        return 0
    return result


def pointed(error: FilterError, width: int = 76) -> str:
    """The filter, and below it carets under what is wrong: two lines, however long it is.

    Args:
        error: tells where.
        width: letters that are shown at most.
    """
    from unicodedata import east_asian_width

    from ctconsole.model.text.safe import cell

    first = max(0, min(error.at - width // 2, len(error.text) - width))
    shown = error.text[first : first + width]
    at = error.at - first

    def wide(text: str) -> int:
        return sum(1 + (east_asian_width(letter) in "FW") for letter in cell(text))

    marked = max(1, wide(shown[at : at + error.length]))
    begun = "..." if first else ""
    more = "..." if first + width < len(error.text) else ""
    below = " " * (len(begun) + wide(shown[:at])) + "^" * marked
    return f"  {begun}{cell(shown)}{more}\n  {below}"


def _let_go_of_dead_streams() -> None:
    """Point streams nobody reads any more (closed pipe, terminal gone) at /dev/null.

    The interpreter flushes both once more at exit, and would turn a failure into exit code 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
