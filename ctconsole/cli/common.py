"""What all verbs share: options, the error boundary, JSON and pipes.

Exit codes: 0 done, 1 failed or the answer is no, 2 the command line cannot be meant, 3 this node
lacks something or refuses permission, 4 the write gate is closed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.errors import CtconsoleError
from ctconsole.paths import DEFAULT_BPF_ROOT, GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.model.layout import Layout

_F = TypeVar("_F", bound="Callable[..., Any]")

FILTER_HELP = (
    "Only entries that match, e.g. 'proto:tcp dport:443 state:syn idle<30s src:10.0.0.0/8 "
    "!dst:10.0.0.1 risk:breaks'."
)


class Seconds(click.FloatRange):
    """A number of seconds within limits; what is no number at all (``nan``) is within none."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See click."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return found


def bpf_root_option(function: _F) -> _F:
    """``--bpf-root DIR``: the bpffs to look at, handed over as a `Path`."""
    return click.option(
        "--bpf-root",
        type=click.Path(path_type=Path, readable=False),
        callback=_found_root,
        metavar="DIR",
        help="The bpffs whose pinned maps are meant.  [default: the one with Cilium's maps]",
    )(function)


def _found_root(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path:
    """The bpffs named, else the usual one, else wherever this node has Cilium's maps."""
    if given is not None:
        return given
    if (DEFAULT_BPF_ROOT / GLOBALS).is_dir():
        return DEFAULT_BPF_ROOT
    from ctconsole.observe.discovery import find_root

    return find_root()


def layout_option(function: _F) -> _F:
    """``--layout RELEASE``: how entries are laid out, handed over as a `Layout` or None."""
    return click.option(
        "--layout",
        callback=_layout,
        default="auto",
        show_default=True,
        metavar="RELEASE",
        help="The Cilium release whose maps these are; auto asks the agent, then the maps.",
    )(function)


def _layout(_context: click.Context, _option: click.Parameter, given: str) -> Layout | None:
    from ctconsole.model.layout import Layout

    if given == "auto":
        return None
    try:
        return Layout(given)
    except ValueError as error:
        known = ", ".join(Layout)
        raise click.BadParameter(f"{given!r} is none of {known}, auto.") from error


def json_option(function: _F) -> _F:
    """``--json``: machine-readable output, handed over as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def print_json(value: object) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, default=str))


def message(text: str) -> None:
    """Say something to the person, on stderr, so that stdout stays data."""
    click.echo(text, err=True)


def run(command: click.Command) -> int:
    """Run the command line and turn every outcome into an exit code.

    Our own errors become one sentence on stderr. Ctrl-C ends with 130 as shells expect.
    """
    try:
        result = command.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CtconsoleError as error:
        message(f"ctconsole: {error}")
        return error.exit_code
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


def _let_go_of_dead_streams() -> None:
    """Point streams nobody reads any more (closed pipe, terminal gone) at /dev/null.

    The interpreter flushes both once more at exit, and would turn a failure into exit code 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
