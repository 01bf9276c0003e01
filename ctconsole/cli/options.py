"""Options that several verbs share, each handed over under one name."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.paths import DEFAULT_BPF_ROOT, GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ctconsole.model.ct.layout import Layout

_F = TypeVar("_F", bound="Callable[..., Any]")


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


class GivenPath(click.Path):
    """A path, handed over as a `Path`.

    An empty one (``"$DUMP"`` of a variable that is not set) would be the folder one stands in,
    which nobody means.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """See click."""
        if not os.fspath(value):
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)


RESTART_COMMAND = "CTCONSOLE_RESTART_COMMAND"
"""The variable that names what restarts the node's agent."""


def restart_command_option(function: _F) -> _F:
    """``--restart-command COMMAND``, handed over as text."""
    return click.option(
        "--restart-command",
        default="",
        envvar=RESTART_COMMAND,
        metavar="COMMAND",
        help="What restarts an agent that is not ours, for a shell, when its tables are resized; "
        f"without it you are asked to do it and waited for. Also by ${RESTART_COMMAND}.",
    )(function)


def bpf_root_option(function: _F) -> _F:
    """``--bpf-root DIR``: the bpffs to look at, handed over as a `Path`."""
    return click.option(
        "--bpf-root",
        type=GivenPath(),
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
    from ctconsole.model.ct.layout import Layout

    if given == "auto":
        return None
    try:
        return Layout(given)
    except ValueError as error:
        known = ", ".join(Layout)
        raise click.BadParameter(f"{given!r} is none of {known}, auto.") from error


def from_dump_option(function: _F) -> _F:
    """``--from-dump PATH``, several times: files to read instead of maps, as ``dumps``."""
    return click.option(
        "--from-dump",
        "dumps",
        type=GivenPath(),
        multiple=True,
        metavar="PATH",
        help="Read files instead of this node: dumps, what Cilium's tool printed, a bugtool "
        "folder, a sysdump (tar, zip); - is standard input; may be repeated.",
    )(function)


def now_option(function: _F) -> _F:
    """``--now SECONDS``: the node's clock when a dump was taken, handed over as ``now``."""
    return click.option(
        "--now",
        type=click.IntRange(min=1),
        metavar="SECONDS",
        help="What the node's clock (seconds since boot) showed when the dump was taken, where "
        "its files do not tell.",
    )(function)


def check_now(now: int | None, dumps: Sequence[Path]) -> None:
    """Refuse ``--now`` where nothing but live maps is read.

    Raises:
        UsageError: it is given and ``--from-dump`` is not.
    """
    if now is not None and not dumps:
        raise click.UsageError("--now is for --from-dump; a live map is read now.")


def json_option(function: _F) -> _F:
    """``--json``: machine-readable output, handed over as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def over_option(text: str) -> Callable[[_F], _F]:
    """``--over SECONDS``, with what is looked for in between."""
    return click.option(
        "--over", "seconds", type=Seconds(min=0.1, max=3600), metavar="SECONDS", help=text
    )


def for_option(function: _F) -> _F:
    """``--for SECONDS``, handed over as ``seconds``; None goes on until Ctrl-C."""
    return click.option(
        "--for",
        "seconds",
        type=Seconds(min=0.0),
        metavar="SECONDS",
        help="End after so long instead of with Ctrl-C.",
    )(function)


def interval_option(between: str) -> Callable[[_F], _F]:
    """``--interval SECONDS`` between two of what is taken again and again."""
    return click.option(
        "--interval",
        type=Seconds(min=0.1),
        default=2.0,
        show_default=True,
        metavar="SECONDS",
        help=f"Time between two {between}.",
    )


def memory_option(text: str) -> Callable[[_F], _F]:
    """``--memory SIZE`` of a node of which only files are here."""
    return click.option(
        "--memory",
        metavar="SIZE",
        help=f"The memory of the node whose files these are, e.g. 32G, {text}.",
    )
