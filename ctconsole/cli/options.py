"""Options that several verbs share, each handed over under one name."""

from __future__ import annotations

import math
import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

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


def web_config_option(function: _F) -> _F:
    """``--web-config FILE``, handed over as a `Path` or None."""
    return click.option(
        "--web-config",
        type=GivenPath(),
        metavar="FILE",
        help="A web configuration as Prometheus' exporters take it: TLS and basic authentication; "
        "taken up anew when it or a certificate changes.",
    )(function)


def bpf_root_option(function: _F) -> _F:
    """``--bpf-root DIR`` and ``--lab NAME``: the node to read, handed over as ``bpf_root``.

    Where several can be meant one is taken, and that is said. A verb that also has
    `state_dir_option` gets the state folder of a lab.
    """
    return _root_options(_placed(function, writes=False))


def written_root_option(function: _F) -> _F:
    """The same for verbs that change something: where several can be meant they refuse."""
    return _root_options(_placed(function, writes=True))


def watched_root_option(function: _F) -> _F:
    """The same for verbs that keep a history of their own of what they see."""
    return _root_options(_placed(function, writes=False, with_state=False))


def _root_options(function: _F) -> _F:
    named = click.option(
        "--bpf-root",
        type=GivenPath(),
        metavar="DIR",
        help="The bpffs whose pinned maps are meant.  [default: the one with Cilium's maps]",
    )
    return named(lab_option(function))


def lab_option(function: _F) -> _F:
    """``--lab NAME``, handed over as ``lab_name``, None for the only one there is."""
    return click.option(
        "--lab",
        "lab_name",
        type=LabName(),
        metavar="NAME",
        help="The lab that is meant; needed where there are several.",
    )(function)


class LabName(click.ParamType[str]):
    """The name of a lab that is up; completed by the shell."""

    name = "lab"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """See click."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from ctconsole.cli.place import labs_up

        return [CompletionItem(lab) for lab in labs_up() if lab.startswith(incomplete)]


def _placed(function: _F, *, writes: bool, with_state: bool = True) -> _F:
    """Hand over the place that the options mean, once all of them are known."""

    @wraps(function)
    def run(*, bpf_root: Path | None, lab_name: str | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        from ctconsole.cli.place import keep_place, the_place

        elsewhere = any(given.get(name) for name in ("dumps", "log"))
        place = the_place(bpf_root, lab_name, writes=writes, needed=not elsewhere)
        keep_place(place)
        if with_state and given.get("state_dir", ...) is None:
            given["state_dir"] = place.state_dir
        return function(bpf_root=place.bpf_root, **given)

    return cast("_F", run)


def state_dir_option(function: _F) -> _F:
    """``--state-dir DIR``, handed over as a `Path` or None for the default."""
    return click.option(
        "--state-dir",
        type=GivenPath(),
        metavar="DIR",
        help="The agent's state folder.  [default: /run/ctconsole/agent]",
    )(function)


def read_history_option(function: _F) -> _F:
    """``--state-dir DIR`` and ``--lab NAME``: whose history is read, as ``state_dir``."""
    return _of_an_agent(function, writes=False, past=True)


def read_agent_option(function: _F) -> _F:
    """``--state-dir DIR`` and ``--lab NAME``: whose agent is asked, as ``state_dir``."""
    return _of_an_agent(function, writes=False)


def written_agent_option(function: _F) -> _F:
    """The same for verbs that change it: where several can be meant they refuse."""
    return _of_an_agent(function, writes=True)


def named_agent_option(function: _F) -> _F:
    """The same for a start: without a name it is the default one, whatever labs are up."""
    return _of_an_agent(function, writes=True, searched=False)


def _of_an_agent(function: _F, *, writes: bool, searched: bool = True, past: bool = False) -> _F:
    @wraps(function)
    def run(*, state_dir: Path | None, lab_name: str | None, **given: Any) -> Any:  # noqa: ANN401 - any verb's
        from ctconsole.cli.place import the_state_dir

        if lab_name or (searched and not given.get("file")):
            state_dir = the_state_dir(state_dir, lab_name, writes=writes, past=past)
        return function(state_dir=state_dir, **given)

    return state_dir_option(lab_option(cast("_F", run)))


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


def interval_option(
    between: str, *, default: float = 2.0, least: float = 0.1
) -> Callable[[_F], _F]:
    """``--interval SECONDS`` between two of what is taken again and again."""
    return click.option(
        "--interval",
        type=Seconds(min=least),
        default=default,
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
